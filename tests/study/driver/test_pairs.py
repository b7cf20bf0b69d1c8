"""Frameworks are compared and not the nodes they ran on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from reports.tables.budget import budgets
from reports.tables.claims import claims, successes
from reports.tables.machines import compared_apart, crossings, machine_cautions
from reports.tables.verdict import verdict
from study.cli.status import status
from study.driver.pairs import Balance
from tests.study.driver.simulation import BOTH, TRUTH, Cluster, Study, simulated


def pairs(study: Study) -> pd.DataFrame:
    """Of each pair of the confirmation runs: where it ran, and the order of its frameworks."""
    last = study.confirmed.sort_values("attempt").groupby(["framework", "number"]).tail(1).sort_values("began_at")
    return last.groupby("number").agg(hosts=("host", "unique"), order=("framework", tuple))


# Name, machines, slots of each.
STUDIES = [
    ({"a": 1.0, "b": 2.0}, 1),
    ({"a": 2.0, "b": 1.0}, 1),
    ({"a": 1.0, "b": 2.0}, 2),
    ({"a": 1.0, "b": 2.0}, 3),
    ({"a": 1.0, "b": 1.1}, 1),
    ({"a": 1.0, "b": 10.0}, 1),
    ({"a": 1.0, "b": 2.0, "c": 1.0}, 1),
    ({"a": 1.0, "b": 2.0, "c": 4.0}, 1),
    ({"a": 3.0, "b": 1.0, "c": 2.0}, 2),
    ({"a": 1.0, "b": 2.0, "c": 2.0, "d": 1.0}, 1),
]


@pytest.mark.parametrize(("machines", "slots"), STUDIES)
def test_nodes_of_unequal_speed_do_not_change_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machines: dict[str, float], slots: int
) -> None:
    study = simulated(tmp_path, Cluster(machines, monkeypatch, slots), "confirm.runs=12")
    study.run()
    found = pairs(study)
    assert len(found) == 12
    assert found["hosts"].map(len).eq(1).all()  # both runs of a seed on one node
    places = found["hosts"].str[0]
    each = places.value_counts()
    assert set(each.index) == set(machines)
    assert each.max() - each.min() <= 1  # every node as often as any other, for both frameworks
    for host in machines:
        orders = Counter(found.loc[places == host, "order"])
        assert abs(orders["simulated", "simulated2"] - orders["simulated2", "simulated"]) <= 1
    search = study.trials[study.trials["phase"] == "search"]
    had = pd.crosstab(search["host"], search["framework"])
    assert len(had) == len(machines)  # no framework owns a node
    assert had["simulated"].equals(had["simulated2"])
    table = claims(study.trials).set_index("clock").loc["warm"]
    assert table["pairs"] == 12
    assert table[["ratio", "ratio_low", "ratio_high"]].tolist() == pytest.approx([TRUTH] * 3, rel=0.02)
    assert crossings(study.trials)["together"].tolist() == [12]
    assert "Warm: Simulated is 1.50x [1.50, 1.50] faster." in verdict(study.trials)


def test_on_one_node_the_order_is_abba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = simulated(tmp_path, Cluster({"a": 1.0}, monkeypatch), "confirm.runs=4", "search.trials=2")
    study.run()
    assert study.confirmed["framework"].tolist() == [*BOTH, *reversed(BOTH), *BOTH, *reversed(BOTH)]


def test_three_frameworks_each_come_first_in_the_middle_and_last() -> None:
    balance, names = Balance([]), ["x", "y", "z"]
    orders = [balance.order("a", names) for _ in range(6)]
    for place in range(3):
        assert Counter(order[place] for order in orders) == dict.fromkeys(names, 2)


@pytest.mark.parametrize("half", [0, 1])
def test_a_pair_whose_node_dies_moves_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: int) -> None:
    def die(name: str, cluster: Cluster) -> None:
        begun = [each for each, _ in cluster.ran if each.startswith("confirm")]
        if len(begun) == 3 + half and "b" in cluster.machines:
            assert cluster.ran[-1][1] == "b"
            del cluster.machines["b"]

    study = simulated(tmp_path, Cluster({"a": 1.0, "b": 2.0}, monkeypatch, during=die), "confirm.runs=4")
    said = study.run()
    assert "lost b; what has to run there runs elsewhere" in said
    table = study.confirmed
    moved = table[table["outcome"] == "moved"]
    assert len(moved) == 1
    assert moved["host"].tolist() == ["b"]
    assert moved["error"].tolist() == ["its machine was lost"]
    assert (moved["slice_s"] > 0).all()  # what it cost stays charged
    assert len(table) == 8 + 1 + half  # the half that had finished stands in the records, too
    assert table[table["attempt"] == 2]["host"].tolist() == ["a", "a"]
    assert status(study.plan, study.folder)["done"]
    compared = claims(study.trials).set_index("clock").loc["warm"]
    assert compared["pairs"] == 4
    assert successes(study.trials)[["runs", "runs_against"]].to_numpy().tolist() == [[4, 4]]
    assert compared["ratio"] == pytest.approx(TRUTH, rel=0.02)
    counts = budgets(study.trials, {})
    assert counts["again"].sum() == 1 + half
    before = len(table)
    study.run("confirm")  # nothing is left
    assert len(study.confirmed) == before


def test_a_node_that_joins_is_used_and_a_pair_that_waits_for_a_dead_one_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(name: str, cluster: Cluster) -> None:
        begun = sum(each.startswith("confirm") for each, _ in cluster.ran)
        if begun == 2 and name.startswith("confirm"):
            cluster.machines["c"] = 2.0
        if begun == 5 and name.startswith("confirm"):
            cluster.machines.pop("b", None)

    study = simulated(tmp_path, Cluster({"a": 1.0, "b": 2.0}, monkeypatch, before=change))
    study.run()
    found = pairs(study)
    assert found["hosts"].map(len).eq(1).all()
    assert set(found["hosts"].str[0]) >= {"a", "c"}
    assert compared_apart(study.trials).empty


def test_a_run_resumed_on_another_machine_is_run_again_and_its_pair_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(name: str, cluster: Cluster) -> None:
        if name.startswith("confirm-simulated2") and name.endswith("00002"):
            raise Killed

    cluster = Cluster({"a": 1.0}, monkeypatch, during=kill)
    study = simulated(tmp_path, cluster, "confirm.runs=4", "search.trials=2")
    with pytest.raises(Killed):
        study.run()
    cluster.machines, cluster.during = {"z": 2.0}, lambda name, cluster: None
    study.run("confirm")
    table = study.confirmed
    assert table["hosts"].eq(1).all()
    again = table[table["number"] == 2]
    assert sorted(again[again["attempt"] == 2]["framework"]) == BOTH
    assert again[again["attempt"] == 2]["host"].tolist() == ["z", "z"]
    assert pairs(study)["hosts"].map(len).eq(1).all()
    assert "moved" in set(again["outcome"])


def test_runs_of_an_older_version_that_were_apart_are_not_compared_and_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster({"a": 1.0, "b": 2.0}, monkeypatch)
    study = simulated(tmp_path, cluster, "confirm.runs=4", "search.trials=4")
    study.run()
    log = study.folder.log
    from study.store.log import format_line, parse_line

    lines = []
    for line in log.read_bytes().splitlines(keepends=True):
        row = parse_line(line)
        assert row is not None
        kind = row.pop("kind")
        if kind == "trial" and row["phase"] == "confirm":  # A B A B met Ray's alternation between nodes
            row["host"] = {"simulated": "a", "simulated2": "b"}[row["framework"]]
        lines.append(format_line(kind, row))
    log.write_bytes(b"".join(lines))
    assert not status(study.plan, study.folder)["done"]
    study.run("search")  # brings the Parquet files up to date
    said = verdict(study.trials)
    assert "Simulated 2 and Simulated are not compared" in said
    assert "Simulated's time" not in said
    assert "cannot be told apart" in " ".join(machine_cautions(study.trials)["caution"])
    study.run("confirm")
    assert crossings(study.trials)["together"].tolist() == [4]
    assert "Warm: Simulated 2 needs 1.50x of Simulated's time: no interval" in verdict(study.trials)
    assert status(study.plan, study.folder)["done"]


def test_a_sweeps_frameworks_belong_together_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from study.plan.files import sweep_plan
    from study.store.folder import create

    point = {"learning_rate": 0.1, "batch_size": 128, "num_workers": 2}
    plan = sweep_plan("digits-lenet", {"over": {"num_workers": [0, 2]}, "repeats": 4, **point}, frameworks=BOTH)

    def die(name: str, cluster: Cluster) -> None:
        if len(cluster.ran) == 4:
            cluster.machines.pop("b", None)

    cluster = Cluster({"a": 1.0, "b": 2.0}, monkeypatch, during=die)
    study = Study(create(tmp_path / "study", plan), plan, cluster)
    study.run()
    table = study.trials
    counted = table[(table["outcome"] != "moved")].sort_values("attempt").groupby(["framework", "number"]).tail(1)
    assert len(counted) == 16
    assert counted.groupby("number")["host"].nunique().eq(1).all()
    assert budgets(table, {})["trainings"].tolist() == [8, 8]
    assert status(plan, study.folder)["done"]
