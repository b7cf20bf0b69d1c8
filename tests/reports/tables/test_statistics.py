from __future__ import annotations

import math

import numpy as np
import pytest

from reports.tables.statistics import median, ratio_of_medians


def test_the_interval_of_a_median_covers_the_truth() -> None:
    covered = 0
    for seed in range(60):
        sample = np.random.RandomState(seed).lognormal(mean=0.0, sigma=0.3, size=20)  # true median 1
        estimate = median(sample)
        covered += estimate.low <= 1.0 <= estimate.high
    assert covered >= 51  # 57 of 60 are expected at 95 %


def test_a_paired_ratio_is_recovered_through_common_noise() -> None:
    random = np.random.RandomState(0)
    seeds = np.exp(0.5 * random.standard_normal(20))  # the luck of a seed, shared by both
    estimate = ratio_of_medians(0.8 * seeds, seeds)
    assert estimate.value == pytest.approx(0.8)
    assert estimate.low == pytest.approx(0.8)  # pairs cancel it altogether; unpaired the interval would be wide
    assert estimate.high == pytest.approx(0.8)


def test_too_few_runs_have_no_interval() -> None:
    assert not median(np.array([1.0, 2.0])).has_interval
    assert not ratio_of_medians(np.array([1.0]), np.array([2.0])).has_interval
    assert math.isnan(median(np.array([])).value)


def test_the_same_records_give_the_same_interval() -> None:
    sample = np.random.RandomState(1).rand(10)
    assert median(sample) == median(sample)
