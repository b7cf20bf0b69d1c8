"""A small part of ``make calibrate``, and that it would notice."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.calibration.__main__ import QUICK, settings
from tests.calibration.measuring import Measured, measure
from tests.calibration.studies import Setting

STUDIES, POOL = 24, 12
SMALL = Setting(**QUICK)


@pytest.fixture(scope="module")
def small() -> Measured:
    return measure(SMALL, STUDIES, POOL)


def test_identical_frameworks_are_seldom_told_apart(small: Measured) -> None:
    """The interval over one winner's seeds told them apart in 20 to 28 % of studies."""
    assert small.told == STUDIES
    assert small.coverage >= 0.85  # 0.97 are expected; below happens once in a thousand times
    assert small.faults() == []
    assert small.width > 1.3


def test_what_differs_much_is_told(small: Measured) -> None:
    assert small.power(0.05) == 1.0
    assert small.power(1.0) == small.claims / STUDIES


def test_a_ratio_scales_every_interval(small: Measured) -> None:
    """So that power can be read from studies of equal frameworks."""
    halved = measure(replace(SMALL, ratio=0.5), 4, POOL)
    assert halved.intervals == pytest.approx(small.intervals[:4] + math.log(0.5))


def test_with_many_misses_there_is_no_ratio_or_a_right_one() -> None:
    found = measure(replace(SMALL, misses=(0.4, 0.4)), 12, POOL)
    assert found.told < 12
    assert found.faults() == []


def test_what_does_not_hold_is_a_fault(small: Measured) -> None:
    assert replace(small, covered=small.told - 6).faults() == ["coverage 0.750 < 0.93"]
    assert replace(small, false_claims=6).faults() == ["false claims 0.250 > 0.06"]
    assert replace(small, against_both=1).faults() == ["1 claims against medians and log-rank test"]


def test_the_truth_with_misses_is_that_of_many_pairs() -> None:
    setting = Setting(spread=0.3, misses=(0.4, 0.1), correlation=0.5)
    noise = np.random.default_rng(0)
    shared, *own = noise.standard_normal((3, 400_000))
    logs = [0.3 * (math.sqrt(0.5) * shared + math.sqrt(0.5) * each) for each in own]
    one, other = (
        np.where(noise.random(400_000) < share, np.inf, log) for share, log in zip(setting.misses, logs, strict=True)
    )
    some = np.isfinite(one) | np.isfinite(other)
    assert float(np.median(one[some] - other[some])) == pytest.approx(math.log(setting.truth()), abs=0.01)


def test_every_kind_of_setting_is_tried() -> None:
    tried = settings()
    assert {each.ratio for each in tried} == {1.0, 0.9, 0.5}
    assert {each.confirm for each in tried} == {5, 10, 20}
    assert {each.misses for each in tried} >= {(0.0, 0.0), (0.1, 0.0), (0.1, 0.1), (0.4, 0.0), (0.4, 0.4)}
    assert {each.correlation for each in tried} == {0.0, 0.7}
    assert len(tried) == len(set(tried))
