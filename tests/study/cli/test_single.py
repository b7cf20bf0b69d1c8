"""One training outside a study begins where one inside would."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.cli.groups import Training
from study.cli.single import drawn_in_pytorch, single_spec
from tests.study.workloads import TOML, written
from trainables.common.errors import UserError
from trainables.contract import Hyperparameters
from trainables.spec import TrainingSpec
from trainables.workloads.weights import WeightsServer, read_weights
from trainables.workloads.workload import find


def spec(framework: str, *, seed: int = 7) -> TrainingSpec:
    knobs = Hyperparameters(0.01, 32, 0)
    return TrainingSpec(framework, "digits-lenet", knobs, seed, 0.9, 500, 10.0, 1, device="cpu", threads=1)


def test_another_language_begins_with_what_pytorch_draws_under_the_seed(tmp_path: Path) -> None:
    workload = find("digits-lenet")
    with WeightsServer(workload.models["python"]) as server:
        server.draw(tmp_path / "a.npz", options={}, seed=7)
    expected = read_weights(tmp_path / "a.npz")
    with drawn_in_pytorch(spec("flux"), workload) as path:
        assert path is not None
        found = read_weights(path)
    assert list(found) == list(expected)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert not path.exists()


@pytest.mark.parametrize("framework", ["pytorch", "simulated"])
def test_who_builds_that_model_or_none_draws_for_itself(framework: str) -> None:
    with drawn_in_pytorch(spec(framework), find("digits-lenet")) as path:
        assert path is None


def typed(workload: str, **more: Any) -> Training:
    return Training("pytorch", workload, learning_rate=0.1, batch_size=8, threads=1, **more)


def test_what_is_not_typed_is_the_workloads(tmp_path: Path) -> None:
    toml = TOML + '\n[training]\noptimizer = "adam"\nprecision = "bf16"\ndata_on_device = true\n'
    workload = find(str(written(tmp_path / "mine", toml=toml)))
    own = single_spec(typed(str(workload.folder)), workload)
    assert (own.hyperparameters.optimizer, own.execution.precision, own.execution.data_on_device) == (
        "adam",
        "bf16",
        True,
    )
    assert (own.hyperparameters.options["hidden"], own.epochs, own.stop_at_target) == (8, 20, True)
    more = typed(str(workload.folder), precision="float32", optimizer="sgd", option=["hidden=16"], epochs=2, seed=5)
    changed = single_spec(more, workload)
    assert (changed.hyperparameters.optimizer, changed.execution.precision, changed.seed) == ("sgd", "float32", 5)
    assert (changed.hyperparameters.options["hidden"], changed.epochs, changed.stop_at_target) == (16, 2, False)


def test_every_option_of_train_is_heard(tmp_path: Path) -> None:
    workload = find(str(written(tmp_path / "mine")))
    usual = single_spec(typed(str(workload.folder)), workload)
    for name, value in {
        "learning_rate": 0.2,
        "batch_size": 16,
        "num_workers": 1,
        "optimizer": "adamw",
        "momentum": 0.5,
        "weight_decay": 0.1,
        "schedule": "cosine",
        "warm_up": 0.5,
        "option": ["hidden=3"],
        "epochs": 3,
        "target": 0.7,
        "device": "cuda",
        "precision": "bf16",
        "data_on_device": True,
        "seed": 9,
    }.items():
        assert single_spec(replace(typed(str(workload.folder)), **{name: value}), workload) != usual, name


def test_nothing_is_a_value_too(tmp_path: Path) -> None:
    workload = find(str(written(tmp_path / "mine")))
    none = single_spec(typed(str(workload.folder), optimizer="sgd", momentum=0.0, weight_decay=0.0), workload)
    assert (none.hyperparameters.momentum, none.hyperparameters.weight_decay) == (0.0, 0.0)
    for name in ("epochs", "target"):
        with pytest.raises(UserError, match=f"--{name} is 0"):
            single_spec(replace(typed(str(workload.folder)), **{name: 0}), workload)
