"""A second simulated framework, which takes half as long again for everything: for simulated comparisons."""

from __future__ import annotations

from functools import wraps
from typing import Any

from trainables.simulated import backend

SLOWNESS = 1.5


@wraps(backend.start)
def start(**given: Any) -> backend.SimulatedRun:
    """The same run on a slower clock."""
    return backend.SimulatedRun(
        len(given["data"]["train"]),
        given["learning_rate"],
        given["batch_size"],
        given["num_workers"],
        dict(given["parameters"]),
        SLOWNESS,
    )
