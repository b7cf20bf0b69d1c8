"""The shipped workloads as data: data set, model, target, cadence and limits.

Targets come from a pilot that is written down in trainables/README.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainables.common.errors import UserError
from trainables.common.suggest import nearest

# Evaluations in a row that must meet the target, in every plan that does not say another number: one alone is a noisy
# measurement, and the first of many to pass is picked for its luck.
HOLDS = 2


@dataclass(frozen=True)
class Workload:
    """What is trained, and when it counts as trained."""

    name: str
    dataset: str  # a name of `trainables.workloads.datasets.DATASETS`
    model: str  # a name of `trainables.workloads.architectures.MODELS`
    target: float  # validation accuracy to reach, a fraction
    evaluate_every_samples: int  # training samples between two evaluations, the same for every batch size
    limit_s: float  # seconds of training after which a run is censored
    epochs: int  # epochs after which a run is censored


_WORKLOADS = (
    Workload("digits-lenet", "digits", "lenet", target=0.94, evaluate_every_samples=539, limit_s=30.0, epochs=40),
    Workload("mnist-lenet", "mnist", "lenet", target=0.985, evaluate_every_samples=5_000, limit_s=60.0, epochs=20),
    Workload("fashion-lenet", "fashion", "lenet", target=0.88, evaluate_every_samples=5_000, limit_s=120.0, epochs=30),
    Workload("mnist-resnet18", "mnist", "resnet18", target=0.99, evaluate_every_samples=5_000, limit_s=3600, epochs=10),
    Workload(
        "fashion-resnet18", "fashion", "resnet18", target=0.91, evaluate_every_samples=5_000, limit_s=7200, epochs=20
    ),
)

WORKLOADS = {workload.name: workload for workload in _WORKLOADS}


def workload(name: str) -> Workload:
    """The shipped workload of this name.

    Raises
    ------
    UserError
        When there is none; the message names the nearest.
    """
    if name not in WORKLOADS:
        raise UserError(f"unknown workload '{name}'{nearest(name, WORKLOADS)}")
    return WORKLOADS[name]
