"""Successive halving: how a plan's search sets Ray Tune's ASHA."""

from __future__ import annotations

from typing import Any

from study.plan.plan import Plan

REDUCTION = 4  # Ray's default: one in four trials goes on at each rung


def asha_settings(plan: Plan, *, samples: int) -> dict[str, Any]:
    """Of ASHA over evaluations, which are spaced in samples: a rung means the same for every batch size and framework.

    Parameters
    ----------
    samples
        Of the training split.
    """
    grace = plan.search.grace_evaluations
    most = plan.training.epochs * samples // plan.training.evaluate_every_samples + 1
    return {"grace_period": grace, "max_t": max(grace, most), "reduction_factor": REDUCTION}
