"""Capping in a whole search, on machines that are not there."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.utils.util import flatten_dict

from study.driver.caps import CapScheduler, capped
from study.driver.tuning import make_scheduler
from study.plan.files import load_plan
from study.plan.plan import Plan
from tests.study.driver.simulation import Cluster, simulated
from trainables.cap import NO_CAP, Cap
from trainables.spec import TrainingSpec
from trainables.tune_trainable import HISTORY, OBJECTIVE, RESULT, SPEC

SETTINGS = (
    "search.trials=14",
    "space.all.learning_rate={low=1e-3,high=0.9,log=true}",
    "training.evaluate_every_samples=300",
    "training.epochs=6",
    "training.target=0.9",
    "confirm.runs=1",
    "race.configurations=2",
    "race.runs=1",
)
TOLD = ["outcome", "capped_by", "cap_s", "objective", "warm_tta_s", "evaluations", "best_validation_accuracy"]


class Killed(BaseException):
    """Nothing catches it."""


def searched(trials: pd.DataFrame) -> pd.DataFrame:
    """By framework and place; numbers leave out that of an interrupted trial, which another took over."""
    return trials[trials["phase"] == "search"].sort_values(["framework", "number"]).reset_index(drop=True)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    with pytest.MonkeyPatch.context() as patch:
        study = simulated(tmp_path_factory.mktemp("whole"), Cluster({"a": 1.0}, patch), *SETTINGS)
        study.run()
        return study.trials


def test_a_search_is_capped_and_nothing_else_is(uninterrupted: pd.DataFrame) -> None:
    table = uninterrupted[uninterrupted["phase"] == "search"]
    assert {"time", "curve"} <= set(table["capped_by"].dropna())
    hits, stopped = table[table["reached"]], table[table["outcome"] == "capped"]
    assert len(stopped) > 3
    assert stopped["objective"].min() > hits["objective"].max()  # none beats a hit
    assert stopped["cap_s"].notna().all()
    first = table[table["reached"]].groupby("framework")["number"].min()
    for name, number in first.items():  # no cap before the first hit
        assert table.loc[(table["framework"] == name) & (table["number"] <= number), "cap_s"].isna().all()
    others = uninterrupted[uninterrupted["phase"] != "search"]
    assert len(others) > 0
    assert others["cap_s"].isna().all()
    assert not others["outcome"].eq("capped").any()


def test_each_framework_has_its_own_cap(uninterrupted: pd.DataFrame) -> None:
    """The second takes 1.5 times as long for the same, and so do its caps."""
    table = uninterrupted[uninterrupted["phase"] == "search"].pivot(index="number", columns="framework", values="cap_s")
    both = table.dropna()
    assert len(both) > 3
    assert (both["simulated2"] / both["simulated"]).between(1.3, 1.7).all()


@pytest.mark.parametrize("at", [2, 5, 9])
def test_a_search_that_was_killed_is_capped_like_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: pd.DataFrame, at: int
) -> None:
    def kill(name: str, _: Cluster) -> None:
        if name == f"search-simulated-{at:05d}":
            raise Killed

    cluster = Cluster({"a": 1.0}, monkeypatch, during=kill)
    study = simulated(tmp_path, cluster, *SETTINGS)
    with pytest.raises(Killed):
        study.run()
    cluster.during = lambda *_: None
    study.run()
    found, expected = searched(study.trials), searched(uninterrupted)
    assert sorted(found["segments"])[-2:] == [1, 2]
    pd.testing.assert_frame_equal(found[TOLD], expected[TOLD], rtol=1e-9)


@pytest.mark.parametrize("slots", [1, 2])
def test_trials_are_capped_by_the_best_of_their_own_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slots: int
) -> None:
    study = simulated(tmp_path, Cluster({"fast": 1.0, "slow": 3.0}, monkeypatch, slots), "search.cap_rank=1", *SETTINGS)
    study.run("search")
    table = study.trials.sort_values("ended_at")
    assert table["cap_s"].notna().sum() > 8
    for _, mine in table.groupby(["framework", "host"]):
        best = set(accumulate(mine.loc[mine["reached"], "objective"], min))
        for cap in mine["cap_s"].dropna():
            assert any(cap == pytest.approx(study.plan.search.cap_slack * each) for each in best)


@pytest.mark.parametrize("scheduler", ["fifo", "asha"])
def test_other_schedulers_cap_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheduler: str) -> None:
    study = simulated(tmp_path, Cluster({"a": 1.0}, monkeypatch), *SETTINGS, f"search.scheduler={scheduler}")
    study.run("search")
    assert study.trials["cap_s"].isna().all()
    assert not study.trials["outcome"].eq("capped").any()


def plan_with(scheduler: str) -> Plan:
    return load_plan("quickstart", settings=[f"search.scheduler={scheduler}"], frameworks=["simulated"])


def test_the_scheduler_is_the_plans() -> None:
    caps: Any = SimpleNamespace(now=lambda *_: NO_CAP)
    made = {name: make_scheduler(plan_with(name), samples=1079, caps=caps) for name in ("fifo", "cap", "asha")}
    assert type(made["fifo"]) is FIFOScheduler
    assert isinstance(made["cap"], CapScheduler)
    assert type(made["asha"]).__name__ == "AsyncHyperBandScheduler"


def test_a_better_cap_reaches_a_trial_that_runs() -> None:
    plan = plan_with("cap")
    spec = plan.spec("simulated", {"learning_rate": 0.1, "batch_size": 32, "num_workers": 0}, seed=0)
    known = {"cap": NO_CAP}
    asked = []
    caps: Any = SimpleNamespace(now=lambda *of: asked.append(of) or known["cap"])
    scheduler = CapScheduler(caps)
    trial: Any = SimpleNamespace(trial_id="t", config={SPEC: spec.as_dict(), "host": "here"})
    result = told(spec, train_s=2.0, best=0.6)
    assert scheduler.on_trial_result(None, trial, flatten_dict(result)) == TrialScheduler.CONTINUE
    known["cap"] = Cap(3.0, ((1.0, 0.5), (2.0, 0.7)), margin=0.2)
    assert scheduler.on_trial_result(None, trial, flatten_dict(result)) == TrialScheduler.CONTINUE
    known["cap"] = Cap(3.0, ((1.0, 0.5), (2.0, 0.7)), margin=0.05)
    assert scheduler.on_trial_result(None, trial, flatten_dict(result)) == TrialScheduler.STOP
    assert asked == [("simulated", "here")] * 3
    capped(spec, result, scheduler.stopped["t"])
    assert result[RESULT] | {"objective": None} == {
        "best_validation_accuracy": 0.6, "best_validation_loss": 1.0, "outcome": "capped", "capped_by": "curve",
        "cap_s": 3.0, "objective": None,
    }  # fmt: skip
    assert result[OBJECTIVE] == result[RESULT]["objective"] == pytest.approx(spec.limit_s * 1.1)


def told(spec: TrainingSpec, *, train_s: float, best: float) -> dict[str, Any]:
    accounts = dict.fromkeys(("startup_s", "compile_s", "eval_s", "checkpoint_s"), 0.0)
    kept = {"best_validation_accuracy": best, "best_validation_loss": 1.0, "outcome": None, "cap_s": None}
    return {**accounts, "train_s": train_s, HISTORY: [], RESULT: kept, OBJECTIVE: spec.limit_s * 1.5, "done": False}
