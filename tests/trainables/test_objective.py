from __future__ import annotations

from math import isfinite

from hypothesis import given
from hypothesis import strategies as st

from trainables.objective import objective_value

FRACTIONS = st.floats(0, 1)
LIMITS = st.floats(1e-3, 1e6)


@given(limit=LIMITS, target=FRACTIONS, best=FRACTIONS, share=FRACTIONS)
def test_a_censored_value_is_finite_and_no_better_than_any_hit(
    limit: float, target: float, best: float, share: float
) -> None:
    hit = objective_value(tta_s=limit * share, limit_s=limit, target=target, best_accuracy=target)
    miss = objective_value(tta_s=None, limit_s=limit, target=target, best_accuracy=best)
    assert isfinite(miss)
    assert miss >= hit
    if best < target - 1e-9:
        assert miss > limit


@given(limit=LIMITS, target=FRACTIONS, one=FRACTIONS, other=FRACTIONS)
def test_nearer_misses_are_better(limit: float, target: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    worse = objective_value(tta_s=None, limit_s=limit, target=target, best_accuracy=low)
    better = objective_value(tta_s=None, limit_s=limit, target=target, best_accuracy=high)
    assert better <= worse
