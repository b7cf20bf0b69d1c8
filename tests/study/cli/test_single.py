"""One training outside a study begins where one inside would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from study.cli.single import drawn_in_pytorch
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
