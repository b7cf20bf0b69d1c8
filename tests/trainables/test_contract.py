"""One suite for every backend: a new one is checked by being listed in `trainables.frameworks`.

Without ``--framework`` it runs for those that may live in pytest's own process; Flux has a process of its own, started
by tests/julia/test_flux.py.
"""

from __future__ import annotations

import inspect
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.contract import Run, Start
from trainables.determinism import initial_parameters, sample_order
from trainables.frameworks import FRAMEWORKS, framework
from trainables.workloads.architectures import MODELS
from trainables.workloads.prepared import load

IN_PROCESS = [name for name, each in FRAMEWORKS.items() if each.runtime is None]
BATCH = 100  # 1,079 samples: ten batches of 100 and one of 79


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        asked = metafunc.config.getoption("framework")
        metafunc.parametrize("name", [asked] if asked else IN_PROCESS)


@pytest.fixture
def begin(request: pytest.FixtureRequest, name: str) -> Callable[..., Run]:
    def start(**changes: Any) -> Run:
        knobs: dict[str, Any] = {
            "model": "lenet",
            "data": load("digits"),
            "parameters": initial_parameters(MODELS["lenet"](), seed=0),
            "learning_rate": 0.05,
            "batch_size": BATCH,
            "num_workers": 0,
            "optimizer": "sgd",
            "momentum": 0.9,
            "weight_decay": 0.0,
            "precision": "float32",
            "memory_format": "contiguous",
            "data_on_device": False,
            "device": "cpu",
            "threads": 1,
        }
        run = framework(name).start()(**{**knobs, **changes})
        request.addfinalizer(run.close)
        return run

    return start


def test_start_has_the_contracts_keywords(name: str) -> None:
    expected = list(inspect.signature(Start.__call__).parameters)[1:]
    assert list(inspect.signature(framework(name).start()).parameters) == expected


def test_a_run_has_the_contracts_methods_in_the_contracts_order(name: str) -> None:
    module = inspect.getmodule(framework(name).start())
    run = next(value for key, value in vars(module).items() if key.endswith("Run") and key != "Run")
    contract = [key for key in vars(Run) if not key.startswith("_")]
    assert [key for key in vars(run) if not key.startswith("_")] == contract


def test_starts_from_the_given_parameters(begin: Callable[..., Run]) -> None:
    given = initial_parameters(MODELS["lenet"](), seed=0)
    mine = begin().parameters()
    assert list(mine) == list(given)
    for name, array in mine.items():
        assert array.dtype == np.float32
        assert np.array_equal(array, given[name])


def test_warm_up_leaves_no_trace(begin: Callable[..., Run]) -> None:
    warmed, cold = begin(), begin()
    warmed.warm_up()
    for name, array in warmed.parameters().items():
        assert np.array_equal(array, cold.parameters()[name])
    order = sample_order(seed=0, epoch=0, samples=1079)
    warmed.begin_epoch(order)
    cold.begin_epoch(order)
    assert warmed.train(5).loss == cold.train(5).loss


@pytest.mark.parametrize("num_workers", [1, 2])
def test_the_loader_is_started_by_the_warm_up_and_not_by_the_first_epoch(
    begin: Callable[..., Run], name: str, num_workers: int
) -> None:
    """In every framework alike: the warm clock finds it running."""
    run = begin(num_workers=num_workers)
    run.warm_up()
    if name != "flux":  # whose threads run from Julia's start on
        assert run.loader_workers() == num_workers
        before = {child.pid for child in multiprocessing.active_children()}
        run.begin_epoch(sample_order(seed=0, epoch=0, samples=1079))
        run.train(2)
        assert {child.pid for child in multiprocessing.active_children()} == before
    run.close()


def test_an_epoch_serves_every_sample_once(begin: Callable[..., Run]) -> None:
    run = begin()
    run.begin_epoch(sample_order(seed=0, epoch=0, samples=1079))
    assert [run.train(5).samples, run.train(5).samples, run.train(1).samples] == [500, 500, 79]


def test_evaluates_whole_splits(begin: Callable[..., Run]) -> None:
    run = begin()
    for split, samples in (("train", 1079), ("validation", 359), ("test", 359)):
        score = run.evaluate(split)  # type: ignore[arg-type]
        assert 0 <= score.accuracy <= 1
        assert score.loss > 0
        if type(run).__name__ != "SimulatedRun":
            assert score.accuracy * samples == pytest.approx(round(score.accuracy * samples))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_continues_from_a_checkpoint_bit_for_bit(begin: Callable[..., Run], tmp_path: Path, optimizer: str) -> None:
    whole, first, second = begin(optimizer=optimizer), begin(optimizer=optimizer), begin(optimizer=optimizer)
    order = sample_order(seed=0, epoch=0, samples=1079)
    whole.begin_epoch(order)
    first.begin_epoch(order)
    whole.train(4)
    first.train(4)
    first.save(tmp_path / "model")
    second.warm_up()
    second.load(tmp_path / "model")
    second.begin_epoch(order[4 * BATCH :])
    assert whole.train(7).loss == second.train(7).loss
    for name, array in whole.parameters().items():
        assert np.array_equal(array, second.parameters()[name])


def test_load_parameters_sets_what_parameters_returns(begin: Callable[..., Run]) -> None:
    run = begin()
    other = initial_parameters(MODELS["lenet"](), seed=1)
    run.load_parameters(other)
    for name, array in run.parameters().items():
        assert np.array_equal(array, other[name])


def test_parameters_are_copies(begin: Callable[..., Run]) -> None:
    run = begin()
    before = run.parameters()["conv1.weight"]
    before[:] = 0
    assert run.parameters()["conv1.weight"].any()


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_loader_workers_really_run(begin: Callable[..., Run], name: str, num_workers: int) -> None:
    run = begin(num_workers=num_workers)
    run.begin_epoch(sample_order(seed=0, epoch=0, samples=1079))
    run.train(2)
    # Flux has as many loader threads as Julia was started with: one for one compute thread.
    assert run.loader_workers() == (min(num_workers, 1) if name == "flux" else num_workers)
    run.close()
    assert run.loader_workers() == 0


def test_the_clock_is_monotonic(begin: Callable[..., Run]) -> None:
    run = begin()
    run.begin_epoch(sample_order(seed=0, epoch=0, samples=1079))
    before = run.clock()
    run.train(2)
    assert run.clock() > before
