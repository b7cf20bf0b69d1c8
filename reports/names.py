"""What things are called on a page."""

from __future__ import annotations

TITLES = {"pytorch": "PyTorch", "flux": "Flux", "simulated": "Simulated"}
KNOB_NAMES = {"learning_rate": "learning rate", "batch_size": "batch size", "num_workers": "loader workers"}


def title(framework: str) -> str:
    """A framework's name as its authors write it."""
    return TITLES.get(framework, framework)
