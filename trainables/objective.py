"""The finite number that the search minimises."""

from __future__ import annotations


def objective_value(*, tta_s: float | None, limit_s: float, target: float, best_accuracy: float) -> float:
    """Seconds to the target; for a run that has not reached it, a value worse than any hit.

    A hit is at most ``limit_s``, since a run is stopped there. A run without a hit is worth at least ``limit_s``, and
    the more the further it stayed below the target, so that the search learns from it. Always finite: Optuna keeps a
    trial that reports NaN running for ever.

    Parameters
    ----------
    tta_s
        Time to accuracy in seconds; None while the target is not reached.
    limit_s
        The limit on the same clock, in seconds.
    target, best_accuracy
        Fractions in [0, 1].
    """
    if tta_s is not None:
        return tta_s
    return limit_s * (1.0 + max(0.0, target - best_accuracy))
