"""The finite number that the search minimises."""

from __future__ import annotations

from trainables.spec import Metric


def objective_value(*, tta_s: float | None, limit_s: float, metric: Metric, target: float, best: float | None) -> float:
    """Seconds to the target; for a run that has not reached it, a value worse than any hit.

    A hit is at most ``limit_s``, since a run is stopped there. A run without a hit is worth at least ``limit_s``, and
    at most twice that, the more the further it stayed from the target, so that the search learns from it. Always
    finite: Optuna keeps a trial that reports NaN running for ever.

    Parameters
    ----------
    tta_s
        Time to the target in seconds; None while it is not reached.
    limit_s
        The limit on the same clock, in seconds.
    metric, target
        What must be reached: an accuracy, a fraction in [0, 1], at least; or a loss, above 0, at most.
    best
        The best that the run came to; None where it came to nothing.
    """
    if tta_s is not None:
        return tta_s
    return limit_s * (1.0 + _shortfall(metric, target, best))


def _shortfall(metric: Metric, target: float, best: float | None) -> float:
    """How far from the target: 0 to 1."""
    if metric == "accuracy":
        return max(0.0, target - (best or 0.0))
    return 1.0 if best is None else max(0.0, 1.0 - target / best) if best > 0 else 0.0
