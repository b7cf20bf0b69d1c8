"""Which trainings a recorded table consists of, and in which order they are done: the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np

from trainables.workloads.workload import Workload

_JITTER = 16  # seeds where in its stratum a learning rate lies


@dataclass(frozen=True)
class Job:
    """One training of a table."""

    framework: str
    batch_size: int
    learning_rate: float
    seed: int

    @classmethod
    def of(cls, row: dict[str, Any]) -> Job:
        """The training that a recorded line is of."""
        return cls(**{key: row[key] for key in cls.__dataclass_fields__})

    def as_row(self) -> dict[str, Any]:
        """The beginning of its line."""
        return asdict(self)


def jobs(workload: Workload, *, framework: str, per_batch: int, seeds: int) -> Iterator[Job]:
    """All trainings, those first without which a table would be of least use.

    One seed after the other; of a seed the learning rates from coarse to fine, so that an unfinished recording spans
    the whole space; of a learning rate's stratum all batch sizes, the smallest first, which takes longest.
    """
    space = workload.space["all"]
    rates = {size: learning_rates(space["learning_rate"], size, per_batch) for size in batch_sizes(workload)}
    for seed, stratum, size in product(range(seeds), coarse_to_fine(per_batch), rates):
        yield Job(framework, size, rates[size][stratum], seed)


def batch_sizes(workload: Workload) -> list[int]:
    """Those that the workload's search chooses from."""
    return sorted(workload.space["all"]["batch_size"]["choices"])


def learning_rates(space: dict[str, Any], batch_size: int, count: int) -> list[float]:
    """One at random in each of ``count`` strata of the logarithm; six digits, so that a file's text is the value."""
    random = np.random.default_rng([_JITTER, batch_size])
    low, high = np.log(space["low"]), np.log(space["high"])
    places = (np.arange(count) + random.random(count)) / count
    return [float(f"{rate:.6g}") for rate in np.exp(low + places * (high - low))]


def coarse_to_fine(count: int) -> list[int]:
    """The numbers below ``count``, each about the middle of the widest gap before it."""
    bits = max(1, (count - 1).bit_length())
    order = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(2**bits))
    return [number for number in order if number < count]
