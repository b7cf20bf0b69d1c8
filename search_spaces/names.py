"""Names of the hyperparameters that every workload has; its own, the options of its models, come to these."""

from __future__ import annotations

ALWAYS = ("learning_rate", "batch_size", "num_workers")  # in every search space
HYPERPARAMETERS = (*ALWAYS, "optimizer", "momentum", "weight_decay", "schedule", "warm_up")
FLOATS = frozenset({"learning_rate", "momentum", "weight_decay", "warm_up"})  # however their ranges are written
