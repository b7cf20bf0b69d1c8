"""The default search space of each workload: the same for every framework, because a fair search needs that.

Learning rates span the range in which the pilot (trainables/README.md) saw anything between "too slow" and "diverges".
Batch sizes are those of the benchmark this project grew from, as far as the data set allows, and the powers between.
"""

from __future__ import annotations

from search_spaces.ranges import Choices, Range, Searched

HYPERPARAMETERS = ("learning_rate", "batch_size", "num_workers")

_DIGITS: dict[str, Searched] = {
    "learning_rate": Range(0.005, 0.1, log=True),
    "batch_size": Choices((16, 32, 64, 128)),
}
_MNIST: dict[str, Searched] = {
    "learning_rate": Range(0.01, 0.5, log=True),
    "batch_size": Choices((32, 64, 128, 256, 512, 2048)),
}

SPACES: dict[str, dict[str, Searched]] = {
    "digits-lenet": _DIGITS,
    "mnist-lenet": _MNIST,
    "fashion-lenet": _MNIST,
    "mnist-resnet18": _MNIST,
    "fashion-resnet18": _MNIST,
}


def space(workload: str, *, cpus: int) -> dict[str, Searched]:
    """The default space of a workload on a slice with this many CPUs.

    ``num_workers`` goes from 0, loading in the training process, up to the CPUs of the slice.
    """
    return {**SPACES[workload], "num_workers": Range(0, cpus)}
