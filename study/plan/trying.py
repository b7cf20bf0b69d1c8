"""With which options models are built before anything starts: as they are, and at the ends of those searched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from search_spaces import HYPERPARAMETERS, Value
from study.plan.plan import Plan


def options_to_try(plan: Plan, framework_name: str) -> list[dict[str, Value]]:
    """The usual options first, then those that differ from them in one, at an end of what is searched or swept."""
    ends = dict(_ends(plan, framework_name))
    usual = {**{name: values[0] for name, values in ends.items()}, **plan.options}
    usual |= {name: values[0] for name, values in ends.items() if len(values) == 1}
    tried = [usual]
    for name, values in ends.items():
        tried += [point for value in values if (point := {**usual, name: value}) not in tried]
    return tried


def differing(point: Mapping[str, Value], usual: Mapping[str, Value]) -> str:
    """What tells options from the usual ones, for a message; empty where nothing does."""
    said = [f"{name} = {value!r}" for name, value in point.items() if usual.get(name) != value]
    return f" (with {', '.join(said)})" if said else ""


def _ends(plan: Plan, framework_name: str) -> Iterator[tuple[str, tuple[Value, ...]]]:
    if plan.sweep is not None:
        yield from ((name, values) for name, values in plan.sweep.over.items() if name not in HYPERPARAMETERS)
        return
    for name, values in plan.space[framework_name].items():
        if name not in HYPERPARAMETERS:
            yield name, values.ends
