"""A second simulated framework, which takes half as long again for everything: for simulated comparisons."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from trainables.contract import Device, LabelledImages, Optimizer, Split
from trainables.simulated.backend import SimulatedRun

SLOWNESS = 1.5


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
    device: Device,
    threads: int,
) -> SimulatedRun:
    """See `trainables.simulated.backend.start`."""
    return SimulatedRun(len(data["train"]), learning_rate, batch_size, num_workers, dict(parameters), SLOWNESS)
