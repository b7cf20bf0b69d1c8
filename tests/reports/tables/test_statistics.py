from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from reports.tables.statistics import (
    Estimate,
    Values,
    detectable,
    differing_shares,
    geometric_mean,
    luck,
    mean,
    median,
    widened,
    winning_chances,
)

STUDIES = 4000


def coverage(estimate: Callable[[Values], Estimate], runs: int) -> float:
    """How often the interval holds 0, the middle of what is drawn."""
    drawn = np.random.default_rng(runs).standard_normal((STUDIES, runs))
    found = [estimate(sample) for sample in drawn]
    return float(np.mean([each.low <= 0.0 <= each.high for each in found]))


@pytest.mark.parametrize("runs", [5, 10, 20])
def test_intervals_cover_the_truth_as_often_as_they_say(runs: int) -> None:
    """The percentile bootstrap covered 84 % of five."""
    assert coverage(mean, runs) == pytest.approx(0.95, abs=0.012)
    assert coverage(median, runs) == pytest.approx(0.9375 if runs == 5 else 0.95, abs=0.012)


def test_the_median_of_what_is_infinite() -> None:
    values = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, np.inf])
    assert median(values).value == 5
    assert math.isfinite(median(values).low)
    assert median(np.append(values, [np.inf, np.inf])).high == math.inf
    assert median(np.array([1.0, 2.0, np.inf, np.inf])).value == math.inf
    assert median(np.array([-np.inf, np.inf])).value == 0.0
    assert math.isnan(median(np.array([])).value)


@pytest.mark.parametrize("runs", [1, 3, 4])
def test_fewer_than_five_have_no_interval(runs: int) -> None:
    for estimate in (mean, median, geometric_mean):
        assert not estimate(np.arange(1.0, runs + 1)).has_interval
        assert estimate(np.arange(1.0, 6)).has_interval


def test_an_interval_widened_by_another_source() -> None:
    found = widened(Estimate(1.0, 0.7, math.inf), 0.4)
    assert found.low == pytest.approx(0.5)
    assert found.high == math.inf
    assert widened(Estimate(1.0, 0.7, 1.3), 0.0) == Estimate(1.0, pytest.approx(0.7), pytest.approx(1.3))


def test_chances_to_have_won_are_those_of_a_bootstrap() -> None:
    trials = 12
    drawn = np.random.default_rng(0).integers(1, trials + 1, (200_000, trials // 2)).min(axis=1)
    counted = np.array([(drawn == rank).mean() for rank in range(1, trials + 1)])
    assert winning_chances(np.arange(1, trials + 1), trials) == pytest.approx(counted, abs=0.004)
    some = winning_chances(np.array([1, 3]), trials)
    assert some == pytest.approx(counted[[0, 2]] / counted[[0, 2]].sum(), abs=0.005)
    assert luck(np.array([1.0, 3.0]), np.array([0.5, 0.5])) == 1.0


def test_what_is_detectable_is_detected_in_four_of_five_cases() -> None:
    runs, spread = 10, 0.3
    half = 1.96 * spread / math.sqrt(runs)
    drawn = math.log(detectable(half)) + spread / math.sqrt(runs) * np.random.default_rng(0).standard_normal(20_000)
    assert (drawn > half).mean() == pytest.approx(0.8, abs=0.02)


def test_shares_of_successes() -> None:
    assert differing_shares((4, 10), (10, 10)) == pytest.approx(0.0108, abs=0.0001)
    assert differing_shares((9, 10), (10, 10)) == 1.0
    assert math.isnan(differing_shares((0, 3), (0, 3)))
