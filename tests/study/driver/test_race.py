"""The race: the best configurations of every search run again, and the best of these is confirmed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from reports.winners import finalists, race_winner
from study.cli.status import status
from study.store.manifest import changed
from tests.study.driver.simulation import BOTH, Cluster, Study, simulated
from trainables.common.errors import UserError

RACE = ("search.scheduler=fifo", "race.configurations=3", "race.runs=2", "confirm.runs=2")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    return simulated(tmp_path, Cluster({"a": 1.0}, monkeypatch), *RACE)


def raced(study: Study) -> pd.DataFrame:
    table = study.trials
    return table[table["phase"] == "race"]


def test_the_best_of_each_search_run_again_with_fresh_seeds_that_both_frameworks_share(study: Study) -> None:
    study.run()
    table, races = study.trials, raced(study)
    best = finalists(table[table["phase"] == "search"].to_dict("records"), 3)
    for name in BOTH:
        mine = races[races["framework"] == name]
        assert mine.groupby("confirms")["rank"].first().to_dict() == {
            row["number"]: place for place, row in enumerate(best[name], 1)
        }
        assert mine.groupby("confirms").size().eq(2).all()
        for row in best[name]:
            assert mine.loc[mine["confirms"] == row["number"], "batch_size"].eq(row["batch_size"]).all()
        assert mine["test_accuracy"].notna().all()
    assert races["seed"].nunique() == 2 * 3  # another for every configuration
    others = table.loc[table["phase"] != "race", "seed"]
    assert not set(races["seed"]) & set(others)
    assert races.groupby("number")["seed"].nunique().eq(1).all()


def test_what_wins_the_race_is_confirmed(study: Study) -> None:
    study.run()
    rows = study.trials.to_dict("records")
    won = {name: row["number"] for name, row in race_winner(rows).items()}
    assert study.confirmed.groupby("framework")["confirms"].unique().map(list).to_dict() == {
        name: [number] for name, number in won.items()
    }


def test_frameworks_alternate_in_a_race_and_meet_on_every_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = simulated(tmp_path, Cluster({"a": 1.0, "b": 2.0}, monkeypatch), *RACE)
    study.run("search", "race")
    races = raced(study)
    assert races.groupby("number")["host"].nunique().eq(1).all()
    assert races.groupby(["host", "framework"]).size().eq(3).all()
    firsts = races.groupby("number")["framework"].first()
    assert sorted(firsts.value_counts().to_list()) == [3, 3]


def test_a_race_goes_on_where_it_stopped(study: Study) -> None:
    cluster = study.cluster

    class Killed(Exception):
        pass

    def kill(name: str, _: Cluster) -> None:
        if sum(each.startswith("race") for each, _ in cluster.ran) == 5 and name.startswith("race"):
            raise Killed

    cluster.before = kill
    study.run("search")
    with pytest.raises(Killed):
        study.run("race")
    assert not status(study.plan, study.folder)["done"]
    cluster.before = lambda name, cluster: None
    study.run()
    names = [name for name, _ in cluster.ran]
    assert len(names) == len(set(names))
    assert len(raced(study)) == 12
    state = status(study.plan, study.folder)
    assert state["done"]
    assert [each["raced"] for each in state["frameworks"].values()] == [6, 6]


def test_a_pair_of_a_race_whose_node_dies_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(name: str, cluster: Cluster) -> None:
        if name.startswith("race") and cluster.ran[-1][1] == "b":
            cluster.machines.pop("b", None)

    study = simulated(tmp_path, Cluster({"a": 1.0, "b": 2.0}, monkeypatch, during=die), *RACE)
    study.run()
    counted = [row for row in raced(study).to_dict("records") if row["outcome"] != "moved"]
    assert {row["host"] for row in counted} == {"a"}
    assert status(study.plan, study.folder)["done"]


def test_more_trials_bring_others_into_the_race(study: Study) -> None:
    study.run()
    before = raced(study)["trial_id"].to_list()
    study.plan = changed(study.plan, study.folder, ["search.trials=24"])
    study.run()
    table, races = study.trials, raced(study)
    assert set(before) <= set(races["trial_id"])
    entered = finalists(table[table["phase"] == "search"].to_dict("records"), 3)
    assert {row["number"] for row in entered["simulated"]} != set(
        pd.Series(before)[[name.startswith("race-simulated-") for name in before]].str.split("-").str[2].astype(int)
    )
    for name, rows in entered.items():
        for row in rows:
            mine = races[(races["framework"] == name) & (races["confirms"] == row["number"])]
            assert len(mine) == 2
    assert status(study.plan, study.folder)["done"]


def test_runs_of_a_race_may_grow_and_not_shrink(study: Study) -> None:
    study.run("search", "race")
    with pytest.raises(UserError, match=r"race\.runs"):
        changed(study.plan, study.folder, ["race.runs=1"])
    study.plan = changed(study.plan, study.folder, ["race.runs=3"])
    study.run("race")
    assert len(raced(study)) == 18


@pytest.mark.parametrize("setting", ["race.configurations=0", "race.runs=0"])
def test_without_a_race_the_best_of_the_search_is_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    study = simulated(tmp_path, Cluster({"a": 1.0}, monkeypatch), *RACE, setting)
    study.run()
    assert raced(study).empty
    assert len(study.confirmed) == 4
    assert status(study.plan, study.folder)["done"]


def test_a_framework_that_never_reached_the_target_runs_no_race(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = simulated(tmp_path, Cluster({"a": 1.0}, monkeypatch), *RACE, "training.target=0.999", "training.epochs=3")
    study.run()
    assert raced(study).empty
    assert status(study.plan, study.folder)["done"]


def test_status_counts_the_whole_race_from_the_first_trial_on(study: Study) -> None:
    wanted = [status(study.plan, study.folder)["frameworks"][name]["raced_wanted"] for name in BOTH]
    assert wanted == [6, 6]
    study.run()
    assert not any(status(study.plan, study.folder)["frameworks"][name]["raced_wanted"] > 6 for name in BOTH)
    assert status(study.plan, study.folder)["done"]
