from __future__ import annotations

import pytest

from study.cluster import allowed
from study.cluster.allowed import Member, Nodes
from study.cluster.nodes import Node
from study.cluster.slices import nodes_for
from study.plan.plan import SlicePlan

NODES = [
    Member("id", "10.0.0.1", "host", 1, resources)
    for resources in ({"CPU": 4.0, "GPU": 1.0}, {"CPU": 16.0}, {"CPU": 8.0, "GPU": 4.0})
]


def fitting(wanted: SlicePlan) -> int:
    return sum(node.slots(wanted) for node in NODES)


@pytest.mark.parametrize(
    ("cpus", "gpus", "fits"),
    [(1, 0, 28), (3, 0, 8), (16, 0, 1), (17, 0, 0), (1, 1, 5), (4, 1, 3), (4, 2, 2), (8, 4, 1), (9, 1, 0), (1, 5, 0)],
)
def test_slices_never_span_nodes(cpus: int, gpus: int, fits: int) -> None:
    assert fitting(SlicePlan(cpus=cpus, gpus=gpus, max_concurrent=0)) == fits


@pytest.mark.parametrize(
    ("share", "fits"),
    [(0.5, 2 + 8), (0.4, 2 + 8), (0.6, 1 + 4), (0.1, 4 + 8), (0.3333, 3 + 8)],  # at most one to a CPU
)
def test_a_share_of_a_gpu_never_spans_gpus(share: float, fits: int) -> None:
    assert fitting(SlicePlan(cpus=1, gpus=share, max_concurrent=0)) == fits


@pytest.mark.parametrize(("share", "fits"), [(0.1, 10), (0.2, 5), (0.7, 1), (0.01, 100), (1, 1), (2, 0)])
def test_as_many_as_one_gpu_holds(share: float, fits: int) -> None:
    assert SlicePlan(cpus=1, gpus=share, max_concurrent=0).fitting(128, 1.0) == fits


def test_a_trial_goes_where_a_slice_fits_and_nothing_forbids_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def node(number: int, cpus: float, *, draining: bool = False) -> Member:
        return Member(f"id{number}", f"10.0.0.{number}", f"host{number}", 1, {"CPU": cpus}, draining)

    def members() -> list[Member]:
        asked.append(1)
        return [node(5, 4.0), node(4, 4.0, draining=True), node(3, 4.0), node(2, 1.0), node(1, 9.0)]

    monkeypatch.setattr(allowed, "members", members)
    nodes = Nodes()
    nodes.exclude("10.0.0.3", "excluded")
    two = SlicePlan(cpus=2, gpus=0, max_concurrent=0)
    assert nodes_for(two, nodes) == [Node("id1", "host1", 4), Node("id5", "host5", 2)]
    assert len(asked) == 1
