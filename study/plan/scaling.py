"""The learning rate searched as one at a reference batch size: what is drawn is the *base* rate, what runs the actual.

Actual = base * (batch size / reference) ^ p, with p = 1 for linear scaling [1]_, 1/2 for square-root scaling [2]_ and 0
for none. A sampler that draws base rates need not learn anew at every batch size where the good rates lie. The bounds
of ``space.learning_rate`` are those of the base; the actual rate may leave them and is never clipped, for two draws
that become one would deceive the sampler. Whatever a person or a trial sees is the actual rate; Optuna alone has the
base.

References
----------
.. [1] P. Goyal et al.: Accurate, large minibatch SGD: training ImageNet in 1 hour. arXiv:1706.02677, 2017.
.. [2] A. Krizhevsky: One weird trick for parallelizing convolutional neural networks. arXiv:1404.5997, 2014.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isclose, nextafter
from typing import Any, Literal

ScalingName = Literal["none", "sqrt", "linear"]
_POWERS: dict[ScalingName, float] = {"none": 0.0, "sqrt": 0.5, "linear": 1.0}
_RATE, _SIZE = "learning_rate", "batch_size"


@dataclass(frozen=True)
class Scaling:
    """How the learning rate follows the batch size.

    Parameters
    ----------
    reference
        The batch size at which base and actual rate are the same; of no account where the name is ``none``.
    """

    name: ScalingName = "none"
    reference: int = 1

    def factor(self, batch_size: float) -> float:
        """Actual over base rate at a batch size; exactly 1 where nothing is scaled."""
        return float((batch_size / self.reference) ** _POWERS[self.name]) if self.name != "none" else 1.0

    def actual(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration that a draw stands for; the same where it has no rate, or no batch size."""
        if self.name == "none" or not {_RATE, _SIZE} <= set(drawn):
            return dict(drawn)
        return {**drawn, _RATE: drawn[_RATE] * self.factor(drawn[_SIZE])}

    def base(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """The draw that stands for a configuration: `actual` of it is that again, but for the last digit at most."""
        if self.name == "none" or not (_is_number(point.get(_RATE)) and _is_number(point.get(_SIZE))):
            return dict(point)  # as it is: no configuration, if it has others
        wanted, factor = point[_RATE], self.factor(point[_SIZE])
        near = wanted / factor
        tries = (near, nextafter(near, 0.0), nextafter(near, 2 * near))
        return {**point, _RATE: next((each for each in tries if each * factor == wanted), near)}


def _is_number(value: object) -> bool:
    """Whether it is one above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, but for the last digits of a rate that went to its base and back."""
    if isinstance(one, float) and isinstance(other, float):
        return isclose(one, other, rel_tol=1e-12)
    return bool(one == other)
