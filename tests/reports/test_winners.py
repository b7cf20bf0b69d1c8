from __future__ import annotations

from reports.winners import confirmations, finalists, race_winner, winners
from tests.reports.conftest import race, trial


def searched(*times: float | None) -> list[dict[str, object]]:
    return [trial("flux", "search", number, tta) for number, tta in enumerate(times)]


def test_finalists_are_the_best_of_a_search_best_first() -> None:
    rows = [*searched(3.0, None, 1.0, 2.0, 1.0), trial("pytorch", "search", 0, None)]
    found = finalists(rows, 3)
    assert [row["number"] for row in found["flux"]] == [2, 4, 3]
    assert "pytorch" not in found
    assert len(finalists(rows, 9)["flux"]) == 4


def test_a_configuration_that_was_tried_twice_is_in_the_race_once() -> None:
    same = {"learning_rate": 0.1}
    rows = [trial("flux", "search", number, 1.0 + number, **same) for number in range(3)]
    assert [row["number"] for row in finalists([*rows, trial("flux", "search", 9, 9.0)], 5)["flux"]] == [0, 9]


def test_the_best_of_the_race_is_confirmed_and_not_the_luckiest_of_the_search() -> None:
    rows = searched(1.0, 1.1, 5.0)
    assert winners(rows)["flux"]["number"] == 0
    race(rows, lambda name, number, pair: 2.0 if number == 0 else 1.2 + 0.01 * pair, k=2)
    assert race_winner(rows)["flux"]["number"] == 1
    assert winners(rows)["flux"]["number"] == 1
    rows += [trial("flux", "confirm", number, 1.2, confirms=number % 2) for number in range(4)]
    assert [row["number"] for row in confirmations(rows)] == [1, 3]


def test_misses_cost_a_place_in_the_race_and_failures_lose_it() -> None:
    rows = searched(1.0, 1.1, 1.2)
    race(rows, lambda name, number, pair: None if pair == 0 else 1.0 + 0.1 * number, k=3)
    assert race_winner(rows)["flux"]["number"] == 1  # that of the first missed once: its time counts above the limit
    for row in rows:
        if row["phase"] == "race" and row["confirms"] == 1 and row["number"] == 4:
            row |= {"outcome": "failed", "objective": None, "reached": False}
    assert race_winner(rows)["flux"]["number"] == 2


def test_a_study_of_an_older_version_has_no_race() -> None:
    rows = searched(2.0, 1.0)
    assert race_winner(rows) == {}
    assert winners(rows)["flux"]["number"] == 1


def test_only_the_last_attempt_of_a_pair_is_in_the_race() -> None:
    rows = searched(1.0, 1.1)
    race(rows, lambda name, number, pair: 2.0 + number, k=2, runs=1)
    again = trial("flux", "race", 0, 9.0, confirms=0, rank=1, attempt=2, trial_id="race-flux-00000-2")
    assert race_winner([*rows, again])["flux"]["number"] == 1
