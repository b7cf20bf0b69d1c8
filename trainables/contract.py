"""What a framework has to offer to take part: one ``start`` function that returns a `Run`.

A backend is one module with ``start(...)``, taking the keywords of `Start` below. It holds no stopwatch; the clock,
the target, the cadence of evaluations, checkpoints and reports belong to `trainables.training`, the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Split = Literal["train", "validation", "test"]
Device = Literal["cpu", "cuda"]
Optimizer = Literal["sgd", "adam"]
Precision = Literal["float32", "bf16"]
MemoryFormat = Literal["contiguous", "channels_last"]

# Samples; fixed, so that evaluation never depends on what is searched. LeNet's activations of 250 images stay in a
# CPU's cache: 10,000 images took 0.14 s so, and 0.24 s in batches of 1,000 (2 threads).
EVALUATION_BATCH_SIZE = 250


@dataclass(frozen=True)
class Hyperparameters:
    """What is searched, and the optimizer it is searched for."""

    learning_rate: float
    batch_size: int
    num_workers: int
    optimizer: Optimizer = "sgd"
    momentum: float = 0.9  # SGD only; Adam keeps its betas (0.9, 0.999) and eps 1e-8
    weight_decay: float = 0.0  # L2, added to the gradient before the momentum


@dataclass(frozen=True)
class Execution:
    """How a training is computed, where its framework offers more than the defaults (`Framework.offers`)."""

    precision: Precision = "float32"  # bf16: forward passes in bfloat16 where PyTorch's autocast holds it safe
    memory_format: MemoryFormat = "contiguous"  # of images and weights; the values stay what they are
    data_on_device: bool = False  # the training split lies there whole, and no loader runs


@dataclass(frozen=True)
class LabelledImages:
    """Images float32, C-order, shape (samples, 1, 28, 28), in [0, 1]; labels int64, shape (samples,), in 0..9."""

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


class Progress(NamedTuple):
    """What one call of `Run.train` did."""

    loss: float  # mean over the samples of this call, before each update
    samples: int
    data_s: float  # seconds spent waiting for batches, transfer to the device included


class StartUp(NamedTuple):
    """What a backend's ``start`` did before it came to its training; next to nothing where another had done so."""

    runtime_s: float = 0.0  # starting what the framework runs in, where that is not Python
    packages_s: float = 0.0  # loading the framework; what importing the backend loads is no part of it


class Score(NamedTuple):
    """Result of one evaluation of a split."""

    accuracy: float  # fraction in [0, 1]
    loss: float  # mean cross entropy over the samples


class Run(Protocol):
    """One training in one framework. Every method returns only when the device is idle."""

    def start_up(self) -> StartUp:
        """Where the seconds of its ``start`` went."""

    def warm_up(self) -> None:
        """Start the loader and compile every batch shape, on dummy data; then reset to the initial parameters.

        What a loader has to start once, its workers, runs from here on; the optimizer is a new one, too.
        """

    def begin_epoch(self, order: npt.NDArray[np.int64]) -> None:
        """Serve the training samples in this order, cut into batches of ``batch_size``, the last one kept."""

    def train(self, batches: int) -> Progress:
        """Take ``batches`` optimizer steps; never called for more than the epoch still has."""

    def evaluate(self, split: Split) -> Score:
        """Accuracy and loss on a whole split, in evaluation mode."""

    def parameters(self) -> dict[str, npt.NDArray[np.float32]]:
        """Copies of all parameters and BatchNorm statistics: PyTorch's names, layout and order."""

    def load_parameters(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Set what `parameters` returns."""

    def save(self, path: Path) -> None:
        """Write parameters and optimizer state to a file."""

    def load(self, path: Path) -> None:
        """Continue from what `save` wrote, bit for bit where the arithmetic allows."""

    def loader_workers(self) -> int:
        """How many loader processes or threads are really running now."""

    def clock(self) -> float:
        """Seconds on the clock that times this run: monotonic, ``time.perf_counter`` for real frameworks."""

    def close(self) -> None:
        """Stop loader workers and free memory, so that the process can serve another run; may be called twice."""


class Start(Protocol):
    """The signature of a backend's ``start``: data in, parameters in, knobs in, a `Run` out."""

    def __call__(
        self,
        *,
        model: str,
        data: Mapping[Split, LabelledImages],
        parameters: Mapping[str, npt.NDArray[np.float32]],
        learning_rate: float,
        batch_size: int,
        num_workers: int,
        optimizer: Optimizer,
        momentum: float,
        weight_decay: float,
        precision: Precision,
        memory_format: MemoryFormat,
        data_on_device: bool,
        device: Device,
        threads: int,
    ) -> Run: ...


@dataclass(frozen=True)
class Loading:
    """What loader workers will have to do on a machine, at most."""

    batch_size: int
    num_workers: int  # of a training; one at least
    at_once: int = 1  # trainings at once


@dataclass(frozen=True)
class Readiness:
    """What a framework can use on this machine, found by the ``look`` of its ``check`` module.

    Parameters
    ----------
    version
        Of what was asked, for people.
    devices
        Names of the GPUs that a training could get.
    no_device
        Why there are none; empty where there are, or where it was not looked.
    no_loading
        For each `Loading` that was asked about, why its workers could not do it; None where they can.
    broken
        Why it could not be asked at all; None where it could.
    """

    version: str = ""
    devices: tuple[str, ...] = ()
    no_device: str = ""
    no_loading: tuple[str | None, ...] = ()
    broken: str | None = None

    @property
    def gpus(self) -> str:
        """What it sees, to stand after ``sees``."""
        if not self.devices:
            return f"no GPU ({self.no_device})" if self.no_device else "no GPU"
        return f"{len(self.devices)} GPU{'s'[: len(self.devices) > 1]} ({', '.join(self.devices)})"


class Look(Protocol):
    """The signature of a ``check`` module's ``look``, called in a process of its own.

    GPUs are looked for where ``device`` is ``cuda``, and left alone where it is not.
    """

    def __call__(self, *, device: Device, loadings: Sequence[Loading]) -> Readiness: ...


TracePrecision = Literal["float32", "float64"]


class TracedStep(NamedTuple):
    """Everything that one optimizer step computed, in the precision of the trace; PyTorch's names, layout and order."""

    loss: float
    logits: npt.NDArray[Any]  # (samples, 10), before the step
    gradients: dict[str, npt.NDArray[Any]]
    parameters: dict[str, npt.NDArray[Any]]  # after the step, BatchNorm statistics included


class Trace(Protocol):
    """Single steps of the backend's own training step, laid open: what ``tuneoff verify`` compares."""

    def parameters(self) -> dict[str, npt.NDArray[Any]]:
        """All parameters and BatchNorm statistics as they are now, in the precision of the trace."""

    def load_parameters(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Set what `parameters` returns; the optimizer's state stays."""

    def step(self, images: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> TracedStep:
        """Take one step on these images, shape (samples, 1, 28, 28), and labels, shape (samples,)."""


class StartTrace(Protocol):
    """The signature of a backend's ``start_trace``; always on the CPU."""

    def __call__(
        self,
        *,
        model: str,
        parameters: Mapping[str, npt.NDArray[np.float32]],
        learning_rate: float,
        optimizer: Optimizer,
        momentum: float,
        weight_decay: float,
        precision: TracePrecision,
        threads: int,
    ) -> Trace: ...


Record = dict[str, Any]  # one flat row, JSON values only: what travels from a trial to the records
