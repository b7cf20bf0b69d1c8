"""A second simulated framework, which takes half as long again for everything: for simulated comparisons."""

from __future__ import annotations

from trainables.contract import Setup
from trainables.simulated.backend import SimulatedRun

SLOWNESS = 1.5


def start(setup: Setup) -> SimulatedRun:
    """The same run on a slower clock."""
    return SimulatedRun(setup, SLOWNESS)
