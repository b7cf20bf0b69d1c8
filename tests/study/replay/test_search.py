"""A plan's search on recorded curves: the sampler's draws, caps, budgets and the race are those of a study."""

from __future__ import annotations

from pathlib import Path

import pytest

from study.plan.seeds import race_seed
from study.replay.race import race
from study.replay.regret import Truth, raced, regret_at, singles, within
from study.replay.repeated import repeated
from study.replay.search import search
from study.replay.table import Table, read_table
from study.replay.training import Terms
from tests.study.replay import recorded
from trainables.common.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded.write(tmp_path_factory.mktemp("tables") / "small", rates=12, sizes=(32, 128, 512))


@pytest.fixture(scope="module")
def table(folder: Path) -> Table:
    return read_table(folder)


def test_the_same_seed_gives_the_same_search(table: Table) -> None:
    first, second = (search(table.plan, "pytorch", table, slots=2) for _ in range(2))
    assert [(each.trial.point, each.spent_s) for each in first] == [(each.trial.point, each.spent_s) for each in second]
    other = search(table.plan.model_copy(update={"seed": 1}), "pytorch", table, slots=2)
    assert [each.trial.point for each in first] != [each.trial.point for each in other]


def test_capping_costs_less_and_no_capped_trial_beats_a_hit(folder: Path) -> None:
    without = read_table(folder, ["search.scheduler=fifo"])
    capped = read_table(folder, ["search.scheduler=cap"])
    full = search(without.plan, "pytorch", without, slots=1)
    cheap = search(capped.plan, "pytorch", capped, slots=1)
    assert cheap[-1].spent_s < 0.7 * full[-1].spent_s
    hits = [each.trial.value for each in cheap if each.trial.outcome == "reached"]
    others = [each.trial.value for each in cheap if each.trial.outcome != "reached"]
    assert any(each.trial.outcome == "capped" for each in cheap)
    assert max(hits) < min(others)
    assert all(each.trial.outcome != "capped" for each in full)


def test_a_trial_that_runs_is_stopped_by_a_cap_that_is_found_meanwhile(folder: Path) -> None:
    table = read_table(folder, ["search.scheduler=cap", "search.cap_lag=0"])
    ended = search(table.plan, "pytorch", table, slots=30)  # all are dealt at once, before any cap was known
    capped = [each.trial for each in ended if each.trial.outcome == "capped"]
    best = min(each.trial.value for each in ended)
    assert capped
    for trial in capped:
        assert trial.cap.seconds is not None
        assert trial.clock_s > trial.cap.seconds >= best


def test_a_budget_ends_a_search(folder: Path) -> None:
    table = read_table(folder, ["search.budget=10m", "search.scheduler=fifo"])
    ended = search(table.plan, "pytorch", table, slots=1)
    assert len(ended) < 30
    assert ended[-1].spent_s >= 600 > ended[-2].spent_s
    dear = read_table(folder, ["search.budget=5 EUR"])
    with pytest.raises(UserError, match=r"search.budget is 5 EUR, and a replay knows no price"):
        search(dear.plan, "pytorch", dear, slots=1)


def test_a_search_ends_when_another_trial_would_not_pay(folder: Path) -> None:
    table = read_table(folder, ["search.pays_after=1"])
    assert len(search(table.plan, "pytorch", table, slots=1)) < 30


def test_a_drawn_rate_is_scaled_before_it_is_looked_up(folder: Path) -> None:
    settings = ["search.learning_rate_scaling=linear", "search.reference_batch_size=128", "search.trials=20"]
    table = read_table(folder, settings)
    trials = [each.trial for each in search(table.plan, "pytorch", table, slots=1)]
    highest = {
        size: max(t.point["learning_rate"] for t in trials if t.point["batch_size"] == size) for size in (32, 512)
    }
    assert highest[32] <= 0.5 / 4
    assert highest[512] > 0.5


def test_initial_points_come_first(folder: Path) -> None:
    point = "{learning_rate=0.1, batch_size=128, num_workers=1}"
    table = read_table(folder, [f"search.initial_points=[{point}]", "search.default_first=false", "search.trials=3"])
    first = search(table.plan, "pytorch", table, slots=1)[0].trial
    assert first.point == {"learning_rate": 0.1, "batch_size": 128, "num_workers": 1}


def test_asha_is_tunes_own(folder: Path) -> None:
    table = read_table(folder, ["search.scheduler=asha"])
    ended = search(table.plan, "pytorch", table, slots=1)
    assert len(ended) == 30
    stopped = [each.trial for each in ended if each.trial.outcome == "stopped"]
    assert stopped
    assert {len(trial.points) for trial in stopped} <= {3, 12, 48, 192}


def test_the_race_runs_the_best_again_and_counts_what_it_costs(table: Table) -> None:
    trials = [each.trial for each in search(table.plan, "pytorch", table, slots=1)]
    came = race(table.plan, "pytorch", table, trials)
    best = sorted((trial for trial in trials if trial.outcome == "reached"), key=lambda trial: trial.value)[:5]
    assert came.runs == 20
    assert came.winner in {trial.configuration for trial in best}
    terms = Terms.of(table.plan)
    runs = [
        table.training("pytorch", trial.configuration, race_seed(table.plan, repeat, rank), terms)
        for rank, trial in enumerate(best, 1)
        for repeat in range(4)
    ]
    cost_s = sum(run.slice_s(run.points[-1], fresh=True) + run.costs.evaluation_s for run in runs)
    assert came.cost_s == pytest.approx(cost_s)


def test_without_a_race_the_best_single_trial_wins(folder: Path) -> None:
    table = read_table(folder, ["race.configurations=0"])
    trials = [each.trial for each in search(table.plan, "pytorch", table, slots=1)]
    came = race(table.plan, "pytorch", table, trials)
    assert (came.cost_s, came.winner) == (0.0, min(trials, key=lambda trial: trial.value).configuration)


def test_what_is_known_gets_no_worse_by_what_was_measured_and_is_looked_up_by_cost(table: Table) -> None:
    truth = Truth(table.plan, "pytorch", table)
    ended = search(table.plan, "pytorch", table, slots=1)
    known = singles(ended)
    assert len(known) == len(ended)
    assert regret_at(known, truth, known[0].spent_s - 1e-9) == float("inf")
    assert regret_at(known, truth, 1e9) == truth.regret(known[-1].configuration)
    assert within(known, truth, share=1e9) == known[0].spent_s
    assert within(known, truth, share=-1.0) == float("inf")
    races = raced(table.plan, "pytorch", table, ended, every=10)
    assert len(races) == 3
    assert races[-1].spent_s > known[-1].spent_s


def test_repetitions_differ_by_their_seeds(table: Table) -> None:
    truth = Truth(table.plan, "pytorch", table)
    found = list(repeated(table.plan, "pytorch", table, slots=1, repetitions=3, truth=truth))
    assert [each.seed for each in found] == [0, 1, 2]
    assert len({each.search_s for each in found}) == 3
    for each in found:
        assert sum(each.outcomes.values()) == 30
        assert each.regret == pytest.approx(each.truth_s / truth.least - 1)
