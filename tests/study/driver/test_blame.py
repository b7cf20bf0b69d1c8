from __future__ import annotations

from typing import Any

import pytest
import ray

from study.cluster import allowed
from study.cluster.allowed import Nodes
from study.driver.blame import Blame, NoHostLeft
from tests.study.cluster.test_nodes import described

ERROR = "ImportError: libgomp.so.1: cannot open shared object file"
A, B = "10.0.0.1", "10.0.0.2"
IDS = {A: "id1", B: "id2", "elsewhere": "id9"}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    found = [described(1), described(2)]
    monkeypatch.setattr(ray, "nodes", lambda: found)
    monkeypatch.setattr(allowed, "draining", frozenset)
    return found


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def blame(cluster: list[dict[str, Any]], said: list[str]) -> Blame:
    return Blame(Nodes(), say=said.append)


def fail(blame: Blame, address: str, *trials: str, framework: str = "pytorch", error: str = ERROR) -> None:
    for trial in trials:
        blame.failed(trial, framework, IDS[address], error)
        blame.failed(trial, framework, IDS[address], error, for_good=True)


def test_three_alike_in_a_row_take_a_node_out(blame: Blame, said: list[str]) -> None:
    fail(blame, A, "t0", "t1")
    assert (said, blame.owed()) == ([], [])
    fail(blame, A, "t2")
    assert said == [
        f"node {A} gets no more trials: 3 in a row failed there with: {ERROR}; what failed there runs again elsewhere"
    ]
    blame.look()
    assert blame.owed() == ["t0", "t1", "t2"]
    assert blame.owed() == []  # given again once
    fail(blame, A, "late")  # was on its way there
    assert blame.owed() == ["late"]
    assert len(said) == 1


def test_one_that_worked_between_them_breaks_the_row(blame: Blame, said: list[str]) -> None:
    for number in range(5):
        fail(blame, A, f"t{number}")
        if number % 2:
            blame.worked("pytorch", IDS[A])
    assert said == []
    blame.worked("flux", IDS[A])  # of the other framework it does not
    blame.worked("pytorch", IDS[B])  # nor on the other node
    fail(blame, A, "t5", "t6")
    assert len(said) == 1


def test_attempts_of_one_trial_count_once_and_other_errors_not(blame: Blame, said: list[str]) -> None:
    for _ in range(4):
        fail(blame, A, "t0")
    fail(blame, A, "t1", "t2", error="RuntimeError: out of memory")
    fail(blame, A, "t3")
    fail(blame, "elsewhere", "t4", "t5", "t6")
    fail(blame, B, "t7", "t8")
    assert said == []


def test_errors_that_differ_in_numbers_are_alike(blame: Blame, said: list[str]) -> None:
    for number in range(3):
        fail(blame, A, f"t{number}", error=f"process {number} is gone")
    assert len(said) == 1


def test_where_no_node_is_left_the_study_ends(blame: Blame, said: list[str]) -> None:
    fail(blame, A, "t0", "t1", "t2")
    fail(blame, B, "t3", "t4", "t5")
    assert "elsewhere" not in said[1]
    with pytest.raises(NoHostLeft) as nowhere:
        blame.look()
    assert str(nowhere.value) == (
        f"no node is left that trials do not fail on: 3 trials in a row failed on {B} with: {ERROR}"
    )
