from __future__ import annotations

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces import SPACES, Choices, Range, distributions, space
from search_spaces.spaces import HYPERPARAMETERS
from trainables.workloads.shipped import WORKLOADS


def test_every_workload_has_a_space_of_all_hyperparameters() -> None:
    assert set(SPACES) == set(WORKLOADS)
    for name in SPACES:
        assert set(space(name, cpus=2)) == set(HYPERPARAMETERS)


def test_workers_go_up_to_the_slice() -> None:
    assert distributions(space("digits-lenet", cpus=3))["num_workers"] == IntDistribution(0, 3)


def test_distributions() -> None:
    made = distributions({"learning_rate": Range(1, 2), "num_workers": Range(0, 4), "batch_size": Choices((32, 64))})
    assert made["learning_rate"] == FloatDistribution(1.0, 2.0)  # never whole, however it was written
    assert made["num_workers"] == IntDistribution(0, 4)
    assert made["batch_size"] == CategoricalDistribution((32, 64))


def test_drawn_values_lie_inside() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(50):
        drawn = study.ask(distributions(space("mnist-lenet", cpus=2))).params
        assert 0.01 <= drawn["learning_rate"] <= 0.5
        assert drawn["batch_size"] in (32, 64, 128, 256, 512, 2048)
        assert drawn["num_workers"] in (0, 1, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Range(2, 1), "above high"),
        (lambda: Range(0, 1, log=True), "log scale"),
        (lambda: Choices(()), "empty"),
        (lambda: Choices((1, 1)), "repeats"),
    ],
)
def test_nonsense_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
