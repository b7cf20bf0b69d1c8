"""`tuneoff sweep`, and the commands over finished studies, as a user runs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from study.plan.files import as_toml, freeze, sweep_plan, thaw
from tests.study.test_study import evaluations, finish, tuneoff, wait_for
from trainables.common.errors import UserError

POINT = {"learning_rate": 0.1, "batch_size": 128, "num_workers": 2}
SHORT = ["--set", "training.epochs=2", "--frameworks", "simulated", "--repeats", "2"]


def test_a_plan_of_a_sweep_survives_its_file(tmp_path: Path) -> None:
    plan = sweep_plan("mnist-lenet", {"over": {"num_workers": [2, 4]}, "repeats": 3, **POINT}, frameworks=["simulated"])
    assert plan.sweep is not None
    assert plan.sweep.trainings == 6
    assert plan.sweep.point("num_workers", 4) == {**POINT, "num_workers": 4}
    assert (plan.training.epochs, plan.training.weight_decay) == (10, 5e-4)
    freeze(plan, tmp_path / "plan.toml")
    assert thaw(tmp_path / "plan.toml") == plan
    assert "sweep" in as_toml(plan)


@pytest.mark.parametrize(
    ("over", "named"),
    [
        ({"workers": [2]}, "unknown hyperparameter sweep.over.workers"),
        ({"batch_size": [32, 32]}, "sweep.over.batch_size needs values, each once"),
        ({"batch_size": []}, "sweep.over.batch_size needs values"),
        ({"batch_size": [0]}, "sweep.over.batch_size has 0; it must lie between 1 and 1048576"),
        ({"num_workers": [1.5]}, "sweep.over.num_workers has 1.5; it takes whole numbers"),
        ({"learning_rate": [-1.0]}, "sweep.over.learning_rate has -1"),
        ({}, "sweep.over"),
    ],
)
def test_a_bad_sweep_is_named(over: dict[str, list[float]], named: str) -> None:
    with pytest.raises(UserError, match=named):
        sweep_plan("mnist-lenet", {"over": over, "repeats": 3, **POINT}, frameworks=["simulated"])


@pytest.mark.parametrize("setting", ["search.trials=4", "confirm.runs=2", "race.runs=1", "space.all.batch_size=8"])
def test_a_key_that_a_sweep_would_not_heed_is_refused(setting: str) -> None:
    section = setting.partition(".")[0]
    with pytest.raises(UserError, match=f"^--set {setting}: a sweep has no {section}; --over says what varies"):
        sweep_plan("digits-lenet", {"over": {"batch_size": [8]}, "repeats": 3, **POINT}, settings=[setting])


def test_a_key_that_a_sweep_heeds_is_taken() -> None:
    swept = {"over": {"batch_size": [8]}, "repeats": 3, **POINT}
    settings = ["search.max_failures=4", "training.epochs=2", "slice.cpus=2"]
    plan = sweep_plan("digits-lenet", swept, settings=settings, frameworks=["simulated"])
    assert (plan.search.max_failures, plan.training.epochs, plan.slice.cpus) == (4, 2, 2)


def test_a_plan_is_no_workload_and_the_message_says_which_is_meant() -> None:
    with pytest.raises(UserError, match=r"^'quickstart' is a plan, not a workload; its workload is digits-lenet$"):
        sweep_plan("quickstart", {"over": {"batch_size": [8]}, "repeats": 3, **POINT})


def test_a_value_that_is_no_number(tmp_path: Path) -> None:
    said = finish(tuneoff("sweep", "digits-lenet", "--over", "batch_size=big", *SHORT, cwd=tmp_path), expected=2)
    assert "--over batch_size has 'big'; it takes whole numbers" in said
    assert not (tmp_path / "results").exists()


def test_a_sweep_is_resumed_reported_checked_and_compared(tmp_path: Path) -> None:
    values = ["--over", "num_workers=0,2", "--over", "batch_size=32,128"]
    driver = tuneoff(
        "sweep", "digits-lenet", *values, *SHORT, "--name", "s", cwd=tmp_path, env={"TUNEOFF_SIMULATED_SPEED": "4"}
    )
    folder = tmp_path / "results" / "s"
    wait_for(lambda: evaluations(folder) >= 3, "evaluations")
    driver.kill()
    driver.communicate()
    state = json.loads(finish(tuneoff("status", str(folder), "--json", cwd=tmp_path)))
    assert state["frameworks"]["simulated"]["trials_wanted"] == 8
    assert state["frameworks"]["simulated"]["confirmed_wanted"] == 0
    assert not state["done"]
    finish(tuneoff("resume", str(folder), cwd=tmp_path))
    table = pd.read_parquet(folder / "trials.parquet")
    assert table["phase"].eq("sweep").all()
    assert len(table) == 8 == table["trial_id"].nunique()
    workers = table[table["varied"] == "num_workers"]
    assert sorted(workers["num_workers"]) == [0, 0, 2, 2]
    assert workers["batch_size"].eq(128).all()
    assert sorted(table.loc[table["varied"] == "batch_size", "batch_size"]) == [32, 32, 128, 128]
    assert table["epochs"].eq(2).all()
    assert table[["best_training_accuracy", "test_accuracy", "average_training_loss"]].notna().all(axis=None)
    assert table.groupby("varied")["seed"].nunique().eq(2).all()
    assert "finished: nothing to run" in finish(tuneoff("resume", str(folder), cwd=tmp_path))
    assert "8 of 8 trainings; " in finish(tuneoff("status", str(folder), cwd=tmp_path))
    assert "is a sweep" in finish(tuneoff("confirm", str(folder), cwd=tmp_path), expected=2)
    page = folder / "report" / "index.html"
    assert "Total Data Loading Time" in page.read_text() or "total data loading time" in page.read_text()
    assert "what the records say" in finish(tuneoff("report", str(folder), "--verify", cwd=tmp_path))
    text = page.read_text()
    page.write_text(text.replace("0.1", "0.7", 1) if "0.1" in text else text + "7")
    assert "differ" in finish(tuneoff("report", str(folder), "--verify", cwd=tmp_path), expected=1)
    other = tmp_path / "results" / "t"
    shutil.copytree(folder, other)
    finish(tuneoff("compare", str(folder), str(other), cwd=tmp_path))
    assert (tmp_path / "results" / "comparison" / "index.html").exists()
    assert "two studies" in finish(tuneoff("compare", str(folder), cwd=tmp_path), expected=2)
