"""Which trial won a search, and which runs confirm it: one definition, for the driver and the report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_HYPERPARAMETERS = ("learning_rate", "batch_size", "num_workers")


def winners(trials: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Best trial of each framework's search: the lowest objective among those that reached the target.

    Parameters
    ----------
    trials
        Rows of the trial records; see `reports.schema.TRIALS`.

    Returns
    -------
    Rows by framework; a framework whose search never reached the target is left out. Of equals, the earlier wins.
    """
    best: dict[str, dict[str, Any]] = {}
    for row in sorted(trials, key=lambda row: (row["framework"], row["number"])):
        if row["phase"] != "search" or not row["reached"]:
            continue
        name = row["framework"]
        if name not in best or row["objective"] < best[name]["objective"]:
            best[name] = row
    return best


def confirmations(trials: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Confirmation runs of the winners.

    A search that was given more trials may have found a better configuration since others were confirmed; those runs
    stay in the records, and in the cost, but say nothing about this winner. Runs of which an older version did not
    record what they confirm are known by their hyperparameters.
    """
    rows = list(trials)
    best = winners(rows)
    return [
        row
        for row in rows
        if row["phase"] == "confirm" and row["framework"] in best and _confirms(row, best[row["framework"]])
    ]


def _confirms(run: dict[str, Any], winner: dict[str, Any]) -> bool:
    number = run.get("confirms")
    if number is None or number != number:  # not recorded
        return all(run[name] == winner[name] for name in _HYPERPARAMETERS)
    return bool(number == winner["number"])
