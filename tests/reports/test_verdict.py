from __future__ import annotations

from collections.abc import Callable

from reports.load import StudyRecords
from reports.verdict import verdict
from tests.reports.conftest import study, trial

Make = Callable[..., StudyRecords]


def test_a_difference_is_stated_with_its_interval(two_frameworks: Make) -> None:
    said = verdict(two_frameworks(0.8).trials)
    assert said.startswith("Flux against PyTorch, to 95 % validation accuracy on digits-lenet: warm, 0.8")
    assert "no difference shown" not in said.split(";")[0]
    assert "(10 of 10 and 10 of 10 runs reached it)" in said


def test_no_difference_is_called_none(two_frameworks: Make) -> None:
    assert "warm, no difference shown (" in verdict(two_frameworks(1.0, spread=0.5).trials)


def test_no_ratio_where_runs_missed_the_target(two_frameworks: Make) -> None:
    said = verdict(two_frameworks(0.8, flux_misses=3).trials)
    assert "x PyTorch's time" not in said
    assert "(7 of 10 runs reached it)" in said
    assert "(10 of 10 runs reached it)" in said


def test_two_runs_are_too_few_for_an_interval(two_frameworks: Make) -> None:
    assert "from too few runs for an interval" in verdict(two_frameworks(0.8, runs=2).trials)


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
    assert "in 1 of 2 trials; nothing was confirmed" in said


def test_reached_in_the_search_but_never_again() -> None:
    rows = [trial("pytorch", "search", 0, 2.0), *(trial("pytorch", "confirm", number, None) for number in range(3))]
    assert "in none of 3 confirmation runs" in verdict(study(rows).trials)


def test_no_trials() -> None:
    assert verdict(study([]).trials) == "No trial has finished yet."
