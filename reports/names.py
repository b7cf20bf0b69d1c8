"""What things are called on a page."""

from __future__ import annotations

from trainables.frameworks import FRAMEWORKS

KNOB_NAMES = {"learning_rate": "learning rate", "batch_size": "batch size", "num_workers": "loader workers"}


def title(framework: str) -> str:
    """A framework's name as its authors write it."""
    return FRAMEWORKS[framework].title if framework in FRAMEWORKS else framework
