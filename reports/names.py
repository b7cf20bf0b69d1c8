"""What things are called on a page."""

from __future__ import annotations

import os

from trainables.frameworks import FRAMEWORKS

KNOB_NAMES = {"learning_rate": "learning rate", "batch_size": "batch size", "num_workers": "loader workers"}


def title(framework: str) -> str:
    """A framework's name as its authors write it."""
    return FRAMEWORKS[framework].title if framework in FRAMEWORKS else framework


def study_name(path: str) -> str:
    """A study's name from its path, or a part of one, in letters that every file can hold.

    A path is bytes: they need not be UTF-8, nor anything in the locale's encoding.
    """
    return os.fsencode(path).decode("utf-8", errors="replace")
