"""Two of the faults of ``make chaos``, on a real study; six on two where long tests run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.harness import deal, run

SIX = deal(6, seed=4)


def test_every_kind_of_fault_is_dealt() -> None:
    counts = Counter(deal(50, seed=0))
    assert set(counts) == set(FAULTS)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert deal(50, seed=0) == deal(50, seed=0) != deal(50, seed=1)


@pytest.mark.parametrize("faults", [["ray_node_killed", "storage_away"], pytest.param(SIX, marks=pytest.mark.long)])
def test_faults(tmp_path: Path, faults: list[str]) -> None:
    outcomes = list(run(faults, seed=4, frameworks=["pytorch", "simulated"], into=tmp_path))
    assert sorted(fault for each in outcomes for fault in each.faults) == sorted(faults)


@pytest.mark.julia
def test_five_faults_in_flux(tmp_path: Path) -> None:
    faults = deal(5, seed=9)
    outcomes = list(run(faults, seed=9, frameworks=["flux"], into=tmp_path))
    assert sorted(fault for each in outcomes for fault in each.faults) == sorted(faults)
