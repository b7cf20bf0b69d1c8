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

from tests.trainables.setups import SAMPLES, setup, weights
from trainables.contract import Parameters, Run, Start
from trainables.determinism import sample_order
from trainables.frameworks import FRAMEWORKS, framework

# What compiles takes a minute to; the usual suite has tests/trainables/pytorch_compile, with a smaller model.
IN_PROCESS = [
    pytest.param(name, marks=pytest.mark.long) if each.on_request else name
    for name, each in FRAMEWORKS.items()
    if each.language != "julia"
]
BATCH = 100  # 1,079 samples: ten batches of 100 and one of 79


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        asked = metafunc.config.getoption("framework")
        metafunc.parametrize("name", [asked] if asked else IN_PROCESS)


@pytest.fixture
def begin(request: pytest.FixtureRequest, name: str) -> Callable[..., Run]:
    def start(**changes: Any) -> Run:
        run = framework(name).start()(setup(name, **{"batch_size": BATCH, **changes}))
        request.addfinalizer(run.close)
        run.reset(initial(name))
        return run

    return start


def initial(name: str) -> Parameters | None:
    """LeNet's, which those for tests take as well; one that reads no model file draws its own."""
    own = framework(name).language is None and framework(name).real
    return None if own else weights()


@pytest.fixture
def lenet(name: str) -> Parameters:
    """For tests that ask for LeNet."""
    given = initial(name)
    if given is None:
        pytest.skip("its models are its own")
    return given


def rates(count: int, rate: float = 0.05) -> np.ndarray:
    return np.full(count, rate)


def order() -> np.ndarray:
    return sample_order(seed=0, epoch=0, samples=SAMPLES)


def test_start_has_the_contracts_keywords(name: str) -> None:
    expected = list(inspect.signature(Start.__call__).parameters)[1:]
    assert list(inspect.signature(framework(name).start()).parameters) == expected


def test_a_run_has_the_contracts_methods_in_the_contracts_order(name: str) -> None:
    module = inspect.getmodule(framework(name).start())
    run = next(value for key, value in vars(module).items() if key.endswith("Run") and key != "Run")
    contract = [key for key in vars(Run) if not key.startswith("_")]
    assert [key for key in vars(run) if not key.startswith("_")] == contract


def test_starts_from_the_given_parameters(begin: Callable[..., Run], lenet: Parameters) -> None:
    mine = begin().parameters()
    assert list(mine) == list(lenet)
    for name, array in mine.items():
        assert array.dtype == np.float32
        assert np.array_equal(array, lenet[name])


def test_a_reset_leaves_no_trace_of_a_warm_up(begin: Callable[..., Run], name: str) -> None:
    warmed, cold = begin(), begin()
    warmed.warm_up()
    warmed.reset(initial(name))
    for tensor, array in warmed.parameters().items():
        assert np.array_equal(array, cold.parameters()[tensor])
    warmed.begin_epoch(order())
    cold.begin_epoch(order())
    assert warmed.train(rates(5)).loss == cold.train(rates(5)).loss


def test_a_reset_without_parameters_begins_at_the_seeds(begin: Callable[..., Run], name: str) -> None:
    run = begin()
    found = []
    for _ in range(2):
        run.reset(None)
        found.append(run.parameters())
        run.begin_epoch(order())
        run.train(rates(1))
    assert found[0].keys() == found[1].keys()
    for tensor, array in found[0].items():
        assert np.array_equal(array, found[1][tensor])
        if framework(name).language == "python":
            assert np.array_equal(array, weights()[tensor])


def test_every_step_has_the_rate_it_was_given(begin: Callable[..., Run], name: str, lenet: Parameters) -> None:
    """Three steps at once are three steps one by one, whatever rates they have; and a rate of 0 moves nothing."""
    if name.startswith("simulated"):
        pytest.skip("it learns nothing")
    given = np.array([0.05, 0.2, 0.01])
    together, alone, still = begin(), begin(), begin()
    for run in (together, alone, still):
        run.begin_epoch(order())
    together.train(given)
    for rate in given:
        alone.train(np.array([rate]))
    still.train(np.zeros(3))
    for tensor, array in together.parameters().items():
        assert np.array_equal(array, alone.parameters()[tensor])
        assert np.array_equal(still.parameters()[tensor], lenet[tensor])
    assert not np.array_equal(together.parameters()["fc3.bias"], lenet["fc3.bias"])


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
        run.begin_epoch(order())
        run.train(rates(2))
        assert {child.pid for child in multiprocessing.active_children()} == before
    run.close()


def test_an_epoch_serves_every_sample_once(begin: Callable[..., Run]) -> None:
    run = begin()
    run.begin_epoch(order())
    assert [run.train(rates(count)).samples for count in (5, 5, 1)] == [500, 500, 79]


def test_evaluates_whole_splits(begin: Callable[..., Run]) -> None:
    run = begin()
    for split, samples in (("train", 1079), ("validation", 359), ("test", 359)):
        score = run.evaluate(split)  # type: ignore[arg-type]
        assert 0 <= score.accuracy <= 1
        assert score.loss > 0
        if type(run).__name__ != "SimulatedRun":
            assert score.accuracy * samples == pytest.approx(round(score.accuracy * samples))


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam", "adamw"])
def test_continues_from_a_checkpoint_bit_for_bit(begin: Callable[..., Run], tmp_path: Path, optimizer: str) -> None:
    whole, first, second = begin(optimizer=optimizer), begin(optimizer=optimizer), begin(optimizer=optimizer)
    whole.begin_epoch(order())
    first.begin_epoch(order())
    whole.train(rates(4))
    first.train(rates(4))
    first.save(tmp_path / "model")
    second.warm_up()
    second.load(tmp_path / "model")
    second.begin_epoch(order()[4 * BATCH :])
    assert whole.train(rates(7)).loss == second.train(rates(7)).loss
    for name, array in whole.parameters().items():
        assert np.array_equal(array, second.parameters()[name])


def test_load_parameters_sets_what_parameters_returns(begin: Callable[..., Run]) -> None:
    run = begin()
    other = {name: array + 1 for name, array in run.parameters().items()}
    run.load_parameters(other)
    for name, array in run.parameters().items():
        assert np.array_equal(array, other[name])


def test_parameters_are_copies(begin: Callable[..., Run]) -> None:
    run = begin()
    tensor, before = next(iter(run.parameters().items()))
    before[:] = 0
    assert run.parameters()[tensor].any()


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_loader_workers_really_run(begin: Callable[..., Run], name: str, num_workers: int) -> None:
    run = begin(num_workers=num_workers)
    run.begin_epoch(order())
    run.train(rates(2))
    # Flux has as many loader threads as Julia was started with: one for one compute thread.
    assert run.loader_workers() == (min(num_workers, 1) if name == "flux" else num_workers)
    run.close()
    assert run.loader_workers() == 0


def test_the_clock_is_monotonic(begin: Callable[..., Run]) -> None:
    run = begin()
    run.begin_epoch(order())
    before = run.clock()
    run.train(rates(2))
    assert run.clock() > before
