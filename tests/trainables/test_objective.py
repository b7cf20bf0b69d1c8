from __future__ import annotations

from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.objective import objective_value
from trainables.spec import Metric

FRACTIONS = st.floats(0, 1)
LOSSES = st.floats(1e-6, 1e6)
LIMITS = st.floats(1e-3, 1e6)


def value(metric: Metric, limit: float, target: float, best: float | None, tta_s: float | None = None) -> float:
    return objective_value(tta_s=tta_s, limit_s=limit, metric=metric, target=target, best=best)


@given(limit=LIMITS, target=FRACTIONS, best=FRACTIONS, share=FRACTIONS)
def test_a_censored_value_is_finite_and_no_better_than_any_hit(
    limit: float, target: float, best: float, share: float
) -> None:
    hit = value("accuracy", limit, target, target, tta_s=limit * share)
    miss = value("accuracy", limit, target, best)
    assert isfinite(miss)
    assert hit <= miss <= 2 * limit
    if best < target - 1e-9:
        assert miss > limit


@given(limit=LIMITS, target=LOSSES, best=st.none() | st.floats(0, 1e9))
def test_a_loss_that_was_missed_is_finite_and_no_better_than_any_hit(
    limit: float, target: float, best: float | None
) -> None:
    miss = value("loss", limit, target, best)
    assert isfinite(miss)
    assert limit <= miss <= 2 * limit
    if best is None or best > target * (1 + 1e-9):
        assert miss > limit


@given(limit=LIMITS, target=FRACTIONS, one=FRACTIONS, other=FRACTIONS)
def test_nearer_misses_are_better(limit: float, target: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert value("accuracy", limit, target, high) <= value("accuracy", limit, target, low)


@given(limit=LIMITS, target=LOSSES, one=LOSSES, other=LOSSES)
def test_nearer_misses_of_a_loss_are_better(limit: float, target: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert value("loss", limit, target, low) <= value("loss", limit, target, high)


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_what_came_to_nothing_is_the_worst(metric: Metric) -> None:
    assert value(metric, 10.0, 0.5, None) >= value(metric, 10.0, 0.5, 1e-9 if metric == "accuracy" else 1e9)
