"""Flux behind the contract: FluxTrainer (the julia folder) in this process, through juliacall.

Julia starts in `start`, `start_trace` or `try_model`, on the thread that calls it, and stays for the rest of the
process: a second training finds it running and compiled. Never in a process that has imported torch (both orders are
known to crash).
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Mapping
from ctypes import POINTER, byref, c_double, c_int64
from math import isnan
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.contract import (
    Device,
    Option,
    Parameters,
    Progress,
    Samples,
    Score,
    Setup,
    Split,
    StartUp,
    TracedStep,
    TraceSetup,
    Tried,
)
from trainables.flux.environment import withheld
from trainables.flux.errors import julia_errors, told_why_julia_does_not_start
from trainables.flux.matching import Tensor, listed, matched
from trainables.flux.runtime import find_runtime
from trainables.flux.seam import Seam, Settings, lend, with_options
from trainables.flux.signals import kept_from_julia

# `functional` says why on stderr and answers false, or throws, by version.
_TRY_GPU = 'begin CUDA.functional(true) || error("CUDA.jl finds none that works"); sum(CUDA.ones(1)); nothing end'

Arrays = dict[str, npt.NDArray[Any]]
# What Julia works on in place, by the number of its run: here until the run is closed, whoever forgets it.
_lent_to: dict[int, Arrays] = {}


def start(setup: Setup) -> FluxRun:
    """Start Julia where it is not running yet, build the model, the optimiser and the loader; see `contract.Start`."""
    seam, start_up = _flux_trainer(setup.threads, setup.device)
    knobs = setup.hyperparameters
    lent = {name: array for split, samples in setup.data.items() for name, array in _named(split, samples)}
    settings = _settings(
        model=os.fsencode(setup.model),
        loss=setup.loss,
        optimizer=knobs.optimizer,
        precision=setup.execution.precision,
        memory_format=setup.execution.memory_format,
        device=setup.device,
        momentum=knobs.momentum,
        weight_decay=knobs.weight_decay,
        outputs=setup.outputs,
        batch_size=knobs.batch_size,
        num_workers=knobs.num_workers,
        data_on_device=setup.execution.data_on_device,
        seed=setup.seed,
        threads=setup.threads,
    )
    options, held = with_options(knobs.options), c_int64()
    seam.call("start", byref(held), byref(settings), options, len(options), lend(lent), len(lent))
    return FluxRun(seam, held.value, lent, start_up)


class FluxRun:
    """One training in Flux; the methods are those of `trainables.contract.Run`."""

    def __init__(self, seam: Seam, held: int, lent: Arrays, start_up: StartUp) -> None:
        self._seam = seam
        self._held = held
        self._tensors = _Tensors(seam, held, np.dtype(np.float32))
        self._start_up = start_up
        self._open = True
        _lent_to[held] = lent

    def start_up(self) -> StartUp:
        return self._start_up

    def warm_up(self) -> None:
        self._seam.call("warm_up", self._held)

    def reset(self, parameters: Parameters | None) -> None:
        given = self._tensors.as_flux_has_them(parameters) if parameters is not None else {}
        self._seam.call("reset", self._held, lend(given), len(given))

    def begin_epoch(self, order: npt.NDArray[np.int64]) -> None:
        positions = np.ascontiguousarray(order, dtype=np.int64)
        self._seam.call("begin_epoch", self._held, positions.ctypes.data_as(POINTER(c_int64)), len(positions))

    def train(self, rates: npt.NDArray[np.float64]) -> Progress:
        wanted = np.ascontiguousarray(rates, dtype=np.float64)
        loss, samples, data_s = c_double(), c_int64(), c_double()
        address = wanted.ctypes.data_as(POINTER(c_double))
        self._seam.call("train", self._held, address, len(wanted), byref(loss), byref(samples), byref(data_s))
        return Progress(loss=loss.value, samples=samples.value, data_s=data_s.value)

    def evaluate(self, split: Split) -> Score:
        accuracy, loss = c_double(), c_double()
        self._seam.call("evaluate", self._held, split.encode(), byref(accuracy), byref(loss))
        return Score(accuracy=None if isnan(accuracy.value) else accuracy.value, loss=loss.value)

    def parameters(self) -> dict[str, npt.NDArray[np.float32]]:
        return self._tensors.read()

    def load_parameters(self, arrays: Parameters) -> None:
        self._tensors.write(arrays)

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


def start_trace(setup: TraceSetup) -> FluxTrace:
    """See `trainables.contract.StartTrace`."""
    seam, _ = _flux_trainer(setup.threads, "cpu")
    knobs = setup.hyperparameters
    settings = _settings(
        model=os.fsencode(setup.model),
        loss=setup.loss,
        optimizer=knobs.optimizer,
        momentum=knobs.momentum,
        weight_decay=knobs.weight_decay,
        outputs=setup.outputs,
        precision=setup.precision,
        seed=setup.seed,
        threads=setup.threads,
    )
    options, held = with_options(knobs.options), c_int64()
    seam.call("start_trace", byref(held), byref(settings), options, len(options))
    return FluxTrace(seam, held.value, setup)


class FluxTrace:
    """Single steps with everything they compute; see `trainables.contract.Trace`."""

    def __init__(self, seam: Seam, held: int, setup: TraceSetup) -> None:
        self._seam = seam
        self._held = held
        self._outputs = setup.outputs
        self._precision = np.dtype(setup.precision)
        self._tensors = _Tensors(seam, held, self._precision)

    def parameters(self) -> Arrays:
        return self._tensors.read()

    def load_parameters(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._tensors.write(arrays)

    def inputs(self, samples: Samples) -> Arrays:
        batch = {"batch/features": np.ascontiguousarray(samples.features)}
        found = self._seam.asked("layer_inputs", self._held, lend(batch))
        rows = [line.split("\t") for line in found.split("\n")]
        arrays = {name: np.empty(tuple(map(int, shape.split(","))), kind) for name, kind, shape in rows}
        self._seam.call("fetch", lend(arrays), len(arrays))
        layers = self._tensors.layers()
        return {layers.get(name, name): array for name, array in arrays.items()}

    def step(self, samples: Samples, rate: float) -> TracedStep:
        batch = dict(_named("batch", samples))
        loss, outputs = c_double(), {"outputs": np.empty((len(samples), self._outputs), self._precision)}
        gradients = self._tensors.empty(trained=True)
        lent = lend(gradients)
        self._seam.call("trace_step", self._held, lend(batch), rate, byref(loss), lend(outputs), lent, len(gradients))
        return TracedStep(
            loss=loss.value,
            outputs=outputs["outputs"],
            gradients=self._tensors.as_pytorch_names_them(gradients),
            parameters=self.parameters(),
        )


class _Tensors:
    """A model's tensors, in Julia: under Flux's own names until PyTorch's are given, and under these from then on."""

    def __init__(self, seam: Seam, held: int, precision: np.dtype[Any]) -> None:
        self._seam = seam
        self._held = held
        self._precision = precision
        self._own: tuple[Tensor, ...] = ()  # in Flux's order
        self._named: dict[str, Tensor] = {}

    def read(self) -> Arrays:
        arrays = self.empty()
        self._seam.call("parameters", self._held, lend(arrays), len(arrays))
        return self.as_pytorch_names_them(arrays)

    def write(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        given = self.as_flux_has_them(arrays)
        self._seam.call("load_parameters", self._held, lend(given), len(given))

    def empty(self, *, trained: bool = False) -> Arrays:
        """Arrays for all of them, or for those that are trained, under Flux's names."""
        chosen = (each for each in self._all().values() if each.trained or not trained)
        return {each.name: np.empty(each.shape, self._precision) for each in chosen}

    def as_flux_has_them(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        """Under Flux's names; `RuntimeError` where they are not those of this model."""
        self._all()
        self._named = matched({name: array.shape for name, array in arrays.items()}, self._own)
        return {
            tensor.name: np.ascontiguousarray(arrays[name], dtype=self._precision)
            for name, tensor in self._named.items()
        }

    def as_pytorch_names_them(self, arrays: Arrays) -> Arrays:
        """In PyTorch's order."""
        return {name: arrays[each.name] for name, each in self._all().items() if each.name in arrays}

    def layers(self) -> dict[str, str]:
        """Of each layer's name in Flux, that in PyTorch."""
        return {_layer(tensor.name): _layer(name) for name, tensor in self._all().items()}

    def _all(self) -> dict[str, Tensor]:
        if not self._own:
            self._own = listed(self._seam.asked("tensors", self._held))
            self._named = {each.name: each for each in self._own}
        return self._named


def _layer(tensor: str) -> str:
    return tensor.rpartition(".")[0]


def try_model(*, model: Path, options: Mapping[str, Option], shape: tuple[int, ...], outputs: int) -> Tried:
    """Build a model and show it two samples; see `trainables.contract.TryModel`."""
    try:
        seam, _ = _flux_trainer(1, "cpu")
        told, sizes = with_options(options), (c_int64 * len(shape))(*shape)
        alone = seam.asked("try_model", os.fsencode(model), told, len(told), sizes, len(shape), outputs)
    except RuntimeError as error:
        said = " ".join(str(error).split())
        return Tried(said if said.startswith(str(model.parent)) else f"{model}: {said}")
    return Tried(alone=alone)


def _named(split: str, samples: Samples) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Features and targets, as Julia takes them apart again."""
    yield f"{split}/features", np.ascontiguousarray(samples.features)
    yield f"{split}/targets", np.ascontiguousarray(samples.targets)


def _settings(**asked: str | bytes | float) -> Settings:
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
