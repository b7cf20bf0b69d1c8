"""Nodes that join while a study runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from study.cluster import allowed
from study.cluster.allowed import Member, Nodes
from study.cluster.joining import Found, Joining
from study.cluster.probing import Probed
from study.plan.plan import SlicePlan
from tests.study.cluster.test_nodes import LACKING, ONE, TWO, described
from trainables.node import NodeFacts

ONE_CPU = SlicePlan(cpus=1, gpus=0, max_concurrent=0)
OTHER = replace(TWO, processor="Intel Xeon")


class Study:
    """A study on node 1, and what becomes of those that join."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.up: list[dict[str, Any]] = [described(1)]
        self.draining: frozenset[str] = frozenset()
        monkeypatch.setattr(allowed.ray, "nodes", lambda: self.up)
        monkeypatch.setattr(allowed, "draining", lambda: self.draining)
        self.nodes = Nodes()
        self.nodes.admit(self.nodes.usable())
        self.answer: Callable[[Member], Probed] = lambda node: Probed((), (node,))
        self.asked: list[str] = []
        self.said: list[str] = []
        self.noted: list[Found] = []

    def joining(self, *, allow_mixed: bool = False, wanted: SlicePlan = ONE_CPU) -> Joining:
        def ask(node: Member) -> Probed:
            self.asked.append(node.id)
            return self.answer(node)

        return Joining(
            self.nodes,
            wanted,
            ask,
            facts=[ONE],
            allow_mixed=allow_mixed,
            say=self.said.append,
            note=self.noted.append,
        )

    def settle(self, joining: Joining) -> None:
        """Let it look until all that were asked have answered."""
        joining.look()
        deadline = time.monotonic() + 10.0
        while any(each.name.endswith("(_put_answer)") for each in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        joining.look()

    def usable(self) -> list[str]:
        return [node.address for node in self.nodes.usable()]


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Study:
    return Study(monkeypatch)


def answers(facts: NodeFacts) -> Callable[[Member], Probed]:
    return lambda node: Probed((facts,), ())


def test_one_that_can_take_part_and_is_alike_is_used_once_it_has_answered(study: Study) -> None:
    joining = study.joining()
    study.answer = answers(TWO)
    study.up.append(described(2))
    assert study.usable() == ["10.0.0.1"]
    study.settle(joining)
    assert study.usable() == ["10.0.0.1", "10.0.0.2"]
    assert study.said == ["node 10.0.0.2 takes part from now on"]
    assert [each.address for each in study.noted[-1].facts] == ["10.0.0.1", "10.0.0.2"]
    assert study.noted[-1].left_out == {}
    study.settle(joining)
    assert study.asked == ["id2"]


def test_one_that_lacks_something_gets_no_trial_and_does_not_end_the_study(study: Study) -> None:
    joining = study.joining(allow_mixed=True)
    study.answer = answers(LACKING)
    study.up.append(described(3))
    study.settle(joining)
    study.settle(joining)
    assert study.usable() == ["10.0.0.1"]
    told = "a training step of PyTorch failed (ImportError: libgomp.so.1); no folder"
    assert study.said == [f"node 10.0.0.3 cannot take part: {told}; it is left out"]
    assert study.noted[-1].left_out == {"10.0.0.3": told}


def test_one_that_differs_is_left_out_unless_mixed_ones_are_allowed(study: Study) -> None:
    joining = study.joining()
    study.answer = answers(OTHER)
    study.up.append(described(2))
    study.settle(joining)
    differ = "processor: AMD EPYC 9654 96-Core Processor on 10.0.0.1; Intel Xeon on 10.0.0.2"
    assert study.usable() == ["10.0.0.1"]
    assert study.said == [
        f"node 10.0.0.2 is left out: it differs from the others ({differ}); `resume` with --allow-mixed takes it in"
    ]
    assert study.noted[-1].differ == ()

    study.said.clear()
    study.settle(mixed := study.joining(allow_mixed=True))
    study.settle(mixed)
    assert study.usable() == ["10.0.0.1", "10.0.0.2"]
    assert study.said == [f"the nodes differ ({differ})", "node 10.0.0.2 takes part from now on"]
    assert study.noted[-1].differ == (differ,)


def test_a_machine_that_comes_again_is_asked_again(study: Study) -> None:
    joining = study.joining()
    study.answer = answers(replace(TWO, lacks=("no folder",)))
    study.up.append(described(2))
    study.settle(joining)
    study.answer = answers(TWO)
    study.up[-1] = {**described(2), "NodeID": "again"}
    study.settle(joining)
    assert study.asked == ["id2", "again"]
    assert study.usable() == ["10.0.0.1", "10.0.0.2"]
    assert study.noted[-1].left_out == {}


def test_one_that_cannot_be_asked_is_left_out_with_the_reason(study: Study) -> None:
    def fails(node: Member) -> Probed:
        raise OSError("no space left")

    joining = study.joining()
    study.answer = fails
    study.up.append(described(2))
    study.settle(joining)
    assert study.said == ["node 10.0.0.2 cannot take part: it could not be asked (no space left); it is left out"]


def test_those_too_small_or_excluded_or_drained_or_gone_again_are_not_let_in(study: Study) -> None:
    joining = study.joining(wanted=SlicePlan(cpus=8, gpus=0, max_concurrent=0))
    study.up.append(described(2))
    study.settle(joining)
    assert study.asked == []

    study.nodes.exclude("10.0.0.2", "excluded by --exclude-node")
    study.up.append(described(3))
    study.draining = frozenset({"id3"})
    study.settle(joining := study.joining())
    assert study.asked == []

    study.draining = frozenset()
    study.settle(joining)  # answers that it is gone
    assert study.asked == ["id3"]
    assert (study.usable(), study.said) == (["10.0.0.1"], [])


def test_a_node_that_is_drained_is_used_no_more(study: Study) -> None:
    study.draining = frozenset({"id1"})
    assert study.usable() == []


def test_on_this_machine_alone_nobody_is_a_stranger(study: Study) -> None:
    nodes = Nodes()
    study.up.append(described(2))
    assert nodes.strangers() == []
    assert len(nodes.usable()) == 2
