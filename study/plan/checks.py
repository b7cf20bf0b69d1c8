"""What a searched, swept or single training's hyperparameters and slice may be: the same checks for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from search_spaces import Choices, Range, Searched
from search_spaces.spaces import HYPERPARAMETERS
from trainables.common.digits import plain
from trainables.common.suggest import nearest

SMALLEST_SHARE = 0.01  # of a GPU; Ray counts in ten-thousandths
OF_A_SLICE = "the CPUs of a slice"
_HOW = "write { low, high, log }, { choices = [...] } or one number"


class Limits(NamedTuple):
    """Of a hyperparameter, both included."""

    low: float
    high: float
    whole: bool
    said: str = ""  # what the upper one is


LIMITS = {
    "learning_rate": Limits(1e-12, 1000, whole=False),
    "batch_size": Limits(1, 2**20, whole=True),
    "num_workers": Limits(0, 1024, whole=True),
}


def check_values(
    key: str, values: Iterable[object], limits: Limits, *, several: bool = True, floats: bool = False
) -> None:
    """Refuse a value that no training can have.

    Parameters
    ----------
    key
        Under which they were given.
    several
        Whether there may be more than one of them.
    floats
        Whether whole numbers may be floats; in a plan they are written without a point.

    Raises
    ------
    ValueError
        Naming the key, the value and what it may be.
    """
    has = "has" if several else "is"
    for value in values:
        shown = plain(value) if isinstance(value, float) and (floats or not limits.whole) else repr(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{key} {has} {shown}; it takes {'whole ' * limits.whole}numbers")
        if limits.whole and isinstance(value, float) and not (floats and value.is_integer()):
            raise ValueError(f"{key} {has} {shown}; it takes whole numbers")
        if not limits.low <= value <= limits.high:
            said = f" ({limits.said})" if limits.said else ""
            raise ValueError(
                f"{key} {has} {shown}; it must lie between {plain(limits.low)} and {plain(limits.high)}{said}"
            )


def check_space(framework_name: str, searched: Mapping[str, Searched], cpus: int) -> None:
    """Refuse a framework's search space that holds what no training can have; `ValueError` as `check_values`."""
    for name in searched:
        if name not in HYPERPARAMETERS:
            raise ValueError(f"unknown hyperparameter space.{framework_name}.{name}{nearest(name, HYPERPARAMETERS)}")
    for name, limits in LIMITS.items():
        values = searched[name]
        several = not isinstance(values, Choices) or len(values.choices) > 1
        if name == "num_workers":
            limits = limits._replace(high=cpus, said=OF_A_SLICE)
        given = values.choices if isinstance(values, Choices) else (values.low, values.high)
        check_values(f"space.{framework_name}.{name}", given, limits, several=several)


def check_point(point: Mapping[str, float], searched: Mapping[str, Searched]) -> None:
    """Refuse a point that lies outside a search space."""
    if set(point) != set(HYPERPARAMETERS):
        raise ValueError(
            f"search.initial_points: each point needs exactly {', '.join(HYPERPARAMETERS)}; got {dict(point)}"
        )
    for name, value in point.items():
        values = searched[name]
        inside = value in values.choices if isinstance(values, Choices) else values.low <= value <= values.high
        if not inside:
            raise ValueError(f"search.initial_points: {name} = {plain(value)} is outside the search space")


def check_gpus(gpus: float, *, sharing: bool) -> None:
    """Refuse anything but whole ones, or a share of one where that is allowed."""
    if gpus == int(gpus):
        return
    if not SMALLEST_SHARE <= gpus < 1:
        raise ValueError(f"slice.gpus is {plain(gpus)}; give whole GPUs, or a share of one from {SMALLEST_SHARE} on")
    if not sharing:
        raise ValueError(
            f"slice.gpus is {plain(gpus)}, but trials that share a GPU slow one another down, and their times say "
            "little; give whole GPUs, or --allow-shared-gpu, which marks the report"
        )


def as_searched(values: object) -> object:
    """What a plan writes for a searched hyperparameter, read; `ValueError` where it is none of the ways to write it."""
    if isinstance(values, Range | Choices):
        return values
    try:
        if isinstance(values, int | float) and not isinstance(values, bool):
            return Choices((values,))
        if isinstance(values, dict) and set(values) == {"choices"} and isinstance(values["choices"], list | tuple):
            return Choices(tuple(values["choices"]))
        if isinstance(values, dict) and {"low", "high"} <= set(values) <= {"low", "high", "log"}:
            return Range(**values)
    except TypeError:  # texts where numbers belong
        pass
    raise ValueError(f"it is {values!r}; {_HOW}")
