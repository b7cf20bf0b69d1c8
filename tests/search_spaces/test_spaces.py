from __future__ import annotations

from dataclasses import fields

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces import HYPERPARAMETERS, Choices, Range, distributions
from trainables.contract import Hyperparameters


def test_the_names_are_those_that_trainings_know() -> None:
    assert [*HYPERPARAMETERS, "options"] == [each.name for each in fields(Hyperparameters)]


def test_distributions() -> None:
    made = distributions(
        {
            "learning_rate": Range(1, 2),
            "num_workers": Range(0, 4),
            "batch_size": Choices((32, 64)),
            "momentum": Range(0, 0.9),
            "hidden": Range(16, 64, log=True),
            "dropout": Range(0.0, 1.0),
            "activation": Choices(("relu", "tanh")),
            "bias": Choices((True, False)),
        }
    )
    assert made["learning_rate"] == FloatDistribution(1.0, 2.0)  # never whole, however it was written
    assert made["num_workers"] == IntDistribution(0, 4)
    assert made["batch_size"] == CategoricalDistribution((32, 64))
    assert made["momentum"] == FloatDistribution(0.0, 0.9)
    assert made["hidden"] == IntDistribution(16, 64, log=True)
    assert made["dropout"] == FloatDistribution(0.0, 1.0)
    assert made["activation"] == CategoricalDistribution(("relu", "tanh"))
    assert made["bias"] == CategoricalDistribution((True, False))


def test_drawn_values_lie_inside() -> None:
    space = {"learning_rate": Range(0.01, 0.5, log=True), "hidden": Range(2, 5), "bias": Choices((True, False))}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(50):
        drawn = study.ask(distributions(space)).params
        assert all(space[name].contains(value) for name, value in drawn.items())
        assert isinstance(drawn["hidden"], int)


@pytest.mark.parametrize(
    ("values", "value", "inside"),
    [
        (Range(1, 4), 4, True),
        (Range(1, 4), 5, False),
        (Range(0, 1), True, False),  # which is 1 elsewhere
        (Range(1, 4), "2", False),
        (Choices((0, 1)), 1, True),
        (Choices((0, 1)), True, False),
        (Choices(("a", "b")), "b", True),
    ],
)
def test_what_lies_inside(values: Range | Choices, value: bool | float | str, inside: bool) -> None:
    assert values.contains(value) == inside


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Range(2, 1), "above high"),
        (lambda: Range(0, 1, log=True), "log scale"),
        (lambda: Range("a", 1), "low is 'a'; it takes numbers"),  # type: ignore[arg-type]
        (lambda: Range(0, True), "high is True; it takes numbers"),
        (lambda: Range(0, 1, log=3), "log is 3; it takes true or false"),  # type: ignore[arg-type]
        (lambda: Choices(()), "empty"),
        (lambda: Choices((1, 1)), "repeats"),
        (lambda: Choices((1, True)), "mixes"),
        (lambda: Choices((1, "a")), "mixes"),
        (lambda: Choices(([1],)), "takes numbers, texts"),  # type: ignore[arg-type]
    ],
)
def test_nonsense_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
