"""Flux behind the contract: FluxTrainer (the julia folder) in this process, through juliacall.

Julia starts in `start` or `start_trace`, on the thread that calls it, and stays for the rest of the process: a second
training finds it running and compiled. Never in a process that has imported torch (both orders are known to crash).
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from ctypes import POINTER, byref, c_double, c_int64
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.contract import (
    Device,
    LabelledImages,
    MemoryFormat,
    Optimizer,
    Precision,
    Progress,
    Score,
    Split,
    StartUp,
    TracedStep,
    TracePrecision,
)
from trainables.flux.environment import withheld
from trainables.flux.errors import julia_errors, told_why_julia_does_not_start
from trainables.flux.runtime import find_runtime
from trainables.flux.seam import Seam, Settings, lend
from trainables.flux.signals import kept_from_julia
from trainables.workloads.architectures import CLASSES, MODELS, TensorSpec

# `functional` says why on stderr and answers false, or throws, by version.
_TRY_GPU = 'begin CUDA.functional(true) || error("CUDA.jl finds none that works"); sum(CUDA.ones(1)); nothing end'

Arrays = dict[str, npt.NDArray[Any]]
# What Julia works on in place, by the number of its run: here until the run is closed, whoever forgets it.
_lent_to: dict[int, Arrays] = {}


def start(
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
) -> FluxRun:
    """Start Julia where it is not running yet, build the model, the optimiser and the loader; see `contract.Start`."""
    seam, start_up = _flux_trainer(threads, device)
    lent = {name: array for split, samples in data.items() for name, array in _named(split, samples)}
    initial = {name: np.ascontiguousarray(array) for name, array in parameters.items()}
    settings = _settings(
        model=model,
        learning_rate=learning_rate,
        batch_size=batch_size,
        num_workers=num_workers,
        optimizer=optimizer,
        momentum=momentum,
        weight_decay=weight_decay,
        precision=precision,
        memory_format=memory_format,
        data_on_device=data_on_device,
        device=device,
        threads=threads,
    )
    held = c_int64()
    seam.call("start", byref(held), byref(settings), lend(lent), len(lent), lend(initial), len(initial))
    return FluxRun(seam, held.value, lent, {name: array.shape for name, array in initial.items()}, start_up)


class FluxRun:
    """One training in Flux; the methods are those of `trainables.contract.Run`."""

    def __init__(
        self, seam: Seam, held: int, lent: Arrays, shapes: Mapping[str, tuple[int, ...]], start_up: StartUp
    ) -> None:
        self._seam = seam
        self._held = held
        self._shapes = shapes
        self._start_up = start_up
        self._open = True
        _lent_to[held] = lent

    def start_up(self) -> StartUp:
        return self._start_up

    def warm_up(self) -> None:
        self._seam.call("warm_up", self._held)

    def begin_epoch(self, order: npt.NDArray[np.int64]) -> None:
        positions = np.ascontiguousarray(order, dtype=np.int64)
        self._seam.call("begin_epoch", self._held, positions.ctypes.data_as(POINTER(c_int64)), len(positions))

    def train(self, batches: int) -> Progress:
        loss, samples, data_s = c_double(), c_int64(), c_double()
        self._seam.call("train", self._held, batches, byref(loss), byref(samples), byref(data_s))
        return Progress(loss=loss.value, samples=samples.value, data_s=data_s.value)

    def evaluate(self, split: Split) -> Score:
        accuracy, loss = c_double(), c_double()
        self._seam.call("evaluate", self._held, split.encode(), byref(accuracy), byref(loss))
        return Score(accuracy=accuracy.value, loss=loss.value)

    def parameters(self) -> dict[str, npt.NDArray[np.float32]]:
        arrays = {name: np.empty(shape, np.float32) for name, shape in self._shapes.items()}
        self._seam.call("parameters", self._held, lend(arrays), len(arrays))
        return arrays

    def load_parameters(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
        given = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        self._seam.call("load_parameters", self._held, lend(given), len(given))

    def save(self, path: Path) -> None:
        self._seam.call("save", self._held, os.fsencode(path))

    def load(self, path: Path) -> None:
        self._seam.call("load", self._held, os.fsencode(path))

    def loader_workers(self) -> int:
        if not self._open:
            return 0
        workers = c_int64()
        self._seam.call("loader_workers", self._held, byref(workers))
        return workers.value

    def clock(self) -> float:
        return perf_counter()

    def close(self) -> None:
        if self._open:
            self._open = False
            self._seam.call("close", self._held)
            del _lent_to[self._held]


def start_trace(
    *,
    model: str,
    parameters: Mapping[str, npt.NDArray[np.float32]],
    learning_rate: float,
    optimizer: Optimizer,
    momentum: float,
    weight_decay: float,
    precision: TracePrecision,
    threads: int,
) -> FluxTrace:
    """See `trainables.contract.StartTrace`."""
    seam, _ = _flux_trainer(threads, "cpu")
    initial = {name: np.ascontiguousarray(array) for name, array in parameters.items()}
    settings = _settings(
        model=model,
        learning_rate=learning_rate,
        optimizer=optimizer,
        momentum=momentum,
        weight_decay=weight_decay,
        precision=precision,
        threads=threads,
    )
    held = c_int64()
    seam.call("start_trace", byref(held), byref(settings), lend(initial), len(initial))
    return FluxTrace(seam, held.value, MODELS[model](), np.dtype(precision))


class FluxTrace:
    """Single steps with everything they compute; see `trainables.contract.Trace`."""

    def __init__(self, seam: Seam, held: int, tensors: tuple[TensorSpec, ...], precision: np.dtype[Any]) -> None:
        self._seam = seam
        self._held = held
        self._tensors = tensors
        self._precision = precision

    def parameters(self) -> Arrays:
        arrays = self._like(self._tensors)
        self._seam.call("parameters", self._held, lend(arrays), len(arrays))
        return arrays

    def load_parameters(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        given = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        self._seam.call("load_parameters", self._held, lend(given), len(given))

    def step(self, images: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> TracedStep:
        samples = dict(_named("batch", LabelledImages(images, labels)))
        loss, logits = c_double(), {"logits": np.empty((len(labels), CLASSES), self._precision)}
        gradients = self._like(tensor for tensor in self._tensors if tensor.trained)
        self._seam.call(
            "trace_step", self._held, lend(samples), byref(loss), lend(logits), lend(gradients), len(gradients)
        )
        return TracedStep(loss=loss.value, logits=logits["logits"], gradients=gradients, parameters=self.parameters())

    def _like(self, tensors: Iterable[TensorSpec]) -> Arrays:
        return {tensor.name: np.empty(tensor.shape, self._precision) for tensor in tensors}


def _named(split: str, samples: LabelledImages) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Images and labels, as Julia takes them apart again."""
    yield f"{split}/images", np.ascontiguousarray(samples.images)
    yield f"{split}/labels", np.ascontiguousarray(samples.labels)


def _settings(**asked: str | float) -> Settings:
    return Settings(**{name: value.encode() if isinstance(value, str) else value for name, value in asked.items()})


def _flux_trainer(threads: int, device: Device) -> tuple[Seam, StartUp]:
    """FluxTrainer's functions; the first call starts Julia with the threads of the slice, and tells how long."""
    if "torch" in sys.modules:
        raise RuntimeError(
            "torch is loaded in this process; Julia and torch crash in one process, so give Flux its own"
        )
    environment = _environment(threads)
    for variable in withheld():
        del os.environ[variable]
    os.environ.update(environment)
    began = perf_counter()
    with told_why_julia_does_not_start(), kept_from_julia():
        import juliacall  # here, since the import starts Julia
    started = perf_counter()
    if device == "cuda":
        with julia_errors():
            juliacall.Main.seval("using CUDA, cuDNN")  # brings FluxTrainer's extension with it
        _make_sure_of_gpu(juliacall.Main)
    with told_why_julia_does_not_start(), julia_errors():
        juliacall.Main.seval("using FluxTrainer")
        start_up = StartUp(runtime_s=started - began, packages_s=perf_counter() - started)
        return Seam(juliacall.Main.seval("FluxTrainer.entry_points()")), start_up


def _make_sure_of_gpu(main: Any) -> None:
    """Compute something on the GPU that this training was given, or say in a line that it cannot be used."""
    try:
        with julia_errors():
            main.seval(_TRY_GPU)
    except RuntimeError as error:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        which = f"GPU {visible}, which" if visible else "the GPU that"
        why = " ".join(str(error).split())
        raise RuntimeError(
            f"Flux cannot use {which} this training was given on {socket.gethostname()}: {why}"
        ) from None


def _environment(threads: int) -> dict[str, str]:
    """What juliacall reads when it is imported."""
    runtime = find_runtime()
    return {
        **runtime.environment(),
        **_library(runtime.executable),
        # With one compute thread, a pool of its own for one loader thread (the main thread is in that pool, too). With
        # more, all share one pool: the main thread is a compute thread then. Apart from the pool, small batches took
        # half as long again (LeNet, batch 64, 2 threads: 0.54 s for 6,000 samples instead of 0.35 s).
        "PYTHON_JULIACALL_THREADS": "1,2" if threads == 1 else str(threads),
        # With threads, Julia must handle signals itself: it uses SIGSEGV to stop threads for garbage collection.
        "PYTHON_JULIACALL_HANDLE_SIGNALS": "yes",
        "PYTHON_JULIACALL_STARTUP_FILE": "no",
        "PYTHON_JULIACALL_AUTOLOAD_IPYTHON_EXTENSION": "no",
    }


def _library(executable: str) -> dict[str, str]:
    """Where Julia's library lies; empty where that is not seen, and then juliacall asks another Julia, for 0.3 s."""
    binaries = Path(executable).resolve().parent
    found = (binaries.parent / "lib" / f"libjulia.{ending}" for ending in ("so", "dylib"))
    library = next((each for each in found if each.exists()), None)
    if library is None:
        return {}
    return {"PYTHON_JULIACALL_LIB": str(library), "PYTHON_JULIACALL_BINDIR": str(binaries)}
