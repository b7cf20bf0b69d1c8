"""A workload's folder for tests: two classes of four features, a model with two options, nothing slow."""

from __future__ import annotations

from pathlib import Path

TOML = """
target = 0.9
evaluate_every_samples = 50
limit_s = 30.0
epochs = 20
holds = 1

[options]
hidden = 8
dropout = 0.1
activation = "relu"
bias = true

[space.all]
learning_rate = { low = 0.01, high = 0.5, log = true }
batch_size = { choices = [8, 16] }
"""
DATA = """
import numpy as np


def load():
    features = np.random.RandomState(0).normal(size=(120, 4)).astype(np.float32)
    targets = (features.sum(1) > 0).astype(np.int64)
    return {"train": (features[:100], targets[:100]), "test": (features[100:], targets[100:])}
"""
MODEL = """
from torch import nn


def build(hidden=8, dropout=0.1, activation="relu", bias=True):
    between = nn.ReLU() if activation == "relu" else nn.Tanh()
    return nn.Sequential(nn.Linear(4, hidden, bias=bias), between, nn.Dropout(dropout), nn.Linear(hidden, 2))
"""


def written(folder: Path, *, toml: str = TOML, data: str = DATA, model: str = MODEL) -> Path:
    """The folder, made."""
    folder.mkdir(parents=True)
    for name, text in (("workload.toml", toml), ("data.py", data), ("model.py", model)):
        (folder / name).write_text(text)
    return folder
