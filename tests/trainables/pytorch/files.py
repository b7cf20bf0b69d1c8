"""Model files of users, for tests."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

DROPOUT = """
    from torch import nn


    def build(hidden=16, dropout=0.5):
        first, last = nn.Linear(784, hidden), nn.Linear(hidden, 10)
        return nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Dropout(dropout), last)
"""
REGRESSION = """
    from torch import nn


    def build(outputs=2):
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, outputs))
"""


def write(folder: Path, text: str, name: str = "model.py") -> Path:
    """A file with this text, in a folder that may not be there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(dedent(text).lstrip(), encoding="utf-8")
    return path
