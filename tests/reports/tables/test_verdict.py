from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest

from reports.records import StudyRecords
from reports.sentences import Row, plain
from reports.tables.verdict import claim_said, verdict
from tests.reports.conftest import study, trial

Make = Callable[..., StudyRecords]


def test_a_difference_is_stated_with_its_interval_and_who_is_faster(two_frameworks: Make) -> None:
    said = verdict(two_frameworks(0.8).trials)
    assert re.match(r"Warm: Flux is 1\.2\dx \[1\.2\d, 1\.\d\d\] faster\. Cold: Flux is 1\.\d\dx \[", said)
    assert "Flux reached 95 % validation accuracy on digits-lenet in 10 of 10 runs, PyTorch in 10 of 10." in said
    said = verdict(two_frameworks(2.1).trials)
    assert re.match(r"Warm: PyTorch is 2\.1\dx \[2\.0\d, 2\.1\d\] faster\. ", said)


def test_what_is_not_known_is_called_inconclusive(two_frameworks: Make) -> None:
    said = verdict(two_frameworks(1.0, spread=0.5).trials)
    warm = re.match(
        r"Warm: Flux needs (\S+)x \[(\S+), (\S+)\] of PyTorch's time: inconclusive; between (\d+) % faster ", said
    )
    assert warm is not None
    assert 100 * (1 - float(warm[2])) == pytest.approx(float(warm[4]), abs=0.6)
    assert re.search(r"in four of five cases, a difference .*with 10 runs, of 1\.\d\dx warm or 1\.\d\dx cold\.", said)
    assert "no difference" not in said


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.6, 1.02, "; between 40 % faster and 2 % slower"),
        (0.25, 2.5, "; between 75 % faster and 2.50x slower"),
        (0.6, math.inf, "; at most 40 % faster"),
        (0.0, 1.3, "; at most 30 % slower"),
        (0.0, math.inf, ""),
    ],
)
def test_what_an_interval_leaves_open(low: float, high: float, said: str) -> None:
    row = {"framework": "flux", "against": "pytorch", "clock": "warm", "scope": "framework", "ratio": 0.78}
    row |= {"ratio_low": low, "ratio_high": high, "verdict": "inconclusive", "reason": ""}
    told = plain(claim_said(Row("claims", 0, row)))
    assert told.startswith("Flux needs 0.78x [")
    assert told.endswith(f"] of PyTorch's time: inconclusive{said}.")


def test_all_failed() -> None:
    rows = [trial("flux", "search", number, None, outcome="failed", objective=None) for number in range(3)]
    assert verdict(study(rows).trials).startswith("All 3 trials of Flux failed")


def test_two_runs_are_too_few_for_an_interval(two_frameworks: Make) -> None:
    said = verdict(two_frameworks(0.8, runs=2).trials)
    assert "of PyTorch's time: no interval, for an interval needs 5 pairs of runs, and there are 2" in said


def test_one_framework_alone() -> None:
    rows = [
        trial("pytorch", "search", 0, 2.0),
        *(trial("pytorch", "confirm", number, 2.0 + number) for number in range(5)),
    ]
    said = verdict(study(rows).trials)
    assert said.startswith("PyTorch reaches 95 % validation accuracy on digits-lenet in 4.00 s [")
    assert said.endswith("nothing to compare it with.")


def test_nothing_reached() -> None:
    said = verdict(study([trial("pytorch", "search", number, None) for number in range(3)]).trials)
    assert said.startswith("PyTorch never reached 95 % validation accuracy on digits-lenet in 3 trials.")


def test_nothing_confirmed() -> None:
    said = verdict(study([trial("pytorch", "search", 0, 2.0), trial("pytorch", "search", 1, None)]).trials)
    assert "in 1 of 2 trials; its best configuration is not confirmed" in said


def test_reached_in_the_search_but_never_again() -> None:
    rows = [trial("pytorch", "search", 0, 2.0), *(trial("pytorch", "confirm", number, None) for number in range(3))]
    assert "in none of 3 confirmation runs" in verdict(study(rows).trials)


def test_no_trials() -> None:
    assert verdict(study([]).trials) == "No trial has finished yet."
