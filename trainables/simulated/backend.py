"""A training that is only arithmetic, on a clock of its own: for tests of the house around it, and for volume.

Accuracy follows ``best * (1 - exp(-samples / pace))`` with a pace and a ceiling that depend on the learning rate; a
step takes a fixed time and a time per sample. A learning rate above 1 diverges to NaN. With ``TUNEOFF_SIMULATED_SPEED``
set, every simulated second also takes that many real ones. ``TUNEOFF_SIMULATED_MACHINE`` says how long this machine
takes for what takes another a second: set for one node of a cluster, it makes that node a slow one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from math import exp, log, log10, nan
from pathlib import Path

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
)

STEP_S, SAMPLE_S, WORKER_START_S = 2e-4, 1e-5, 0.02


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
) -> SimulatedRun:
    """See `trainables.contract.Start`; of what does not decide time or accuracy, nothing matters."""
    return SimulatedRun(len(data["train"]), learning_rate, batch_size, num_workers, dict(parameters))


class SimulatedRun:
    """The methods are those of `trainables.contract.Run`."""

    def __init__(
        self,
        samples: int,
        learning_rate: float,
        batch_size: int,
        num_workers: int,
        parameters: dict[str, npt.NDArray[np.float32]],
        slowness: float = 1.0,
    ) -> None:
        self._samples_per_epoch = samples
        self._learning_rate = learning_rate
        self._batch_size = batch_size
        self._num_workers = num_workers
        self._parameters = parameters
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

    def begin_epoch(self, order: npt.NDArray[np.int64]) -> None:
        self._left = len(order)
        self._start_workers()

    def train(self, batches: int) -> Progress:
        samples, loss_sum = 0, 0.0
        for _ in range(batches):
            size = min(self._batch_size, self._left)
            assert size > 0, "asked for more batches than the epoch has"
            self._left -= size
            self._samples += size
            samples += size
            loss_sum += size * self._loss()
        data_s = samples * SAMPLE_S / (1 + self._num_workers)
        self._pass(batches * STEP_S + samples * SAMPLE_S + data_s)
        return Progress(loss=loss_sum / samples, samples=samples, data_s=data_s * self._slowness)

    def evaluate(self, split: Split) -> Score:
        self._pass(0.01)
        return Score(accuracy=self._accuracy(), loss=self._loss())

    def parameters(self) -> dict[str, npt.NDArray[np.float32]]:
        return {name: array.copy() for name, array in self._parameters.items()}

    def load_parameters(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
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
            self._pass(WORKER_START_S * self._num_workers)
            self._workers = self._num_workers

    def _diverged(self) -> bool:
        return self._learning_rate > 1.0

    def _accuracy(self) -> float:
        if self._diverged():
            return 0.1
        decades_off = abs(log10(self._learning_rate) - log10(0.1))
        pace = 4.0 * self._samples_per_epoch * (1.0 + decades_off) ** 2 * (1.0 + self._batch_size / 1024)
        best = 0.1 + 0.9 * exp(-0.05 * decades_off)
        return 0.1 + (best - 0.1) * (1.0 - exp(-8.0 * self._samples / pace))

    def _loss(self) -> float:
        return nan if self._diverged() else -log(self._accuracy())

    def _pass(self, seconds: float) -> None:
        seconds *= self._slowness
        self._now += seconds
        if self._speed:
            time.sleep(seconds * self._speed)
