"""A configuration that was not drawn from a search space, made one that could have been: the nearest, and what differs.

So it is with the workload's default configuration, and with those of another study.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, log
from typing import Any, NamedTuple

from search_spaces import Choices, Searched, Value
from search_spaces.names import FLOATS
from search_spaces.ranges import kind_of
from study.plan.scaling import Scaling, same
from trainables.common.digits import plain


class Fitted(NamedTuple):
    """A configuration inside a search space, and how it differs from the one that was given, each in words."""

    point: dict[str, Value]
    changes: tuple[str, ...]


def fitted(
    point: Mapping[str, Any], space: Mapping[str, Searched], usual: Mapping[str, Any], scaling: Scaling
) -> Fitted | str:
    """The configuration of a search space that is nearest to one.

    Numbers are clipped to a range, or become the nearest choice; a text that is no choice becomes the usual one. Where
    the learning rate is scaled with the batch size, it moves with it.

    Parameters
    ----------
    point
        Hyperparameters and options by name; those that the space does not have are left out.
    space
        Of a framework.
    usual
        What a hyperparameter has where the configuration says nothing of it.

    Returns
    -------
    It, with a value for all that the space has; or, in words, what it lacks.
    """
    drawn = {**usual, **scaling.base(point)}
    found: dict[str, Value] = {}
    for name, searched in space.items():
        if searched.single:
            found[name] = searched.ends[0]
            continue
        for value in (drawn.get(name), usual.get(name)):
            nearest = None if value is None else _nearest(name, value, searched)
            if nearest is not None:
                found[name] = nearest
                break
        else:
            given = "says nothing of it" if name not in drawn else f"says {_said(drawn[name])}"
            return f"{name} is searched, and the configuration {given}"
    actual = scaling.actual(found)
    differ = [name for name in actual if name in point and not same(point[name], actual[name])]
    return Fitted(actual, tuple(f"{name} {_said(point[name])} -> {_said(actual[name])}" for name in differ))


def _nearest(name: str, value: Any, searched: Searched) -> Value | None:
    """The value of a range, or of choices, that is nearest; None where there is none of its kind."""
    if isinstance(searched, Choices):
        alike = [each for each in searched.choices if kind_of(each) == kind_of(value)]
        if isinstance(value, bool | str) or not alike:
            return next((each for each in alike if each == value), None)
        return min(alike, key=lambda each: _distance(float(each), float(value)))
    if isinstance(value, bool | str) or not isfinite(value):
        return None
    clipped = min(max(value, searched.low), searched.high)
    return round(clipped) if searched.is_whole and name not in FLOATS else float(clipped)


def _distance(one: float, other: float) -> float:
    """Between numbers: of their logarithms, where both have one."""
    return abs(log(one) - log(other)) if one > 0 and other > 0 else abs(one - other)


def _said(value: Any) -> str:
    if isinstance(value, bool | str):
        return str(value).lower() if isinstance(value, bool) else value
    return plain(float(f"{value:.3g}") if isinstance(value, float) else value)
