"""Plans of a workload that anyone wrote: its options and spaces, and what is wrong, by the key that was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search_spaces import Choices, Range
from study.plan import completing
from study.plan.files import freeze, load_plan, sweep_plan, thaw
from study.plan.keys import explained
from study.plan.plan import Plan
from tests.study.workloads import TOML, written
from trainables.common.errors import UserError
from trainables.workloads.workload import Made, find

POINT = {"learning_rate": 0.1, "batch_size": 8, "num_workers": 0}


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return written(tmp_path / "my-task")


def plan(task: Path, *settings: str, frameworks: list[str] | None = None) -> Plan:
    return load_plan(str(task), settings=list(settings), frameworks=frameworks or ["simulated"])


def test_a_folder_is_a_plan_that_says_nothing_else(task: Path) -> None:
    found = plan(task)
    assert (found.workload, found.training.target, found.training.holds, found.training.metric) == (
        str(task),
        0.9,
        1,
        "accuracy",
    )
    assert found.options == {"hidden": 8, "dropout": 0.1, "activation": "relu", "bias": True}
    assert found.space["simulated"] == {
        "learning_rate": Range(0.01, 0.5, log=True),
        "batch_size": Choices((8, 16)),
        "num_workers": Range(0, 1),
    }
    assert list(found.space["simulated"]) == ["learning_rate", "batch_size", "num_workers"]  # samplers draw in order


def test_any_hyperparameter_and_option_can_be_fixed_or_searched(task: Path) -> None:
    found = plan(
        task,
        "training.optimizer=adamw",
        "training.schedule=cosine",
        "training.warm_up=0.1",
        "options.bias=false",
        "space.all.weight_decay={low=1e-6, high=1e-2, log=true}",
        "space.all.momentum={choices=[0, 0.9]}",
        "space.all.hidden={low=4, high=32, log=true}",
        "space.all.dropout={low=0, high=1}",
        "space.simulated.activation={choices=['relu', 'tanh']}",
    )
    space = found.space["simulated"]
    assert (space["hidden"], space["dropout"]) == (Range(4, 32, log=True), Range(0.0, 1.0))
    assert space["hidden"].is_whole  # type: ignore[union-attr]
    assert not space["dropout"].is_whole  # type: ignore[union-attr]  # its usual value is no whole number
    knobs = found.spec(
        "simulated", {**POINT, "hidden": 5, "weight_decay": 0.001, "momentum": 0}, seed=0
    ).hyperparameters
    assert (knobs.optimizer, knobs.schedule, knobs.warm_up) == ("adamw", "cosine", 0.1)
    assert (knobs.weight_decay, knobs.momentum) == (0.001, 0.0)
    assert knobs.options == {"hidden": 5, "dropout": 0.1, "activation": "relu", "bias": False}
    assert found.also_searched("simulated") == ("weight_decay", "momentum", "hidden", "dropout", "activation")


def test_a_frozen_plan_thaws_to_itself_and_what_is_printed_is_it(task: Path, tmp_path: Path) -> None:
    found = plan(task, "space.all.bias={choices=[true, false]}", "space.all.hidden={low=4, high=32}")
    freeze(found, tmp_path / "plan.toml")
    assert thaw(tmp_path / "plan.toml") == found
    (tmp_path / "mine.toml").write_text(explained(found))
    assert load_plan(str(tmp_path / "mine.toml")) == found


def test_a_plan_beside_a_folder_means_that_folder(task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_text('workload = "my-task"\nframeworks = ["simulated"]\n')
    monkeypatch.chdir("/")
    assert load_plan(str(tmp_path / "mine.toml")).workload == str(task)


def test_what_a_plan_fixes_the_workload_does_not_search(tmp_path: Path) -> None:
    searched = 'optimizer = { choices = ["sgd", "adam"] }\nhidden = { low = 4, high = 8 }\n'
    task = written(tmp_path / "t", toml=TOML + searched + '[training]\nschedule = "one_cycle"\n')
    assert plan(task).also_searched("simulated") == ("optimizer", "hidden")
    assert plan(task).training.schedule == "one_cycle"
    fixed = plan(task, "training.optimizer=adam", "options.hidden=4", "training.schedule=constant")
    assert fixed.also_searched("simulated") == ()
    assert (fixed.training.optimizer, fixed.options["hidden"], fixed.training.schedule) == ("adam", 4, "constant")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("options.hiden=3", "unknown option options.hiden; did you mean 'hidden'"),
        ("options.hidden=many", "options.hidden is 'many'; it takes a number: the workload says options.hidden = 8"),
        ("options.hidden=inf", "options.hidden is inf; it takes finite numbers"),
        ("space.all.hidden={choices=[1, nan]}", "space.all.hidden has nan; it takes finite numbers"),
        ("options.bias=1", "options.bias is 1; it takes true or false: the workload says options.bias = true"),
        ("options.hidden=[1]", r"options.hidden: it is \[1\]; write a number, a text, true or false"),
        ("space.all.hiden=3", "unknown hyperparameter space.all.hiden; did you mean 'hidden'"),
        ("space.all.hidden={choices=[4, 'a']}", "space.all.hidden: choices mixes"),
        ("space.all.activation={low=1, high=2}", "space.all.activation has 1; it takes a text"),
        ("space.all.hidden=[1, 2]", r"space.all.hidden: it is \[1, 2\]; write { low, high, log }"),
        ("space.all.optimizer=sdg", "space.all.optimizer is 'sdg'; did you mean 'sgd'"),
        ("space.all.schedule={choices=['cosine', 'linear']}", "space.all.schedule has 'linear'"),
        ("space.all.momentum={low=0, high=1}", "space.all.momentum has 1; it must lie between 0 and below 1"),
        ("space.all.warm_up=2", "space.all.warm_up is 2; it must lie between 0 and 1"),
        ("training.warm_up=2", "training.warm_up is 2"),
        ("training.metric=loss", "training.metric is loss, but the loss of my-task is cross_entropy"),
        ("training.target=1.5", "training.target is 1.5; it must be 1 or less: 0.015 is 1.5 %"),
        ("space.flux.hidden=3", "space.flux is for no framework of this plan"),
        ("search.initial_points=[{hidden=3}]", "search.initial_points: nothing searched is called hidden"),
        ('frameworks=["flux"]', "Flux cannot train my-task: .*/my-task has no model.jl"),
    ],
)
def test_bad_values_are_named(task: Path, setting: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}"):
        load_plan(str(task), settings=['frameworks=["simulated"]', setting])


@pytest.mark.parametrize(
    ("written_as", "instead", "message"),
    [
        ("hidden = 8", "hidden = 8\nmomentum = 0.5", "options.momentum has the name of a hyperparameter"),
        ("hidden = 8", 'hidden = 8\n"drop-out" = 0.5', "options.drop-out is no name of an argument"),
        ("learning_rate = {", "learning_rte = {", "unknown hyperparameter space.all.learning_rte; did you mean"),
        ("choices = [8, 16]", "choices = [8, 8]", "space.all.batch_size: choices repeats"),
        ("[space.all]", '[training]\nschedule = "cosin"\n[space.all]', "training.schedule is 'cosin'"),
        ("[space.all]", "[space.flax]\nhidden = 3\n[space.all]", "space.flax is for no framework; did you mean 'flux'"),
    ],
)
def test_what_is_wrong_in_the_workloads_own_file_is_told_there(
    tmp_path: Path, written_as: str, instead: str, message: str
) -> None:
    assert written_as in TOML
    task = written(tmp_path / "bad", toml=TOML.replace(written_as, instead))
    with pytest.raises(UserError, match=rf"^{task}/workload.toml, line \d+: {message}"):
        plan(task)


def test_without_a_space_the_missing_key_is_named(tmp_path: Path) -> None:
    task = written(tmp_path / "bare", toml=TOML.partition("[space.all]")[0])
    with pytest.raises(UserError, match=r"space.all.learning_rate is missing: neither the plan nor the workload"):
        plan(task)
    assert plan(task, "space.all.learning_rate=0.1", "space.all.batch_size=8").space["simulated"]["batch_size"].single


def test_an_option_of_one_framework_stands_in_its_own_space(tmp_path: Path) -> None:
    task = written(tmp_path / "t", toml=TOML + "[space.simulated]\ndepth = { low = 1, high = 3 }\n")
    found = plan(task, frameworks=["simulated", "simulated2"])
    assert "depth" in found.space["simulated"]
    assert "depth" not in found.space["simulated2"]
    with pytest.raises(UserError, match=r"unknown hyperparameter space.all.depth"):
        plan(task, "space.all.depth=3")


def test_only_frameworks_with_a_model_are_available(task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completing, "available", lambda: ["pytorch", "flux"])
    assert load_plan(str(task)).frameworks == ("pytorch",)
    monkeypatch.setattr(completing, "available", lambda: ["flux"])
    with pytest.raises(UserError, match=r"my-task has model.py, and no model for Flux, which can run here"):
        load_plan(str(task))


def test_a_target_of_loss_may_be_anything_above_0(tmp_path: Path) -> None:
    task = written(tmp_path / "t", toml='loss = "mean_squared_error"\n' + TOML.replace("target = 0.9", "target = 12.5"))
    found = plan(task)
    spec = found.spec("simulated", POINT, seed=0)
    assert (spec.metric, spec.target) == ("loss", 12.5)
    with pytest.raises(UserError, match=r"training.target is 0; it must be more than 0"):
        plan(task, "training.target=0")


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"hidden": [4, 8], "activation": ["relu", "tanh"], "bias": [True, False], "optimizer": ["sgd", "adam"]}, None),
        ({"hiden": [4]}, "unknown hyperparameter sweep.over.hiden; did you mean 'hidden'"),
        ({"hidden": ["a"]}, "sweep.over.hidden has 'a'; it takes a number"),
        ({"hidden": [4, "a"]}, "sweep.over.hidden: choices mixes"),
        ({"optimizer": ["sdg"]}, "sweep.over.optimizer has 'sdg'; did you mean 'sgd'"),
        ({"momentum": [1.0]}, "sweep.over.momentum has 1; it must lie between 0 and below 1"),
    ],
)
def test_anything_can_be_swept(task: Path, over: dict[str, list[Any]], message: str | None) -> None:
    sweep = {"over": over, "repeats": 1, "learning_rate": 0.02, "batch_size": 8, "num_workers": 0}
    if message is None:
        found = sweep_plan(str(task), sweep, frameworks=["simulated"])
        assert found.sweep is not None
        assert found.hyperparameters(found.sweep.point("activation", "tanh")).options["activation"] == "tanh"
        assert found.hyperparameters(found.sweep.point("optimizer", "adam")).optimizer == "adam"
        return
    with pytest.raises(UserError, match=f"^the sweep: {message}"):
        sweep_plan(str(task), sweep, frameworks=["simulated"])


MADE = Made(arrays="x", training_samples=101, shape=(4,), outputs=2)


@pytest.mark.parametrize(
    ("toml", "line", "message"),
    [
        (
            "choices = [8, 16, 1000]",
            "batch_size =",
            "space.all.batch_size has 1000, more than the 101 training samples",
        ),
        ("low = 8, high = 200", "batch_size =", "space.all.batch_size has 102, more than the 101 training samples"),
        (
            "evaluate_every_samples = 5000",
            "evaluate_every_samples =",
            "evaluate_every_samples is 5000, but epochs = 20 ",
        ),
        ("holds = 50", "holds =", "holds is 50, but epochs = 20 have room for 40 evaluations"),
    ],
)
def test_what_the_data_make_impossible_is_told_where_the_workload_says_it(
    tmp_path: Path, toml: str, line: str, message: str
) -> None:
    old = {"choices": "choices = [8, 16]", "low": "choices = [8, 16]", "holds": "holds = 1"}
    text = TOML.replace(old.get(toml.split()[0], "evaluate_every_samples = 50"), toml)
    task = written(tmp_path / "my-task", toml=text)
    number = next(n for n, each in enumerate(text.splitlines(), 1) if each.startswith(line))
    with pytest.raises(UserError) as error:
        completing.refuse_by_data(plan(task), MADE, find(str(task)))
    assert str(error.value).startswith(f"{task}/workload.toml, line {number}: {message}")


def test_what_a_plan_makes_impossible_is_told_under_the_plans_keys(task: Path) -> None:
    for settings, message in (
        (["space.all.batch_size=1000"], "space.simulated.batch_size is 1000, more than"),
        (["training.epochs=1", "training.holds=3"], "training.holds is 3, but training.epochs = 1 have room for 2"),
    ):
        with pytest.raises(UserError, match=f"^{message}"):
            completing.refuse_by_data(plan(task, *settings), MADE, find(str(task)))
    with pytest.raises(UserError) as error:
        completing.refuse_by_model(
            plan(task), Made(**{**MADE.model_dump(), "training_samples": 97}), find(str(task)), why="Y"
        )
    assert str(error.value).startswith(
        f"{task}/workload.toml, line 16: space.all.batch_size has 8, which leaves a last batch"
    )
