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


@dataclass(frozen=True)
class Range:
    """All values from ``low`` to ``high``, both included, on a log scale where ``log``."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low is {self.low}, above high, which is {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"low is {self.low}; a log scale needs a low above 0")

    def distribution(self, *, whole: bool) -> BaseDistribution:
        """The Optuna distribution, of whole numbers or of floats."""
        if whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(float(self.low), float(self.high), log=self.log)

    def whole(self) -> Iterable[int]:
        """Every whole number of it."""
        return range(int(self.low), int(self.high) + 1)


@dataclass(frozen=True)
class Choices:
    """One of these values."""

    choices: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.choices:
            raise ValueError("choices is empty")
        if len(set(self.choices)) != len(self.choices):
            raise ValueError(f"choices repeats a value: {list(self.choices)}")

    def distribution(self, *, whole: bool) -> BaseDistribution:  # noqa: ARG002 - the values say whether they are
        """The Optuna distribution."""
        return CategoricalDistribution(self.choices)

    def whole(self) -> Iterable[int]:
        """Every whole number of it."""
        return [int(each) for each in self.choices if each == int(each)]


Searched = Range | Choices


def distributions(searched: Mapping[str, Searched]) -> dict[str, BaseDistribution]:
    """Optuna distributions by hyperparameter name, in the order given."""
    return {name: values.distribution(whole=name != "learning_rate") for name, values in searched.items()}
