"""What a search tries first: the workload's default, moved into the plan's space, then the plan's own points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search_spaces import Choices, Range
from study.plan.files import load_plan, sweep_plan
from study.plan.first import first_draws, first_points, fit
from study.plan.fitting import fitted
from study.plan.scaling import Scaling
from tests.study.workloads import TOML, written
from trainables.common.errors import UserError
from trainables.workloads.workload import find, read, shipped

SPACE = {
    "learning_rate": Range(0.01, 0.5, log=True),
    "batch_size": Choices((32, 64, 512)),
    "num_workers": Range(0, 1),
    "dropout": Range(0, 0.5),
    "optimizer": Choices(("sgd", "adam")),
    "bias": Choices((True, False)),
    "activation": Choices(("relu",)),
}
USUAL = {"optimizer": "adam", "dropout": 0.1, "bias": True, "num_workers": 0}
POINT = {"learning_rate": 0.1, "batch_size": 64, "num_workers": 1, "dropout": 0.2, "optimizer": "sgd", "bias": False}
NONE = Scaling()


def nearest(**changes: Any) -> dict[str, Any]:
    found = fitted({**POINT, **changes}, SPACE, USUAL, NONE)
    assert not isinstance(found, str)
    return found.point


def test_what_lies_in_a_space_stays_as_it_is() -> None:
    found = fitted(POINT, SPACE, USUAL, NONE)
    assert found == ({**POINT, "activation": "relu"}, ())


@pytest.mark.parametrize(
    ("given", "becomes", "said"),
    [
        ({"learning_rate": 0.9}, {"learning_rate": 0.5}, "learning_rate 0.9 -> 0.5"),
        ({"learning_rate": 1e-5}, {"learning_rate": 0.01}, "learning_rate 1e-05 -> 0.01"),
        ({"batch_size": 2048}, {"batch_size": 512}, "batch_size 2048 -> 512"),
        ({"batch_size": 150}, {"batch_size": 64}, "batch_size 150 -> 64"),  # nearer by its ratio
        ({"num_workers": 8}, {"num_workers": 1}, "num_workers 8 -> 1"),
        ({"dropout": 1}, {"dropout": 0.5}, "dropout 1 -> 0.5"),
        ({"optimizer": "adamw"}, {"optimizer": "adam"}, "optimizer adamw -> adam"),  # the usual one
        ({"activation": "tanh"}, {"activation": "relu"}, "activation tanh -> relu"),  # there is no other
    ],
)
def test_what_lies_outside_is_moved_to_the_nearest(given: dict[str, Any], becomes: dict[str, Any], said: str) -> None:
    found = fitted({**POINT, **given}, SPACE, USUAL, NONE)
    assert found == ({**POINT, "activation": "relu", **becomes}, (said,))


def test_what_is_not_said_is_as_usual_and_what_is_not_searched_is_left_out() -> None:
    found = fitted({"learning_rate": 0.1, "batch_size": 64, "momentum": 0.5}, SPACE, USUAL, NONE)
    assert found == ({"learning_rate": 0.1, "batch_size": 64, **USUAL, "activation": "relu"}, ())


def test_what_can_be_nothing_in_a_space_is_told() -> None:
    space = {**SPACE, "hidden": Range(4, 8)}
    assert fitted(POINT, space, USUAL, NONE) == "hidden is searched, and the configuration says nothing of it"
    text = fitted({**POINT, "hidden": "many"}, space, USUAL, NONE)
    assert text == "hidden is searched, and the configuration says many"


def test_a_scaled_rate_moves_with_the_batch_size() -> None:
    found = fitted({**POINT, "learning_rate": 0.4, "batch_size": 1024}, SPACE, USUAL, Scaling("linear", 64))
    assert not isinstance(found, str)
    assert found.point["batch_size"] == 512
    assert found.point["learning_rate"] == pytest.approx(0.2)


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_workload_has_a_default_in_its_space(name: str) -> None:
    plan = load_plan(str(name.replace("digits-lenet", "quickstart")), frameworks=["simulated"])
    default = find(name).default
    assert fit(plan, "simulated", default) == (dict(default), ())


def test_the_default_comes_first_then_the_plans_points_then_those_of_another_study() -> None:
    first, then = {"learning_rate": 0.01, "batch_size": 16, "num_workers": 0}, {"learning_rate": 0.02, "batch_size": 32}
    settings = [
        "search.initial_points=[{learning_rate=0.01,batch_size=16,num_workers=0}]",
        "search.warm_start.simulated=[{learning_rate=0.02,batch_size=32,num_workers=1}]",
    ]
    plan = load_plan("quickstart", settings=settings, frameworks=["simulated", "simulated2"])
    default = find("digits-lenet").default
    then = {**then, "num_workers": 1}
    assert first_points(plan, "simulated", default) == [dict(default), first, then]
    assert first_points(plan, "simulated2", default) == [dict(default), first]
    assert first_points(plan, "simulated", {}) == [first, then]
    off = load_plan("quickstart", settings=["search.default_first=false"], frameworks=["simulated"])
    assert first_points(off, "simulated", default) == []
    sweep = {"over": {"num_workers": [0]}, "repeats": 1, "learning_rate": 0.1, "batch_size": 8, "num_workers": 0}
    assert first_points(sweep_plan("digits-lenet", sweep, frameworks=["simulated"]), "simulated", default) == []


def test_a_scaled_rate_is_drawn_as_its_base() -> None:
    settings = ["search.learning_rate_scaling=linear", "search.reference_batch_size=32"]
    settings.append("search.initial_points=[{learning_rate=0.2,batch_size=64,num_workers=0}]")
    plan = load_plan("quickstart", settings=settings, frameworks=["simulated"])
    assert first_draws(plan, "simulated", {}) == [{"learning_rate": 0.1, "batch_size": 64, "num_workers": 0}]
    assert load_plan("quickstart", settings=settings[:1], frameworks=["simulated"]).search.reference_batch_size == 64


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["search.learning_rate_scaling=linear", "search.reference_batch_size=0"],
            "search.reference_batch_size must say it, where the workload's .default. has no batch_size",
        ),
        (["search.learning_rate_scaling=linaer"], "search.learning_rate_scaling is 'linaer'; did you mean 'linear'"),
        (
            ["search.learning_rate_scaling=linear", "search.reference_batch_size=1", "space.all.learning_rate=10"],
            "space.*learning_rate, scaled with the batch size, has 1280; it must lie between .* and 1000",
        ),
        (
            [
                "search.learning_rate_scaling=linear",
                "search.initial_points=[{learning_rate=0.05,batch_size=16,num_workers=0}]",
            ],
            "search.initial_points: learning_rate = 0.05 is outside the search space, where it is drawn as 0.2",
        ),
        (
            ["search.sampler=cmaes", "space.all.num_workers=0"],
            "search.sampler is cmaes, which needs two ranges or more, and space.* has only learning_rate: choices",
        ),
        (["search.sampler=cmaes", "space.all.num_workers=0", "space.all.learning_rate=0.1"], "has none: choices and"),
    ],
)
def test_what_cannot_be_is_refused(settings: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_plan("quickstart", settings=settings, frameworks=["simulated"])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("learning_rat = 0.1", r"line 19: unknown hyperparameter default.learning_rat; did you mean 'learning_rate'"),
        ("batch_size = 0", r"line 19: default.batch_size is 0; it must lie between 1 and"),
        ("hidden = 'many'", r"line 19: default.hidden is 'many'; it takes a number"),
        ("optimizer = 'adma'", r"line 19: default.optimizer is 'adma'; did you mean 'adam'"),
        ("learning_rate = [1]", r"default.learning_rate: it is \[1\]; write a number"),
    ],
)
def test_a_default_is_checked_as_all_keys_are(tmp_path: Path, said: str, message: str) -> None:
    task = written(tmp_path / "my-task", toml=f"{TOML}\n[default]\n{said}\n")
    with pytest.raises(UserError, match=message) as refused:
        load_plan(str(task), frameworks=["simulated"])
    assert str(task / "workload.toml") in str(refused.value)


def test_a_workload_without_a_default_has_none(tmp_path: Path) -> None:
    task = written(tmp_path / "my-task")
    plan = load_plan(str(task), frameworks=["simulated"])
    assert plan.search.reference_batch_size == 0
    assert first_points(plan, "simulated", read(task).default) == []
