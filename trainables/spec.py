"""What one training is asked to do, as plain data that travels from the driver to a trial."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from trainables.contract import Device, Execution, Hyperparameters

Clock = Literal["warm", "cold"]
Metric = Literal["accuracy", "loss"]  # of the validation split: at least the target, or at most


@dataclass(frozen=True)
class TrainingSpec:
    """One training: framework, workload, hyperparameters, and when to stop."""

    framework: str
    workload: str
    hyperparameters: Hyperparameters
    seed: int
    target: float  # of ``metric``
    evaluate_every_samples: int
    limit_s: float  # on the clock of ``objective``
    epochs: int
    device: Device
    threads: int  # compute threads: the CPUs of the slice
    metric: Metric = "accuracy"
    objective: Clock = "warm"
    pinned: bool = False  # held to ``threads`` CPUs of its own, where the system can hold it
    holds: int = 1  # evaluations in a row that must meet the target; older versions asked for one
    test_score: bool = False  # touch the test split at the end: confirmation runs only
    training_score: bool = False  # measure the training split after every epoch, outside every clock
    stop_at_target: bool = True
    execution: Execution = field(default_factory=Execution)

    def as_dict(self) -> dict[str, Any]:
        """Nested dicts of JSON values."""
        return asdict(self)  # options included: a mapping of names to plain values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingSpec:
        """Inverse of `as_dict`; what an older version did not write is at its default."""
        knobs, execution = Hyperparameters(**values["hyperparameters"]), Execution(**values.get("execution", {}))
        return cls(**{**values, "hyperparameters": knobs, "execution": execution})

    def differences(self, other: TrainingSpec) -> str:
        """Names of the fields in which two specs differ, with both values."""
        mine, theirs = self.as_dict(), other.as_dict()
        names = [each.name for each in fields(self) if mine[each.name] != theirs[each.name]]
        return ", ".join(f"{name}: {theirs[name]} then, {mine[name]} now" for name in names)
