"""Which trial won a search, and which runs confirm it: one definition, for the driver and the report.

The frameworks' runs of a seed are a *pair*, whatever their number: they belong on one machine. One that lost its
machine in the middle is run again as a whole, as another attempt, and only the last attempt counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MOVED = "moved"  # outcome of a run that was given up, for its machine was lost
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
    stay in the records, and in the cost, but say nothing about this winner. Nor do runs of an attempt that another has
    replaced, and those whose time mixes two machines. Runs of which an older version did not record what they confirm
    are known by their hyperparameters.
    """
    return standing(confirming(trials))


def confirming(trials: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs of the winners, those that do not count among them."""
    rows = list(trials)
    best = winners(rows)
    return [
        row
        for row in rows
        if row["phase"] == "confirm" and row["framework"] in best and _confirms(row, best[row["framework"]])
    ]


def standing(runs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the runs of one phase, those that count: of each pair's last attempt, and of one machine each."""
    rows = list(runs)
    last: dict[int, int] = {}
    for row in rows:
        last[row["number"]] = max(attempt(row), last.get(row["number"], 1))
    return [row for row in rows if attempt(row) == last[row["number"]] and not replaced(row)]


def apart(runs: Iterable[dict[str, Any]]) -> set[int]:
    """Numbers of the pairs whose runs were on different machines, as older versions let them be."""
    hosts: dict[int, set[str]] = {}
    for row in runs:
        hosts.setdefault(row["number"], set()).update({row["host"]} if _known(row.get("host")) else ())
    return {number for number, names in hosts.items() if len(names) > 1}


def attempt(run: dict[str, Any]) -> int:
    """Which attempt of its pair a run belongs to; what an older version ran is the first."""
    return int(_known(run.get("attempt")) or 1)


def replaced(run: dict[str, Any]) -> bool:
    """Whether another has to take a run's place: it was given up, or its time mixes several machines."""
    return run.get("outcome") == MOVED or (_known(run.get("hosts")) or 1) > 1


def _known(value: Any) -> Any:
    return None if value is None or value != value else value  # tables have NaN where nothing was recorded


def _confirms(run: dict[str, Any], winner: dict[str, Any]) -> bool:
    number = _known(run.get("confirms"))
    if number is None:
        return all(run[name] == winner[name] for name in _HYPERPARAMETERS)
    return bool(number == winner["number"])
