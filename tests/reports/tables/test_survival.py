from __future__ import annotations

import math

import numpy as np
import pytest

from reports.tables.statistics import geometric_mean, ratio_of_means
from reports.tables.survival import (
    Times,
    common_limit,
    expected_time,
    kaplan_meier,
    log_rank,
    paired,
    restricted_mean,
    times,
)
from tests.reports.conftest import study, trial

LIMIT = 2.0


def exponential(mean: float, *, runs: int, seed: int, limit: float = LIMIT) -> Times:
    """Times to accuracy with a known law, given up at the limit."""
    drawn = np.random.RandomState(seed).exponential(mean, size=runs)
    reached = drawn <= limit
    return Times(np.minimum(drawn, limit), reached, np.minimum(drawn, limit), np.arange(runs), np.full(runs, ""))


def truth(mean: float) -> float:
    """The restricted mean of the exponential law."""
    return mean * (1 - math.exp(-LIMIT / mean))


def test_the_restricted_mean_is_recovered_from_censored_runs() -> None:
    sample = exponential(3.0, runs=4000, seed=0)
    assert 0.4 < sample.reached.mean() < 0.6
    assert restricted_mean(sample, LIMIT) == pytest.approx(truth(3.0), rel=0.03)
    dropped = sample.seconds[sample.reached].mean()  # what leaving the misses out would claim
    assert dropped < 0.8 * truth(3.0)


def test_what_is_resampled_is_the_restricted_mean() -> None:
    sample = exponential(3.0, runs=50, seed=1)
    assert restricted_mean(sample, LIMIT) == pytest.approx(np.minimum(sample.seconds, LIMIT).mean())
    assert restricted_mean(sample, 1.2) == pytest.approx(np.minimum(sample.seconds, 1.2).mean())


def test_the_interval_of_a_ratio_of_restricted_means_covers_the_truth() -> None:
    covered = 0
    for seed in range(40):
        first, second = exponential(3.0, runs=30, seed=seed), exponential(1.5, runs=30, seed=1000 + seed)
        estimate = ratio_of_means(first.seconds, second.seconds)
        covered += estimate.low <= truth(3.0) / truth(1.5) <= estimate.high
    assert covered >= 34  # 38 of 40 are expected at 95 %


def test_the_expected_time_to_target_is_that_of_trying_again() -> None:
    # Each run reaches the target with probability p after 1 s or is given up after 2 s: E = 1 + (1 - p) / p * 2.
    random = np.random.RandomState(3)
    reached = random.rand(20_000) < 0.4
    seconds = np.where(reached, 1.0, 2.0)
    sample = Times(seconds, reached, seconds, np.arange(len(seconds)), np.full(len(seconds), ""))
    assert expected_time(sample) == pytest.approx(1 + 0.6 / 0.4 * 2, rel=0.03)
    assert math.isnan(expected_time(Times(seconds[:1], np.array([False]), seconds[:1], np.array([0]), np.array([""]))))


def test_log_rank_tells_apart_what_differs_and_nothing_else() -> None:
    different = log_rank(exponential(1.0, runs=60, seed=0), exponential(3.0, runs=60, seed=1))
    assert different < 0.001
    same = [
        log_rank(exponential(1.0, runs=60, seed=2 * i), exponential(1.0, runs=60, seed=2 * i + 1)) for i in range(100)
    ]
    assert sum(p < 0.05 for p in same) <= 11  # 5 of 100 are expected; 11 happen once in a hundred times
    assert np.mean(same) == pytest.approx(0.5, abs=0.12)


def test_kaplan_meier_follows_the_law_through_censoring() -> None:
    curve = kaplan_meier(exponential(1.5, runs=3000, seed=4))
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
    assert sample.seconds.tolist() == [10.0, 4.0]
    assert sample.spent.tolist() == [0.5, 4.0]
    assert sample.reached.tolist() == [False, True]
    assert common_limit(sample) == 10.0
    cold = times(study([early]).trials, "cold")
    assert cold.seconds.tolist() == [10.0 + 2.0 + 1.0]  # start-up and compilation come before a warm limit


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
    assert times(runs, "warm").seconds.tolist() == [40.0]
    assert times(runs, "cold").seconds.tolist() == [100.0]
