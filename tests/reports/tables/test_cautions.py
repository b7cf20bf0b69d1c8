from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reports.tables.cautions import cautions
from tests.reports.conftest import study, trial

SPACE = {
    "learning_rate": {"low": 0.01, "high": 1.0, "log": True},
    "batch_size": {"choices": [8, 16, 32, 64]},
    "num_workers": {"low": 0, "high": 4, "log": False},
}
PLAN = {"space": {"pytorch": SPACE}}


def said(rows: list[dict[str, Any]], plan: dict[str, Any] = PLAN) -> str:
    return " ".join(cautions(study(rows).trials, plan)["caution"])


def confirmed(**knobs: Any) -> list[dict[str, Any]]:
    return [
        trial("pytorch", "search", 0, 2.0, **knobs),
        *(trial("pytorch", "confirm", number, 2.0, **knobs) for number in range(10)),
    ]


MIDDLE = {"learning_rate": 0.1, "batch_size": 32, "num_workers": 1, "loader_workers": 1}


def test_nothing_to_warn_of() -> None:
    assert said(confirmed(**MIDDLE)) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"learning_rate": 0.99}, "learning rate, 0.99, lies at the upper edge of the search space (1)"),
        ({"learning_rate": 0.0101}, "learning rate, 0.0101, lies at the lower edge"),
        ({"batch_size": 8}, "batch size, 8, lies at the lower edge of the search space (8)"),
        ({"num_workers": 4, "loader_workers": 4}, "loader workers, 4, lies at the upper edge"),
    ],
)
def test_an_optimum_at_the_edge(change: dict[str, Any], words: str) -> None:
    assert words in said(confirmed(**(MIDDLE | change)))
    assert "edge" not in said(confirmed(**(MIDDLE | change)), {})  # without a plan the edges are not known


@pytest.mark.parametrize(
    ("scaling", "rate", "base"), [("linear", 3.96, 0.99), ("sqrt", 1.98, 0.99), ("none", 0.99, 0.99)]
)
def test_the_edge_of_a_scaled_rate_is_that_of_its_base(scaling: str, rate: float, base: float) -> None:
    plan = {**PLAN, "search": {"learning_rate_scaling": scaling, "reference_batch_size": 16}}
    at = "" if scaling == "none" else " at batch size 16"
    found = said(confirmed(**(MIDDLE | {"learning_rate": rate, "batch_size": 64})), plan)
    assert f"learning rate{at}, {base}, lies at the upper edge of the search space (1)" in found
    inside = said(confirmed(**(MIDDLE | {"learning_rate": rate / 4, "batch_size": 64})), plan)
    assert "learning rate" not in inside


def test_no_workers_are_no_edge() -> None:
    assert said(confirmed(**(MIDDLE | {"num_workers": 0, "loader_workers": 0}))) == ""


def test_workers_that_did_not_run() -> None:
    warned = said(confirmed(**(MIDDLE | {"num_workers": 3, "loader_workers": 1})))
    assert "11 of 11 trials ran another number of loader workers" in warned
    assert "asked 3, ran 1" in warned


def test_few_confirmation_runs_and_none() -> None:
    rows = confirmed(**MIDDLE)
    assert "3 confirmation runs, too few for an interval, which needs 5" in said(rows[:4])
    assert "no confirmation run" in said(rows[:1])


def test_searches_that_ended_apart_are_told_from_fast_frameworks() -> None:
    def both(batch_size: int) -> list[dict[str, Any]]:
        """Flux needs half the samples."""
        noise = np.random.RandomState(0)
        rows = []
        for name, samples, size in (("pytorch", 2000, 32), ("flux", 1000, batch_size)):
            knobs = MIDDLE | {"batch_size": size}
            rows.append(trial(name, "search", 0, 2.0, **knobs))
            for number in range(6):
                needed = round(samples * np.exp(0.01 * noise.standard_normal()))
                rows.append(trial(name, "confirm", number, 2.0, **knobs, samples_to_target=needed))
        return rows

    assert "(batch size 8 and 32), at which Flux needs 0.50 times the samples" in said(both(8))
    assert "different configurations" not in said(both(32))


def test_trials_that_give_way_to_others_are_told() -> None:
    rows = confirmed(**MIDDLE)
    for row in rows:
        row["niceness"] = 0
    assert said(rows) == ""
    rows[0]["niceness"] = rows[1]["niceness"] = 15
    assert "PyTorch: 2 of 11 trials ran at niceness 15, giving way to whatever else their machines ran" in said(rows)
