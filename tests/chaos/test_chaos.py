"""Two of the faults of ``make chaos``, on a real study; six on two where long tests run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.harness import deal, run
from tests.chaos.promise import redone
from trainables.training import CHECKPOINT_SHARE

SIX = deal(6, seed=4)


def test_every_kind_of_fault_is_dealt() -> None:
    counts = Counter(deal(50, seed=0))
    assert set(counts) == set(FAULTS)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert deal(50, seed=0) == deal(50, seed=0) != deal(50, seed=1)


def evaluation(number: int, train_s: float, checkpoint_s: float) -> dict[str, float]:
    return {"evaluation": number, "train_s": train_s, "eval_s": 0.1 * number, "checkpoint_s": checkpoint_s}


def test_what_is_redone_is_counted_in_seconds_and_bounded_by_what_checkpoints_take() -> None:
    before = [evaluation(number, number, 0.02) for number in range(1, 6)]
    again = [evaluation(number, number + 0.25, 0.04) for number in (4, 5)]  # from the checkpoint of the third on
    count, seconds, bound_s = redone([[*before, before[-1], *again]])  # a row told twice is not redone
    assert (count, seconds) == (2, pytest.approx(1.35 + 1.1))
    assert bound_s == pytest.approx(0.02 / CHECKPOINT_SHARE + 1.35)
    assert redone([before]) == (0, 0.0, pytest.approx(0.02 / CHECKPOINT_SHARE + 1.1))


@pytest.mark.parametrize("faults", [["ray_node_killed", "storage_away"], pytest.param(SIX, marks=pytest.mark.long)])
def test_faults(tmp_path: Path, faults: list[str]) -> None:
    outcomes = list(run(faults, seed=4, frameworks=["pytorch", "simulated"], into=tmp_path))
    assert sorted(fault for each in outcomes for fault in each.faults) == sorted(faults)


@pytest.mark.julia
def test_five_faults_in_flux(tmp_path: Path) -> None:
    faults = deal(5, seed=9)
    outcomes = list(run(faults, seed=9, frameworks=["flux"], into=tmp_path))
    assert sorted(fault for each in outcomes for fault in each.faults) == sorted(faults)
