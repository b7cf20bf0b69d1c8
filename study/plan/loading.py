"""What a plan asks of a machine: of loader workers at most, of a training at least; both are tried before the study."""

from __future__ import annotations

from typing import Any

from search_spaces import Searched, Value
from study.plan.plan import Plan
from trainables.contract import Loading
from trainables.spec import TrainingSpec
from trainables.workloads.workload import Made


def loadings(plan: Plan, framework_name: str, *, made: Made, fitting: int) -> list[Loading]:
    """What a framework's loader workers must do on one machine; of a search, the most; empty where all load in line.

    Parameters
    ----------
    made
        What the data come to.
    fitting
        Slices that the machine holds at once.
    """
    if plan.sweep is None:
        space = plan.space[framework_name]
        points = {(_largest(space["batch_size"]), _largest(space["num_workers"]))}
        at_once = max(1, min(fitting, plan.slice.max_concurrent or fitting))
    else:
        swept = [plan.sweep.point(name, value) for name, values in plan.sweep.over.items() for value in values]
        points = {(int(point["batch_size"]), int(point["num_workers"])) for point in swept}
        at_once = 1
    return [
        Loading(min(size, made.training_samples), workers, at_once, made.shape)
        for size, workers in sorted(points)
        if workers > 0
    ]


def smallest(plan: Plan, framework_name: str) -> TrainingSpec:
    """The smallest training of a search: one step of it shows whether a machine can train at all."""
    point: dict[str, Any] = {name: _least(values) for name, values in plan.space[framework_name].items()}
    return plan.spec(framework_name, {**point, "num_workers": 0}, seed=0)


def _least(values: Searched) -> Value:
    """The least number; of texts the first."""
    return min(values.ends, key=lambda each: 0.0 if isinstance(each, str) else each)


def _largest(values: Searched) -> int:
    return max(int(each) for each in values.ends)
