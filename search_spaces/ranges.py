"""How a plan writes a searched hyperparameter, and the Optuna distribution it stands for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search_spaces.names import FLOATS

Value = bool | int | float | str


@dataclass(frozen=True)
class Range:
    """All values from ``low`` to ``high``, both included, on a log scale where ``log``; whole ones where both are."""

    low: int | float
    high: int | float
    log: bool = False

    def __post_init__(self) -> None:
        for name, end in (("low", self.low), ("high", self.high)):
            if isinstance(end, bool) or not isinstance(end, int | float):
                raise ValueError(f"{name} is {end!r}; it takes numbers")
        if not isinstance(self.log, bool):
            raise ValueError(f"log is {self.log!r}; it takes true or false")
        if self.low > self.high:
            raise ValueError(f"low is {self.low}, above high, which is {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"low is {self.low}; a log scale needs a low above 0")

    @property
    def is_whole(self) -> bool:
        """Whether it is written with whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[Value, ...]:
        """What any value of it lies between."""
        return (self.low, self.high)

    @property
    def single(self) -> bool:
        """Whether there is nothing to search."""
        return self.low == self.high

    def contains(self, value: Value) -> bool:
        """Whether a value is one of it."""
        return not isinstance(value, bool | str) and self.low <= value <= self.high

    def distribution(self, *, floats: bool) -> BaseDistribution:
        """The Optuna distribution; of floats, where they are asked for or the range is not whole."""
        if self.is_whole and not floats:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(float(self.low), float(self.high), log=self.log)

    def whole(self) -> Iterable[int]:
        """Every whole number of it."""
        return range(int(self.low), int(self.high) + 1)


@dataclass(frozen=True)
class Choices:
    """One of these values: numbers, texts, or truth values."""

    choices: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.choices:
            raise ValueError("choices is empty")
        for value in self.choices:
            if not isinstance(value, Value):
                raise ValueError(f"choices has {value!r}; it takes numbers, texts, true and false")
        if len({kind_of(value) for value in self.choices}) > 1:
            raise ValueError(f"choices mixes numbers, texts or true and false: {list(self.choices)}")
        if len(set(self.choices)) != len(self.choices):
            raise ValueError(f"choices repeats a value: {list(self.choices)}")

    @property
    def ends(self) -> tuple[Value, ...]:
        """All of them."""
        return self.choices

    @property
    def single(self) -> bool:
        """Whether there is nothing to search."""
        return len(self.choices) == 1

    def contains(self, value: Value) -> bool:
        """Whether a value is one of them."""
        return any(kind_of(each) == kind_of(value) and each == value for each in self.choices)

    def distribution(self, *, floats: bool) -> BaseDistribution:  # noqa: ARG002 - the values say what they are
        """The Optuna distribution."""
        return CategoricalDistribution(self.choices)

    def whole(self) -> Iterable[int]:
        """Every whole number of it."""
        return [int(each) for each in self.choices if not isinstance(each, str) and each == int(each)]


Searched = Range | Choices


def kind_of(value: object) -> str:
    """What a value is, for people."""
    if isinstance(value, bool):
        return "true or false"
    return "a text" if isinstance(value, str) else "a number"


def distributions(searched: Mapping[str, Searched]) -> dict[str, BaseDistribution]:
    """Optuna distributions by hyperparameter name, in the order given."""
    return {name: values.distribution(floats=name in FLOATS) for name, values in searched.items()}
