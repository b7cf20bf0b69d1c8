"""Shared fixtures. Every test gets a cache folder of its own session: nothing is read from or left in the user's."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from trainables.contract import Hyperparameters
from trainables.flux import runtime as julia_runtime
from trainables.spec import TrainingSpec


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run what `make chaos` alone runs, too")
    parser.addoption("--framework", default=None, help="run tests/trainables/test_contract.py for this one alone")


def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    """Skip, with one line that counts them, long tests, and where there is no Julia the tests that need it."""
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="long: `make chaos` runs it"))
    needing = [item for item in items if item.get_closest_marker("julia")]
    if needing and julia_runtime.missing() is not None:
        for item in needing:
            item.add_marker(pytest.mark.skip(reason="needs Julia and Flux (`tuneoff setup-julia`)"))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    os.environ["TUNEOFF_CACHE"] = str(folder)
    return folder


@pytest.fixture
def spec() -> TrainingSpec:
    """A simulated training on digits that reaches its target after three evaluations."""
    return TrainingSpec(
        framework="simulated",
        workload="digits-lenet",
        hyperparameters=Hyperparameters(learning_rate=0.1, batch_size=32, num_workers=0),
        seed=0,
        target=0.95,
        evaluate_every_samples=539,
        limit_s=100.0,
        epochs=60,
        device="cpu",
        threads=1,
    )


@pytest.fixture
def pytorch_spec(spec: TrainingSpec) -> TrainingSpec:
    """The same in PyTorch, made to run six evaluations."""
    knobs = Hyperparameters(learning_rate=0.05, batch_size=64, num_workers=0)
    return replace(spec, framework="pytorch", hyperparameters=knobs, target=1.0, epochs=3, limit_s=60.0)
