"""Clusters that others use, too: nodes that come and go, slices that are taken."""

from __future__ import annotations

import pytest

from study.cluster import allowed, slices, waiting
from study.cluster.allowed import Member, Nodes
from study.cluster.slices import ASK_AGAIN_S, Slots
from study.cluster.waiting import ClusterWatch
from study.plan.plan import SlicePlan

ONE_CPU = SlicePlan(cpus=1, gpus=0, max_concurrent=0)


def node(number: int, cpus: float = 4.0, *, draining: bool = False) -> Member:
    return Member(f"id-{number}", f"10.0.0.{number}", f"host-{number}", 1, {"CPU": cpus}, draining)


class Cluster:
    """Stands in for what Ray tells."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nodes = [node(1), node(2)]
        self.free: dict[str, float] = {}
        self.has_slice = False
        self.said: list[str] = []
        for module in (waiting, allowed):
            monkeypatch.setattr(module, "members", lambda: self.nodes)
        monkeypatch.setattr(waiting, "_has_slice", lambda: self.has_slice)
        monkeypatch.setattr(waiting.ray, "available_resources", lambda: self.free)
        monkeypatch.setattr(waiting.ray, "cluster_resources", lambda: {"CPU": 8.0, "GPU": 2.0})

    def watch(self, wanted: SlicePlan = ONE_CPU) -> ClusterWatch:
        return ClusterWatch(wanted, joining=lambda: None, say=self.said.append)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


def test_nodes_that_are_gone_and_that_join_are_named(cluster: Cluster) -> None:
    watch = cluster.watch()
    watch.look({"RUNNING"}, now=0.0)
    cluster.nodes = [node(1), node(3, 16.0)]
    watch.look({"RUNNING"}, now=10.0)
    watch.look({"RUNNING"}, now=20.0)
    assert cluster.said == [
        "node 10.0.0.2 is gone; its trials run elsewhere",
        "node 10.0.0.3 has joined, with 16 CPUs",
    ]


def test_a_drained_node_is_told_once_and_its_end_costs_nothing(cluster: Cluster) -> None:
    watch = cluster.watch()
    watch.look({"RUNNING"}, now=0.0)
    cluster.nodes = [node(1), node(2, draining=True)]
    watch.look({"RUNNING"}, now=10.0)
    watch.look({"RUNNING"}, now=20.0)
    cluster.nodes = [node(1)]
    watch.look({"RUNNING"}, now=30.0)
    assert cluster.said == [
        "node 10.0.0.2 is being drained: it gets no more trials, and those on it go on",
        "node 10.0.0.2 is gone",
    ]


def test_waiting_is_told_once_then_every_minute_then_its_end(cluster: Cluster) -> None:
    watch = cluster.watch()
    for now in range(130):
        watch.look({"PENDING", "TERMINATED"}, now=float(now))
    told = "waiting: 0 of 8 CPUs free; a trial needs 1 on one node"
    assert cluster.said == [told] * 3
    cluster.has_slice = True
    watch.look({"PENDING"}, now=132.0)
    watch.look({"RUNNING"}, now=135.0)
    assert cluster.said[3:] == ["going on"]


def test_gpus_are_counted_where_a_trial_needs_them(cluster: Cluster) -> None:
    cluster.free = {"CPU": 8.0, "GPU": 1.0}
    watch = cluster.watch(SlicePlan(cpus=1, gpus=2, max_concurrent=0))
    watch.look({"PENDING"}, now=0.0)
    watch.look({"PENDING"}, now=10.0)
    assert cluster.said == ["waiting: 1 of 2 GPUs free; a trial needs 2 on one node"]


@pytest.mark.parametrize("states", [{"RUNNING", "PENDING"}, {"TERMINATED"}, set()])
def test_one_that_runs_is_not_waited_for(cluster: Cluster, states: set[str]) -> None:
    watch = cluster.watch()
    for now in (0.0, 100.0, 200.0):
        watch.look(states, now=now)
    assert cluster.said == []


def test_a_process_that_starts_in_its_slice_is_no_waiting(cluster: Cluster) -> None:
    cluster.has_slice = True
    watch = cluster.watch()
    for now in (0.0, 100.0, 200.0):
        watch.look({"PENDING"}, now=now)
    assert cluster.said == []


def test_slots_follow_the_nodes(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(slices.time, "monotonic", lambda: now)
    growing, fixed = Slots(ONE_CPU, Nodes(), growing=True), Slots(ONE_CPU, Nodes(), growing=False)
    bounded = Slots(SlicePlan(cpus=2, gpus=0, max_concurrent=3), Nodes(), growing=True)
    assert (growing.now(), fixed.now(), bounded.now()) == (8, 8, 3)
    cluster.nodes = [node(1)]
    now += ASK_AGAIN_S + 1
    assert (growing.now(), fixed.now(), bounded.now()) == (4, 8, 2)
    cluster.nodes = [node(1), node(3, 16.0)]
    now += ASK_AGAIN_S + 1
    assert (growing.now(), fixed.now(), bounded.now()) == (20, 8, 3)


def test_whether_there_may_be_several_at_once(cluster: Cluster) -> None:
    cluster.nodes = [node(1, 1.0)]
    assert not Slots(ONE_CPU, Nodes(), growing=False).several
    assert Slots(ONE_CPU, Nodes(), growing=True).several
    assert not Slots(SlicePlan(cpus=1, gpus=0, max_concurrent=1), Nodes(), growing=True).several
