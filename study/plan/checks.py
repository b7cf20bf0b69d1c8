"""What a searched, swept or single training's hyperparameters and slice may be: the same checks for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import NamedTuple, get_args

from search_spaces import ALWAYS, Choices, Range, Searched, Value
from search_spaces.ranges import kind_of
from trainables.common.digits import plain
from trainables.common.suggest import nearest
from trainables.contract import Optimizer, Schedule

SMALLEST_SHARE = 0.01  # of a GPU; Ray counts in ten-thousandths
OF_A_SLICE = "the CPUs of a slice"
_HOW = "write { low, high, log }, { choices = [...] } or one value"


class Limits(NamedTuple):
    """Of a hyperparameter, both included."""

    low: float
    high: float
    whole: bool
    said: str = ""  # what the upper one is
    below: bool = False  # the upper one itself is too much


LIMITS = {
    "learning_rate": Limits(1e-12, 1000, whole=False),
    "batch_size": Limits(1, 2**20, whole=True),
    "num_workers": Limits(0, 1024, whole=True),
    "momentum": Limits(0, 1, whole=False, below=True),
    "weight_decay": Limits(0, 1000, whole=False),
    "warm_up": Limits(0, 1, whole=False),
}
WORDS: Mapping[str, tuple[str, ...]] = {"optimizer": get_args(Optimizer), "schedule": get_args(Schedule)}


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
        if not limits.low <= value <= limits.high or (limits.below and value == limits.high):
            said = f" ({limits.said})" if limits.said else ""
            top = f"{'below ' * limits.below}{plain(limits.high)}"
            raise ValueError(f"{key} {has} {shown}; it must lie between {plain(limits.low)} and {top}{said}")


def check_knob(
    key: str,
    name: str,
    values: Iterable[Value],
    *,
    cpus: int | None = None,
    options: Mapping[str, Value],
    several: bool = True,
    floats: bool = False,
) -> None:
    """Refuse values that a hyperparameter, or an option of the workload's models, cannot have.

    Parameters
    ----------
    cpus
        Of a slice, where loader workers are held to them.
    options
        Of the workload's models, with their usual values: what is given must be of the same kind.

    Raises
    ------
    ValueError
        As `check_values`.
    """
    values = list(values)
    if name in LIMITS:
        limits = LIMITS[name]
        if name == "num_workers" and cpus is not None:
            limits = limits._replace(high=cpus, said=OF_A_SLICE)
        check_values(key, values, limits, several=several, floats=floats)
        return
    if name in WORDS:
        if wrong := [value for value in values if value not in WORDS[name]]:
            raise ValueError(f"{key} {'has' if several else 'is'} {wrong[0]!r}{nearest(str(wrong[0]), WORDS[name])}")
        return
    if infinite := [value for value in values if isinstance(value, float) and not isfinite(value)]:
        raise ValueError(f"{key} {'has' if several else 'is'} {infinite[0]}; it takes finite numbers")
    if name in options:
        wanted = kind_of(options[name])
        if wrong := [value for value in values if kind_of(value) != wanted]:
            usual = _as_written(options[name])
            raise ValueError(
                f"{key} {'has' if several else 'is'} {_as_written(wrong[0])}; it takes {wanted}: "
                f"the workload says options.{name} = {usual}"
            )


def check_space(framework_name: str, searched: Mapping[str, Searched], cpus: int, options: Mapping[str, Value]) -> None:
    """Refuse a framework's search space that holds what no training can have; `ValueError` as `check_values`."""
    for name in ALWAYS:
        if name not in searched:
            raise ValueError(
                f"space.{framework_name}.{name} is missing: neither the plan nor the workload's [space.all] says it"
            )
    for name, values in searched.items():
        key = f"space.{framework_name}.{name}"
        several = not (isinstance(values, Choices) and values.single)
        check_knob(key, name, values.ends, cpus=cpus, options=options, several=several)


def check_point(
    point: Mapping[str, Value],
    spaces: Mapping[str, Mapping[str, Searched]],
    drawn: Callable[[str, Mapping[str, Value]], Mapping[str, Value]],
    key: str,
) -> None:
    """Refuse a point that lies outside the search space of a framework.

    Parameters
    ----------
    drawn
        What a framework's sampler draws of it: another learning rate, where that is scaled.
    key
        Where it was given.
    """
    known = list(dict.fromkeys(name for searched in spaces.values() for name in searched))
    for name in point:
        if name not in known:
            raise ValueError(f"{key}: nothing searched is called {name}{nearest(name, known)}")
    for where, searched in spaces.items():
        needed = [name for name, values in searched.items() if name in ALWAYS or not values.single]
        if not set(needed) <= set(point):
            raise ValueError(f"{key}: each point needs {', '.join(needed)}; got {dict(point)}")
        for name, value in drawn(where, point).items():
            if name in searched and not searched[name].contains(value):
                scaled = f", where it is drawn as {_as_written(value)}" if value != point[name] else ""
                raise ValueError(f"{key}: {name} = {_as_written(point[name])} is outside the search space{scaled}")


def _as_written(value: Value) -> str:
    """A value as TOML has it, more or less."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, str) else plain(value)


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
    if isinstance(values, Value):
        return Choices((values,))
    if isinstance(values, dict) and set(values) == {"choices"} and isinstance(values["choices"], list | tuple):
        return Choices(tuple(values["choices"]))
    if isinstance(values, dict) and {"low", "high"} <= set(values) <= {"low", "high", "log"}:
        return Range(**values)
    raise ValueError(f"it is {values!r}; {_HOW}")
