"""What a framework has to offer to take part: one ``start`` function that returns a `Run`.

A backend is one module with ``start(setup)``, which takes a `Setup`. It holds no stopwatch; the clock, the target, the
cadence of evaluations, the schedule of the learning rate, checkpoints and reports belong to `trainables.training`, the
same for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Split = Literal["train", "validation", "test"]
Device = Literal["cpu", "cuda"]
Loss = Literal["cross_entropy", "mean_squared_error"]
Optimizer = Literal["sgd", "nesterov", "adam", "adamw"]
Schedule = Literal["constant", "cosine", "one_cycle"]
Precision = Literal["float32", "bf16"]
MemoryFormat = Literal["contiguous", "channels_last"]
Option = bool | int | float | str  # what a model's ``build`` takes

# Samples; fixed, so that evaluation never depends on what is searched. LeNet's activations of 250 images stay in a
# CPU's cache: 10,000 images took 0.14 s so, and 0.24 s in batches of 1,000 (2 threads). A GPU (H100) took half a
# millisecond for each batch of 250, waiting for kernels, which came to more than half of the quickest trials' time.
EVALUATION_BATCH_SIZE = 250
GPU_EVALUATION_BATCH_SIZE = 1000  # at most; where samples are large, the memory is wanted for their activations
GPU_EVALUATION_BYTES = 2**24


@dataclass(frozen=True)
class Hyperparameters:
    """What is searched, or fixed for a whole study: how the training goes, and the options of its model.

    SGD: ``v = momentum * v + g``, ``p -= rate * v``; nesterov: ``p -= rate * (g + momentum * v)``, PyTorch's formulas,
    in which the rate stands outside the velocity. Adam and AdamW: betas (0.9, 0.999), eps 1e-8.
    """

    learning_rate: float  # at its highest, where the schedule changes it
    batch_size: int
    num_workers: int
    optimizer: Optimizer = "sgd"
    momentum: float = 0.9  # of sgd and nesterov
    weight_decay: float = (
        0.0  # L2, added to the gradient first; of adamw: ``p -= rate * weight_decay * p`` before the step
    )
    schedule: Schedule = "constant"  # `trainables.schedules`
    warm_up: float = 0.0  # share of all steps over which the rate rises to ``learning_rate``
    options: Mapping[str, Option] = field(default_factory=dict)  # what the model's ``build`` is called with


@dataclass(frozen=True)
class Execution:
    """How a training is computed, where its framework offers more than the defaults (`Framework.offers`)."""

    precision: Precision = "float32"  # bf16: forward passes in bfloat16 where PyTorch's autocast holds it safe
    memory_format: MemoryFormat = "contiguous"  # of images and weights; the values stay what they are
    data_on_device: bool = False  # the training split lies there whole, and no loader runs


@dataclass(frozen=True)
class Samples:
    """Samples of one split, C-order.

    Parameters
    ----------
    features
        Float32, shape (samples, ...): one or more dimensions after the first.
    targets
        Cross entropy: int64, shape (samples,), classes from 0. Mean squared error: float32, shape (samples, outputs).
    """

    features: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int64] | npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.targets)


Parameters = Mapping[str, npt.NDArray[np.float32]]  # by PyTorch's names, in its layout and order


@dataclass(frozen=True)
class Setup:
    """Everything that a backend needs for one training.

    Parameters
    ----------
    model
        The workload's file for this framework, whose ``build(**hyperparameters.options)`` makes the model.
    outputs
        How many numbers the model gives a sample: classes, or columns of the targets.
    """

    model: Path
    data: Mapping[Split, Samples]
    outputs: int
    loss: Loss
    hyperparameters: Hyperparameters
    execution: Execution
    seed: int  # of what the model draws itself: initial parameters, where none are given, and dropout
    device: Device
    threads: int  # compute threads


def evaluation_batch_size(device: Device, samples: Samples) -> int:
    """How many samples an evaluation takes at once, in every framework; whatever is searched."""
    if device == "cpu":
        return EVALUATION_BATCH_SIZE
    within = GPU_EVALUATION_BYTES // max(1, samples.features[:1].nbytes)
    return min(GPU_EVALUATION_BATCH_SIZE, max(EVALUATION_BATCH_SIZE, within))


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

    accuracy: float | None  # fraction in [0, 1]; None where the loss is not cross entropy
    loss: float  # mean over the samples; of mean squared error, over their outputs too


class Run(Protocol):
    """One training in one framework. Every method returns only when the device is idle."""

    def start_up(self) -> StartUp:
        """Where the seconds of its ``start`` went."""

    def warm_up(self) -> None:
        """Start the loader and compile every batch shape, on dummy data; then `reset` follows.

        What a loader has to start once, its workers, runs from here on.
        """

    def reset(self, parameters: Parameters | None) -> None:
        """Begin at these parameters, with a new optimizer and what the model draws seeded anew; on no clock.

        None: at the parameters that the model's own ``build`` drew under `Setup.seed`.
        """

    def begin_epoch(self, order: npt.NDArray[np.int64]) -> None:
        """Serve the training samples in this order, cut into batches of ``batch_size``, the last one kept."""

    def train(self, rates: npt.NDArray[np.float64]) -> Progress:
        """Take an optimizer step with each of these learning rates; never more than the epoch still has batches."""

    def evaluate(self, split: Split) -> Score:
        """Accuracy and loss on a whole split, in evaluation mode."""

    def parameters(self) -> dict[str, npt.NDArray[np.float32]]:
        """Copies of all parameters and BatchNorm statistics: PyTorch's names, layout and order.

        A model that has no twin in PyTorch: the names that `trainables.flux` gives them.
        """

    def load_parameters(self, arrays: Parameters) -> None:
        """Set what `parameters` returns; by name where both sides name layers alike, and by position where not.

        Raises
        ------
        RuntimeError
            Where they do not fit: both lists side by side, the first difference marked.
        """

    def save(self, path: Path) -> None:
        """Write parameters, optimizer state and the state of what draws random numbers to a file."""

    def load(self, path: Path) -> None:
        """Continue from what `save` wrote, bit for bit where the arithmetic allows."""

    def loader_workers(self) -> int:
        """How many loader processes or threads are really running now."""

    def clock(self) -> float:
        """Seconds on the clock that times this run: monotonic, ``time.perf_counter`` for real frameworks."""

    def close(self) -> None:
        """Stop loader workers and free memory, so that the process can serve another run; may be called twice."""


class Start(Protocol):
    """The signature of a backend's ``start``; what the model's file raises comes as a RuntimeError of file and line."""

    def __call__(self, setup: Setup) -> Run: ...


@dataclass(frozen=True)
class Loading:
    """What loader workers will have to do on a machine, at most."""

    batch_size: int
    num_workers: int  # of a training; one at least
    at_once: int = 1  # trainings at once
    shape: tuple[int, ...] = (1, 28, 28)  # of one sample's features


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


@dataclass(frozen=True)
class Tried:
    """What came of building a model and showing it samples, by the ``try_model`` of a ``check`` module.

    Parameters
    ----------
    problem
        Why it cannot be trained, in one line that begins with file and line; None where it can.
    alone
        What of it cannot learn from a batch of one sample, as ``BatchNorm``; empty where nothing is so.
    """

    problem: str | None = None
    alone: str = ""


class TryModel(Protocol):
    """The signature of a ``check`` module's ``try_model``, called in a process of its own; it raises nothing."""

    def __call__(self, *, model: Path, options: Mapping[str, Option], shape: tuple[int, ...], outputs: int) -> Tried:
        """``shape`` is that of one sample's features, ``outputs`` how many numbers the model has to give a sample."""


TracePrecision = Literal["float32", "float64"]


@dataclass(frozen=True)
class TraceSetup:
    """What single steps need; always on the CPU. Dropout is switched off, for it draws in each framework's own way."""

    model: Path
    sample_shape: tuple[int, ...]  # of one sample's features
    outputs: int
    loss: Loss
    hyperparameters: Hyperparameters
    seed: int
    precision: TracePrecision
    threads: int


class TracedStep(NamedTuple):
    """Everything that one optimizer step computed, in the precision of the trace; PyTorch's names, layout and order."""

    loss: float
    outputs: npt.NDArray[Any]  # (samples, outputs), before the step
    gradients: dict[str, npt.NDArray[Any]]
    parameters: dict[str, npt.NDArray[Any]]  # after the step, BatchNorm statistics included


class Trace(Protocol):
    """Single steps of the backend's own training step, laid open: what ``tuneoff verify`` compares."""

    def parameters(self) -> dict[str, npt.NDArray[Any]]:
        """All parameters and BatchNorm statistics as they are now, in the precision of the trace."""

    def load_parameters(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Set what `parameters` returns, as `Run.load_parameters`; the optimizer's state stays."""

    def inputs(self, samples: Samples) -> dict[str, npt.NDArray[Any]]:
        """What goes into every layer that holds tensors, and out of the model under the empty name, in that order.

        By the layers' names in PyTorch, in its layout; parameters, statistics and optimizer stay as they are.
        """

    def step(self, samples: Samples, rate: float) -> TracedStep:
        """Take one step on these samples with this learning rate."""


class StartTrace(Protocol):
    """The signature of a backend's ``start_trace``."""

    def __call__(self, setup: TraceSetup) -> Trace: ...


Record = dict[str, Any]  # one flat row, JSON values only: what travels from a trial to the records
