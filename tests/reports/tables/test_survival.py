from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from reports.tables.statistics import geometric_mean
from reports.tables.survival import (
    Times,
    expected_time,
    horizon,
    kaplan_meier,
    log_rank,
    log_ratios,
    paired,
    restricted_mean,
    times,
)
from tests.reports.conftest import study, trial

LIMIT = 2.0


def exponential(mean: float, *, runs: int, seed: int, limit: float = LIMIT) -> Times:
    """Times to accuracy with a known law, given up at the limit."""
    drawn = np.random.RandomState(seed).exponential(mean, size=runs)
    return timed(np.where(drawn <= limit, drawn, np.inf), limit)


def timed(seconds: npt.NDArray[np.float64], limit: float = LIMIT) -> Times:
    watched = np.minimum(seconds, limit)
    each = np.arange(len(seconds))
    return Times(seconds, watched, watched, each, np.full(len(seconds), ""), each)


def truth(mean: float) -> float:
    """The restricted mean of the exponential law."""
    return mean * (1 - math.exp(-LIMIT / mean))


def test_the_restricted_mean_is_recovered_from_censored_runs() -> None:
    sample = exponential(3.0, runs=4000, seed=0)
    assert 0.4 < sample.reached.mean() < 0.6
    assert restricted_mean(sample, LIMIT) == pytest.approx(truth(3.0), rel=0.03)
    dropped = sample.seconds[sample.reached].mean()  # what leaving the misses out would claim
    assert dropped < 0.8 * truth(3.0)


def test_the_expected_time_to_target_is_that_of_trying_again() -> None:
    # Each run reaches the target with probability p after 1 s or is given up after 2 s: E = 1 + (1 - p) / p * 2.
    random = np.random.RandomState(3)
    reached = random.rand(20_000) < 0.4
    sample = timed(np.where(reached, 1.0, np.inf))
    assert expected_time(sample) == pytest.approx(1 + 0.6 / 0.4 * 2, rel=0.03)
    assert math.isnan(expected_time(timed(np.array([np.inf]))))


def test_log_rank_tells_apart_what_differs_and_nothing_else() -> None:
    sooner, different = log_rank(exponential(1.0, runs=60, seed=0), exponential(3.0, runs=60, seed=1))
    assert different < 0.001
    assert sooner > 0
    assert log_rank(exponential(3.0, runs=60, seed=1), exponential(1.0, runs=60, seed=0))[0] < 0
    same = [
        log_rank(exponential(1.0, runs=60, seed=2 * i), exponential(1.0, runs=60, seed=2 * i + 1))[1]
        for i in range(100)
    ]
    assert sum(p < 0.05 for p in same) <= 11  # 5 of 100 are expected; 11 happen once in a hundred times
    assert np.mean(same) == pytest.approx(0.5, abs=0.12)


def test_kaplan_meier_follows_the_law_through_censoring() -> None:
    curve = kaplan_meier(exponential(1.5, runs=3000, seed=4), LIMIT)
    for second in (0.5, 1.0, 1.9):
        row = curve[curve["seconds"] <= second].iloc[-1]
        assert row["share"] == pytest.approx(1 - math.exp(-second / 1.5), abs=0.03)
        assert row["low"] <= row["share"] <= row["high"]
    assert curve["censored"].sum() > 0
    assert curve["share"].iloc[0] == 0


def test_the_geometric_mean_recovers_a_common_factor() -> None:
    noise = np.exp(0.3 * np.random.RandomState(5).standard_normal(400))
    estimate = geometric_mean(0.7 * noise)
    assert estimate.low < 0.7 < estimate.high
    assert estimate.value == pytest.approx(0.7, rel=0.05)


def test_a_run_that_diverged_early_is_given_up_at_its_limit() -> None:
    early = trial("pytorch", "confirm", 0, None, outcome="diverged", train_s=0.5)
    sample = times(study([early, trial("pytorch", "confirm", 1, 4.0)]).trials, "warm")
    assert sample.seconds.tolist() == [math.inf, 4.0]
    assert sample.watched.tolist() == [10.0, 4.0]
    assert sample.spent.tolist() == [0.5, 4.0]
    assert sample.reached.tolist() == [False, True]
    assert horizon(sample) == 10.0
    cold = times(study([early]).trials, "cold")
    assert cold.watched.tolist() == [10.0 + 2.0 + 1.0]  # start-up and compilation come before a warm limit


def test_runs_are_paired_by_seed() -> None:
    rows = [trial("pytorch", "confirm", number, 1.0 + number, seed=seed) for number, seed in enumerate((7, 5, 9))]
    others = [trial("flux", "confirm", number, 10.0 + seed, seed=seed) for number, seed in enumerate((9, 7))]
    first, second = paired(times(study(rows).trials, "warm"), times(study(others).trials, "warm"))
    assert first.seeds.tolist() == second.seeds.tolist() == [7, 9]
    assert first.seconds.tolist() == [1.0, 3.0]
    assert second.seconds.tolist() == [17.0, 19.0]


def test_a_run_that_died_without_a_ledger_costs_what_it_held() -> None:
    dead = trial("flux", "confirm", 1, None, outcome="failed", train_s=None, startup_s=None, compile_s=None,
                 slice_s=300.0, limit_s=10.0)  # fmt: skip
    runs = study([trial("flux", "search", 0, 2.0), trial("flux", "confirm", 0, 2.0), dead]).trials
    sample = times(runs[runs["phase"] == "confirm"], "warm")
    assert expected_time(sample) == pytest.approx(302.0)


def test_a_cold_limit_is_no_warm_one() -> None:
    """100 s cold with 60 s of start-up and compilation: on the warm clock it was watched for 40 s."""
    missed = trial("flux", "confirm", 0, None, objective_clock="cold", limit_s=100.0, train_s=40.0, startup_s=45.0,
                   compile_s=15.0, eval_s=0.0, checkpoint_s=0.0)  # fmt: skip
    runs = study([missed]).trials
    assert times(runs, "warm").watched.tolist() == [40.0]
    assert times(runs, "cold").watched.tolist() == [100.0]


def test_a_stalled_start_up_does_not_cut_the_other_runs() -> None:
    """A cold limit of 100 s, of which a start-up took 90.3: the warm comparison was cut at 9.7 s, for all."""
    stalled = trial("flux", "confirm", 0, None, objective_clock="cold", limit_s=100.0, train_s=9.7, startup_s=90.3,
                    compile_s=0.0, eval_s=0.0, checkpoint_s=0.0)  # fmt: skip
    rows = [stalled, *(trial("flux", "confirm", n, 30.0, objective_clock="cold", limit_s=100.0) for n in (1, 2))]
    sample = times(study(rows).trials, "warm")
    assert sample.watched.min() == pytest.approx(9.7)
    assert horizon(sample) == 30.0
    assert restricted_mean(sample, horizon(sample)) == 30.0


def test_on_the_cold_clock_misses_are_left_out_as_hits_are() -> None:
    """Of runs that went on in a process that had trained before nobody knows the cold time."""
    kept = {"fresh_process": False, "segments": 2}
    rows = [
        trial("flux", "confirm", 0, 2.0, fresh_process=True, segments=1),
        trial("flux", "confirm", 1, None, fresh_process=True, segments=1),
        trial("flux", "confirm", 2, 2.0, **kept, cold_tta_s=None),
        trial("flux", "confirm", 3, None, **kept),
    ]
    cold = times(study(rows).trials, "cold")
    assert cold.seeds.tolist() == [0, 1]
    assert cold.unknown == 2
    assert len(times(study(rows).trials, "warm").seconds) == 4


def test_ratios_of_pairs_of_which_some_missed() -> None:
    one, other = timed(np.array([1.0, np.inf, 1.0, np.inf])), timed(np.array([0.5, 1.0, np.inf, np.inf]))
    assert log_ratios(one, other).tolist() == [pytest.approx(math.log(2)), math.inf, -math.inf]


@pytest.mark.parametrize("clock", ["warm", "cold"])
def test_a_trial_that_was_capped_was_watched_until_then(clock: str) -> None:
    rows = [
        trial("pytorch", "search", 0, None, outcome="capped", cap_s=3.0, train_s=3.0, fresh_process=True),
        trial("pytorch", "search", 1, None, train_s=9.0, fresh_process=True),
    ]
    found = times(study(rows).trials, clock)
    outside = 3.0 if clock == "cold" else 0.0
    assert found.watched.tolist() == [3.0 + outside, 10.0 + outside]
    assert not found.reached.any()
