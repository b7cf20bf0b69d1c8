"""The peers on the virtual clock: their own decisions, at the same costs and in the same space as ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from optuna.pruners import HyperbandPruner, MedianPruner, WilcoxonPruner

from search_spaces import Range
from study.replay.clock import Ended, Strategy, play
from study.replay.table import Table, read_table
from tests.search_bench import peers, syne
from tests.search_bench.peers import Build, miss_rate, most_evaluations, optuna_alone, tune
from tests.search_bench.strategies import OURS, PEERS, settings_of
from tests.study.replay import recorded

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded.write(tmp_path_factory.mktemp("tables") / "small", rates=10, sizes=(32, 128, 512))


@pytest.fixture(scope="module")
def table(folder: Path) -> Table:
    return read_table(folder)


def ended(build: Build, table: Table, *, slots: int = 1, trials: int = 20) -> list[Ended]:
    strategy: Strategy = build(table.plan, "pytorch", table, slots, trials)
    return play(strategy, slots=slots)


LOCAL = [name for name in PEERS if not name.startswith("syne-")]


@pytest.mark.parametrize("name", LOCAL)
def test_every_peer_runs_in_the_search_space_and_stops_at_the_target(name: str, table: Table) -> None:
    build = PEERS[name].build
    assert build is not None
    found = ended(build, table)
    space = table.plan.space["pytorch"]
    for each in found:
        assert set(each.trial.point) == set(space)
        assert all(values.contains(each.trial.point[knob]) for knob, values in space.items())
        assert each.trial.value >= table.plan.training.limit_s or each.trial.outcome == "reached"
    assert any(each.trial.outcome == "reached" for each in found)
    assert isinstance(space["learning_rate"], Range)


def test_peers_draw_the_same_points_from_the_same_seed_whatever_stops_trials(table: Table) -> None:
    """The first ten are random, from the same sampler: only then do they know different things."""
    drawn = [
        [each.trial.point for each in sorted(ended(build, table), key=lambda each: each.trial.number)[:10]]
        for build in (tune(), tune(peers.asha), optuna_alone(lambda most: MedianPruner()))
    ]
    assert drawn[0] == drawn[1] == drawn[2]


def test_schedulers_cost_less_than_running_all_to_the_end(table: Table) -> None:
    plain = ended(tune(), table)[-1].spent_s
    for scheduler in (peers.asha, peers.asha_by_time, peers.hyperband):
        assert ended(tune(scheduler), table)[-1].spent_s < 0.5 * plain
    pruned = optuna_alone(lambda most: HyperbandPruner(max_resource=most))
    assert ended(pruned, table)[-1].spent_s < 0.8 * plain


def test_the_median_rule_at_its_defaults_leaves_a_trial_its_first_minute(table: Table) -> None:
    stopped = [each.trial for each in ended(tune(peers.median), table) if each.trial.outcome == "stopped"]
    assert all(trial.spent_s >= 60 for trial in stopped)


def test_wilcoxon_compares_curves_evaluation_by_evaluation(table: Table) -> None:
    found = ended(optuna_alone(lambda most: WilcoxonPruner(), miss_rate), table)
    outcomes = Counter(each.trial.outcome for each in found)
    assert outcomes["stopped"] > 0
    assert min(len(each.trial.points) for each in found if each.trial.outcome == "stopped") >= 4  # p < 0.1 needs four


def test_a_training_has_as_many_evaluations_as_its_epochs_hold(table: Table) -> None:
    assert most_evaluations(table.plan, table) == 300


def test_settings_of_ours_are_keys_of_a_plan(folder: Path) -> None:
    for row in OURS.values():
        if row.settings.get("search.sampler") != "cmaes":
            assert read_table(folder, settings_of(row)).plan.search.trials == 30


@pytest.mark.parametrize("name", [name for name in PEERS if name.startswith("syne-")])
def test_syne_tune_runs_where_it_is_installed(name: str, table: Table) -> None:
    try:
        syne.available()
    except syne.NoSyneTune as problem:
        pytest.skip(str(problem))
    build = PEERS[name].build
    assert build is not None
    found = ended(build, table, trials=9)
    assert len(found) == 9
    assert any(each.trial.outcome == "stopped" for each in found)
    assert all(each.trial.point["batch_size"] in (32, 128, 512) for each in found)


def test_without_syne_tune_it_is_said_how_to_make_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syne, "PYTHON", ROOT / ".venv-none" / "bin" / "python")
    with pytest.raises(syne.NoSyneTune, match=r"no .venv-none/bin/python; `make syne-tune` makes it"):
        syne.available()


def test_ray_tune_itself_runs_the_same_trials(tmp_path: Path) -> None:
    """A real Tuner beside the virtual clock; `python -m tests.search_bench.real_tune` does it at full length."""
    table = recorded.write(tmp_path / "tiny", rates=8, sizes=(32, 512), limit_s=2.5)
    command = [sys.executable, "-m", "tests.search_bench.real_tune", str(table), "--trials", "12", "--repetitions", "1"]
    answer = subprocess.run(
        [*command, "--schedulers", "asha"], cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (line,) = answer.stdout.splitlines()
    assert json.loads(line) == {**json.loads(line), "scheduler": "asha", "trials": 12, "differ": []}
