"""Flux behind the contract: FluxTrainer (the julia folder) in this process, through juliacall.

Julia starts in `start` or `start_trace`, on the thread that calls it, and stays for the rest of the process: a second
training finds it running and compiled. Never in a process that has imported torch (both orders are known to crash).
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
    TracedStep,
    TracePrecision,
)
from trainables.flux.runtime import find_runtime

# `functional` says why on stderr and answers false, or throws, by version.
_TRY_GPU = 'begin CUDA.functional(true) || error("CUDA.jl finds none that works"); sum(CUDA.ones(1)); nothing end'
MESSAGE_CHARACTERS = 1000  # Julia spells out types, which for a ResNet takes pages


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
    trainer = _flux_trainer(threads, device)
    with _julia_errors():
        run = trainer.start(
            model=model,
            data={split: (_reversed(samples.images), samples.labels) for split, samples in data.items()},
            parameters={name: _reversed(array) for name, array in parameters.items()},
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
    return FluxRun(trainer, run)


class FluxRun:
    """One training in Flux; the methods are those of `trainables.contract.Run`."""

    def __init__(self, trainer: Any, run: Any) -> None:
        self._trainer = trainer
        self._run = run

    def warm_up(self) -> None:
        _without_gil(self._trainer.warm_up_b, self._run)

    def begin_epoch(self, order: npt.NDArray[np.int64]) -> None:
        with _julia_errors():
            self._trainer.begin_epoch_b(self._run, order)

    def train(self, batches: int) -> Progress:
        progress = _without_gil(self._trainer.train_b, self._run, batches)
        return Progress(loss=progress.loss, samples=progress.samples, data_s=progress.data_s)

    def evaluate(self, split: Split) -> Score:
        score = _without_gil(self._trainer.evaluate, self._run, split)
        return Score(accuracy=score.accuracy, loss=score.loss)

    def parameters(self) -> dict[str, npt.NDArray[np.float32]]:
        with _julia_errors():
            return _named_arrays(self._trainer.parameters(self._run))

    def load_parameters(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
        with _julia_errors():
            self._trainer.load_parameters_b(self._run, {name: _reversed(array) for name, array in arrays.items()})

    def save(self, path: Path) -> None:
        with _julia_errors():
            self._trainer.save(self._run, str(path))

    def load(self, path: Path) -> None:
        with _julia_errors():
            self._trainer.load_b(self._run, str(path))

    def loader_workers(self) -> int:
        with _julia_errors():
            return int(self._trainer.loader_workers(self._run))

    def clock(self) -> float:
        return perf_counter()

    def close(self) -> None:
        with _julia_errors():
            self._trainer.close_b(self._run)


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
    trainer = _flux_trainer(threads, "cpu")
    with _julia_errors():
        return FluxTrace(
            trainer,
            trainer.start_trace(
                model=model,
                parameters={name: _reversed(array) for name, array in parameters.items()},
                learning_rate=learning_rate,
                optimizer=optimizer,
                momentum=momentum,
                weight_decay=weight_decay,
                precision=precision,
                threads=threads,
            ),
        )


class FluxTrace:
    """Single steps with everything they compute; see `trainables.contract.Trace`."""

    def __init__(self, trainer: Any, tracer: Any) -> None:
        self._trainer = trainer
        self._tracer = tracer

    def parameters(self) -> dict[str, npt.NDArray[Any]]:
        with _julia_errors():
            return _named_arrays(self._trainer.parameters(self._tracer))

    def load_parameters(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        with _julia_errors():
            self._trainer.load_parameters_b(self._tracer, {name: _reversed(array) for name, array in arrays.items()})

    def step(self, images: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> TracedStep:
        with _julia_errors():
            step = self._trainer.trace_step_b(self._tracer, _reversed(images), labels)
            return TracedStep(
                loss=float(step.loss),
                logits=_from_reversed(step.logits),
                gradients=_named_arrays(step.gradients),
                parameters=self.parameters(),
            )


def _flux_trainer(threads: int, device: Device) -> Any:
    """The Julia module FluxTrainer; the first call starts Julia with the threads of the slice."""
    if "torch" in sys.modules:
        raise RuntimeError(
            "torch is loaded in this process; Julia and torch crash in one process, so give Flux its own"
        )
    for variable, value in _environment(threads).items():
        os.environ[variable] = value
    with _julia_errors():
        import juliacall  # here, since the import starts Julia

        if device == "cuda":
            juliacall.Main.seval("using CUDA, cuDNN")  # brings FluxTrainer's extension with it
            _make_sure_of_gpu(juliacall.Main)
        juliacall.Main.seval("using FluxTrainer")
        return juliacall.Main.FluxTrainer


def _make_sure_of_gpu(main: Any) -> None:
    """Compute something on the GPU that this training was given, or say in a line that it cannot be used."""
    try:
        with _julia_errors():
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
    return {
        **find_runtime().environment(),
        # With one compute thread, a pool of its own for one loader thread (the main thread is in that pool, too). With
        # more, all share one pool: the main thread is a compute thread then. Apart from the pool, small batches took
        # half as long again (LeNet, batch 64, 2 threads: 0.54 s for 6,000 samples instead of 0.35 s).
        "PYTHON_JULIACALL_THREADS": "1,2" if threads == 1 else str(threads),
        # With threads, Julia must handle signals itself: it uses SIGSEGV to stop threads for garbage collection.
        "PYTHON_JULIACALL_HANDLE_SIGNALS": "yes",
        "PYTHON_JULIACALL_STARTUP_FILE": "no",
        "PYTHON_JULIACALL_AUTOLOAD_IPYTHON_EXTENSION": "no",
    }


@contextmanager
def _julia_errors() -> Iterator[None]:
    """Turn Julia's exceptions into RuntimeError: unpickling a JuliaError would start Julia in the driver."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ != "JuliaError":
            raise
        message = str(error).partition("\nStacktrace:")[0].strip()
        raise RuntimeError(f"Julia: {message[:MESSAGE_CHARACTERS]}") from None


def _without_gil(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a Julia function that touches no Python object, and let other Python threads run meanwhile."""
    with _julia_errors():
        return function._jl_call_nogil(*arguments)  # type: ignore[attr-defined]


def _reversed(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same memory as Julia sees it: a C-order (N, 1, 28, 28) is Julia's (28, 28, 1, N)."""
    return np.ascontiguousarray(array).T


def _from_reversed(array: Any) -> npt.NDArray[Any]:
    return np.array(np.asarray(array).T, order="C")


def _named_arrays(pairs: Any) -> dict[str, npt.NDArray[Any]]:
    return {str(name): _from_reversed(array) for name, array in pairs}
