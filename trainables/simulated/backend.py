"""A training that is only arithmetic, on a clock of its own: for tests of the house around it, and for volume.

Accuracy follows ``best * (1 - exp(-samples / pace))`` with a pace and a ceiling that depend on the learning rate; a
step takes a fixed time and a time per sample; the loss is minus the accuracy's logarithm. A learning rate above 1
diverges to NaN, and no other hyperparameter matters, nor does a schedule. With ``TUNEOFF_SIMULATED_SPEED``
set, every simulated second also takes that many real ones. ``TUNEOFF_SIMULATED_MACHINE`` says how long this machine
takes for what takes another a second: set for one node of a cluster, it makes that node a slow one.
"""

from __future__ import annotations

import json
import os
import time
from math import exp, log, log10, nan
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.contract import Hyperparameters, Parameters, Progress, Score, Setup, Split, StartUp

STEP_S, SAMPLE_S, WORKER_START_S = 2e-4, 1e-5, 0.02


def start(setup: Setup) -> SimulatedRun:
    """See `trainables.contract.Start`; of what does not decide time or accuracy, nothing matters."""
    return SimulatedRun(setup)


class SimulatedRun:
    """The methods are those of `trainables.contract.Run`."""

    def __init__(self, setup: Setup, slowness: float = 1.0) -> None:
        self._setup = setup
        self._samples_per_epoch = len(setup.data["train"])
        self._parameters = _drawn(setup.seed)
        self._samples = 0
        self._left = 0
        self._now = 0.0
        self._workers = 0
        self._speed = float(os.environ.get("TUNEOFF_SIMULATED_SPEED", "0"))
        self._slowness = slowness * float(os.environ.get("TUNEOFF_SIMULATED_MACHINE", "1"))

    def start_up(self) -> StartUp:
        return StartUp()

    def warm_up(self) -> None:
        self._pass(0.5)
        self._start_workers()

    def reset(self, parameters: Parameters | None) -> None:
        self._parameters = _drawn(self._setup.seed) if parameters is None else dict(parameters)
        self._samples = self._left = 0

    def begin_epoch(self, order: npt.NDArray[np.int64]) -> None:
        self._left = len(order)
        self._start_workers()

    def train(self, rates: npt.NDArray[np.float64]) -> Progress:
        samples, loss_sum = 0, 0.0
        for _ in rates:
            size = min(self._knobs.batch_size, self._left)
            assert size > 0, "asked for more batches than the epoch has"
            self._left -= size
            self._samples += size
            samples += size
            loss_sum += size * self._loss()
        data_s = samples * SAMPLE_S / (1 + self._knobs.num_workers)
        self._pass(len(rates) * STEP_S + samples * SAMPLE_S + data_s)
        return Progress(loss=loss_sum / samples, samples=samples, data_s=data_s * self._slowness)

    def evaluate(self, split: Split) -> Score:
        self._pass(0.01)
        accuracy = self._accuracy() if self._setup.loss == "cross_entropy" else None
        return Score(accuracy=accuracy, loss=self._loss())

    def parameters(self) -> dict[str, npt.NDArray[np.float32]]:
        return {name: array.copy() for name, array in self._parameters.items()}

    def load_parameters(self, arrays: Parameters) -> None:
        self._parameters = dict(arrays)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({"samples": self._samples}))

    def load(self, path: Path) -> None:
        self._samples = json.loads(path.read_text())["samples"]

    def loader_workers(self) -> int:
        return self._workers

    def clock(self) -> float:
        return self._now

    def close(self) -> None:
        self._workers = 0

    def _start_workers(self) -> None:
        if not self._workers:
            self._pass(WORKER_START_S * self._knobs.num_workers)
            self._workers = self._knobs.num_workers

    @property
    def _knobs(self) -> Hyperparameters:
        return self._setup.hyperparameters

    def _diverged(self) -> bool:
        return self._knobs.learning_rate > 1.0

    def _accuracy(self) -> float:
        if self._diverged():
            return 0.1
        decades_off = abs(log10(self._knobs.learning_rate) - log10(0.1))
        pace = 4.0 * self._samples_per_epoch * (1.0 + decades_off) ** 2 * (1.0 + self._knobs.batch_size / 1024)
        best = 0.1 + 0.9 * exp(-0.05 * decades_off)
        return 0.1 + (best - 0.1) * (1.0 - exp(-8.0 * self._samples / pace))

    def _loss(self) -> float:
        return nan if self._diverged() else -log(self._accuracy())

    def _pass(self, seconds: float) -> None:
        seconds *= self._slowness
        self._now += seconds
        if self._speed:
            time.sleep(seconds * self._speed)


def _drawn(seed: int) -> dict[str, npt.NDArray[np.float32]]:
    """The parameters of a model that has next to none."""
    return {"weight": np.random.RandomState(seed).uniform(size=(2, 3)).astype(np.float32)}
