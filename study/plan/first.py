"""What a search tries first, before its sampler draws: the workload's default, the plan's points, another study's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces import Value
from study.plan.fitting import Fitted, fitted
from study.plan.plan import Plan


def first_points(plan: Plan, name: str, default: Mapping[str, Value]) -> list[dict[str, Value]]:
    """The configurations that a framework's search tries first, in this order.

    Parameters
    ----------
    default
        The workload's default configuration; empty where it has none.
    """
    if plan.sweep is not None:
        return []
    usual = fit(plan, name, default) if plan.search.default_first and default else None
    return [
        *([usual.point] if isinstance(usual, Fitted) else []),
        *plan.search.initial_points,
        *plan.search.warm_start.get(name, ()),
    ]


def fit(plan: Plan, name: str, point: Mapping[str, Any]) -> Fitted | str:
    """A configuration in the search space of a framework; see `fitted`."""
    training = plan.training.model_dump()
    known = {key: training[key] for key in ("optimizer", "momentum", "weight_decay", "schedule", "warm_up")}
    return fitted(point, plan.space[name], {"num_workers": 0, **known, **plan.options}, plan.scaling)


def first_draws(plan: Plan, name: str, default: Mapping[str, Value]) -> list[dict[str, Value]]:
    """The same as the sampler would have drawn them: with the base of a scaled learning rate."""
    return [plan.drawn(name, point) for point in first_points(plan, name, default)]
