"""What a backend is started with, in tests: digits-lenet and plain settings, but for what is changed."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.contract import Execution, Hyperparameters, Samples, Setup, Split
from trainables.frameworks import framework
from trainables.workloads.prepared import load, outputs_of
from trainables.workloads.weights import WeightsServer, read_weights
from trainables.workloads.workload import find

SAMPLES = 1079  # of digits' training split


def setup(name: str, workload: str = "digits-lenet", **changes: Any) -> Setup:
    """Of a framework; changes are fields of `Setup`, of `Hyperparameters` or of `Execution`."""
    chosen = find(workload)
    knobs, execution = Hyperparameters(learning_rate=0.05, batch_size=64, num_workers=0), Execution()
    data = changes.pop("data", None) or digits()
    plain = Setup(
        model=framework(name).model_file(chosen),
        data=data,
        outputs=changes.pop("outputs", None) or outputs_of(data["train"], chosen.loss),
        loss=chosen.loss,
        hyperparameters=replace(knobs, **_taken(changes, Hyperparameters)),
        execution=replace(execution, **_taken(changes, Execution)),
        seed=0,
        device="cpu",
        threads=1,
    )
    return replace(plain, **changes)


@cache
def digits() -> dict[Split, Samples]:
    """Its splits, memory-mapped."""
    return load(find("digits-lenet"))


@cache
def weights(workload: str = "digits-lenet", seed: int = 0) -> dict[str, npt.NDArray[np.float32]]:
    """Initial parameters, drawn in a process of their own: this one may have another framework."""
    with TemporaryDirectory() as folder, WeightsServer(find(workload).models["python"]) as server:
        path = Path(folder, "weights.npz")
        server.draw(path, options={}, seed=seed)
        return read_weights(path)


def _taken(changes: dict[str, Any], kind: type) -> dict[str, Any]:
    """What belongs to a dataclass, out of all changes."""
    return {each.name: changes.pop(each.name) for each in fields(kind) if each.name in changes}
