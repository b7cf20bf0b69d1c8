"""A second simulated framework, which takes half as long again for everything: for simulated comparisons."""

from __future__ import annotations

from functools import wraps
from typing import Any

from trainables.simulated import backend

SLOWNESS = 1.5


@wraps(backend.start)
def start(**given: Any) -> backend.SimulatedRun:
    """The same run on a slower clock."""
    knobs = (given[name] for name in ("learning_rate", "batch_size", "num_workers"))
    return backend.SimulatedRun(len(given["data"]["train"]), *knobs, dict(given["parameters"]), SLOWNESS)
