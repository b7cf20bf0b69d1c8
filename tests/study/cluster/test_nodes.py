from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

import pytest
import ray
from rich.console import Console

from study.cluster import allowed, probing
from study.cluster.allowed import Member, Nodes, leave_out
from study.cluster.choice import NodeChoice
from study.cluster.differences import differences, node_table
from study.cluster.nodes import Checked, judge
from study.cluster.probing import Probed
from trainables.common.errors import UserError
from trainables.node import NodeFacts

VERSIONS = {"torch": "2.9.0+cu128, CUDA 12.8", "julia": "1.11.2", "numpy": "2.3.0"}
ONE = NodeFacts(
    "10.0.0.1",
    host="one",
    python="3.11.7",
    versions=VERSIONS,
    processor="AMD EPYC 9654 96-Core Processor",
    gpus=("NVIDIA H100 80GB HBM3",),
    cpus=96,
    cpus_present=96,
    dealt=96.0,
    free_memory_bytes=2**38,
    niceness=0,
    clock_skew_s=0.001,
    clock_skew_within_s=0.002,
)
TWO = replace(ONE, address="10.0.0.2", host="two")
LACKING = NodeFacts("10.0.0.3", lacks=("a training step of PyTorch failed (ImportError: libgomp.so.1)", "no folder"))


def described(number: int, *, alive: bool = True, port: int = 1) -> dict[str, Any]:
    """A node as Ray tells of it."""
    return {
        "NodeID": f"id{number}",
        "NodeManagerAddress": f"10.0.0.{number}",
        "NodeManagerHostname": f"host{number}",
        "NodeManagerPort": port,
        "Resources": {"CPU": 4.0},
        "Alive": alive,
    }


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Three nodes that are up and one that is not; what is done to the list, Ray tells."""
    found = [described(1), described(2), described(3), described(4, alive=False)]
    monkeypatch.setattr(ray, "nodes", lambda: found)
    monkeypatch.setattr(allowed, "draining", frozenset)
    return found


def judged(
    nodes: Nodes, *facts: NodeFacts, allow_mixed: bool = False, gone: tuple[Member, ...] = ()
) -> tuple[Checked, str]:
    said: list[str] = []
    found = judge(
        Probed(facts, gone), nodes, NodeChoice(allow_mixed=allow_mixed), say=said.append, show=lambda table: None
    )
    return found, "\n".join(said)


def test_nodes_that_are_alike_take_part_without_a_word(cluster: list[dict[str, Any]]) -> None:
    found, said = judged(Nodes(), ONE, replace(TWO, python="3.11.9", gpus=ONE.gpus * 2))
    assert (found.differ, said) == ((), "")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"processor": "Intel Xeon"}, "processor: AMD EPYC 9654 96-Core Processor on 10.0.0.1; Intel Xeon on 10.0.0.2"),
        ({"gpus": ("NVIDIA A100",)}, "GPU: NVIDIA H100 80GB HBM3 on 10.0.0.1; NVIDIA A100 on 10.0.0.2"),
        ({"gpus": ()}, "GPU: NVIDIA H100 80GB HBM3 on 10.0.0.1; none on 10.0.0.2"),
        ({"python": "3.12.1"}, "Python: 3.11 on 10.0.0.1; 3.12 on 10.0.0.2"),
        ({"versions": {**VERSIONS, "torch": "2.9.0+cu128, CUDA none"}}, "PyTorch: 2.9.0+cu128, CUDA 12.8 on 10.0.0.1"),
        ({"versions": {**VERSIONS, "julia": "1.12.0"}}, "Julia: 1.11.2 on 10.0.0.1; 1.12.0 on 10.0.0.2"),
        ({"versions": {"torch": VERSIONS["torch"]}}, "Julia: 1.11.2 on 10.0.0.1; none on 10.0.0.2"),
    ],
)
def test_nodes_that_differ_are_refused_unless_that_is_wanted(
    cluster: list[dict[str, Any]], change: dict[str, Any], what: str
) -> None:
    other = replace(TWO, **change)
    with pytest.raises(
        UserError, match="leave some out with --exclude-node ADDRESS, or go on with --allow-mixed"
    ) as no:
        judged(Nodes(), ONE, other)
    assert what in str(no.value)
    nodes = Nodes()
    found, said = judged(nodes, ONE, other, allow_mixed=True)
    assert what in said
    assert len(found.differ) == 1
    assert nodes.excluded == {}


def test_numpy_may_differ() -> None:
    assert differences([ONE, replace(TWO, versions={**VERSIONS, "numpy": "2.4.0"})]) == []


def test_many_nodes_are_counted_and_not_listed() -> None:
    many = [replace(TWO, address=f"10.0.1.{number}", processor="Intel") for number in range(7)]
    assert str(differences([ONE, *many])[0]).endswith("Intel on 10.0.1.0 and 6 more")


def test_a_node_that_lacks_something_is_named_with_all_of_it(cluster: list[dict[str, Any]]) -> None:
    with pytest.raises(UserError) as no:
        judged(Nodes(), ONE, LACKING)
    assert str(no.value) == (
        "node 10.0.0.3 cannot take part: a training step of PyTorch failed (ImportError: libgomp.so.1); no folder. "
        "Mend that, or go on without: --exclude-node 10.0.0.3, or --allow-mixed, which takes every node that can"
    )
    nodes = Nodes()
    _, said = judged(nodes, ONE, LACKING, allow_mixed=True)
    assert "it is left out" in said
    assert [node.address for node in nodes.usable()] == ["10.0.0.1", "10.0.0.2"]
    with pytest.raises(UserError, match="no node of the cluster can take part"):
        judged(Nodes(), LACKING, allow_mixed=True)


def test_a_node_that_is_gone_is_named_and_refuses_nothing(cluster: list[dict[str, Any]]) -> None:
    nodes = Nodes()
    gone = next(node for node in nodes.usable() if node.address == "10.0.0.2")
    _, said = judged(nodes, ONE, gone=(gone,))
    assert said == "node 10.0.0.2 is gone, though Ray still lists it: it is left out"
    assert [node.address for node in nodes.usable()] == ["10.0.0.1", "10.0.0.3"]


def test_who_answers_no_knock_is_gone(cluster: list[dict[str, Any]]) -> None:
    with socket.socket() as here, socket.socket() as nowhere:
        here.bind(("127.0.0.1", 0))
        here.listen()
        nowhere.bind(("127.0.0.1", 0))  # taken, and nobody listens
        for number, each in enumerate((here, nowhere, here)):
            cluster[number] |= {"NodeManagerAddress": "127.0.0.1", "NodeManagerPort": each.getsockname()[1]}
        up = Nodes().usable()
        cluster[2]["Alive"] = False  # noticed meanwhile
        assert probing._there(up) == {"id1"}


@pytest.mark.parametrize(
    ("change", "notice"),
    [
        ({"niceness": 15}, "trials run at niceness 15 on 10.0.0.2, so that anything else there slows them; start Ray"),
        ({"clock_skew_s": -42.0}, "node 10.0.0.2: its clock is 42.0 s behind the driver's"),
        ({"clock_skew_s": 2.0}, "node 10.0.0.2: its clock is 2.0 s ahead of the driver's"),
        ({"cpus": 8, "cpus_limited_by": "affinity"}, "node 10.0.0.2: Ray deals out 96 CPUs, but may use 8 of 96 CPUs"),
    ],
)
def test_what_must_be_known_of_nodes_is_told(
    cluster: list[dict[str, Any]], change: dict[str, Any], notice: str
) -> None:
    _, said = judged(Nodes(), ONE, replace(TWO, **change))
    assert said.startswith(notice)


def test_a_clock_is_off_only_where_the_round_trip_can_tell(cluster: list[dict[str, Any]]) -> None:
    assert judged(Nodes(), replace(ONE, clock_skew_s=2.0, clock_skew_within_s=3.0))[1] == ""


def test_the_table_fits_a_terminal() -> None:
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(node_table([ONE, replace(TWO, niceness=15), LACKING]))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    for part in ("10.0.0.1", "NVIDIA H100", "Python 3.11", "10.0.0.3", "15", "256"):
        assert part in text
    assert "…" not in text


@pytest.mark.parametrize("name", ["10.0.0.2", "host2"])
def test_what_is_excluded_gets_no_trial(cluster: list[dict[str, Any]], name: str) -> None:
    nodes = Nodes()
    leave_out(nodes, [name])
    assert [node.id for node in nodes.usable()] == ["id1", "id3"]
    cluster.append(described(5))
    assert "id5" in {node.id for node in nodes.usable()}  # what joins later may be used


@pytest.mark.parametrize(
    ("unwanted", "problem"),
    [
        (["10.0.0.9"], "--exclude-node 10.0.0.9: the cluster has no such node (it has 10.0.0.1, 10.0.0.2, 10.0.0.3)"),
        (["10.0.0.4"], "--exclude-node 10.0.0.4: the cluster has no such node"),
        (["host1", "host2", "host3"], "--exclude-node leaves no node of the cluster"),
    ],
)
def test_what_cannot_be_excluded_is_refused(cluster: list[dict[str, Any]], unwanted: list[str], problem: str) -> None:
    with pytest.raises(UserError) as no:
        leave_out(Nodes(), unwanted)
    assert str(no.value).startswith(problem)
