"""Which trials a race is run between, which won it, and which runs confirm it: one definition, for driver and report.

The best of many noisy trials is partly the luckiest: so the best few of a search run again, with fresh seeds, and the
best of these runs wins. Studies of older versions have no race; there the search's best trial is the winner.

The frameworks' runs of a seed are a *pair*, whatever their number: they belong on one machine. One that lost its
machine in the middle is run again as a whole, as another attempt, and only the last attempt counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from reports.knobs import configuration

MOVED = "moved"  # outcome of a run that was given up, for its machine was lost


def finalists(trials: Iterable[dict[str, Any]], k: int) -> dict[str, list[dict[str, Any]]]:
    """The best ``k`` trials of each framework's search, best first: those that a race is run between.

    Parameters
    ----------
    trials
        Rows of the trial records; see `reports.schema.TRIALS`.

    Returns
    -------
    Rows by framework, fewer than ``k`` where fewer reached the target, and different configurations; a framework whose
    search never reached it is left out. Of equals, the earlier comes first.
    """
    hits = [row for row in trials if row["phase"] == "search" and row["reached"]]
    found: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
    for row in sorted(hits, key=lambda row: (row["framework"], row["objective"], row["number"])):
        found.setdefault(row["framework"], {}).setdefault(configuration(row), row)
    return {name: list(rows.values())[:k] for name, rows in found.items()}


def race_runs(trials: Iterable[dict[str, Any]]) -> dict[str, dict[int, list[dict[str, Any]]]]:
    """The runs of the race that count, by framework and number of the search's trial whose configuration they run."""
    found: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for row in standing(row for row in trials if row["phase"] == "race"):
        found.setdefault(row["framework"], {}).setdefault(int(row["confirms"]), []).append(row)
    return found


def race_winner(trials: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The search's trial whose configuration did best in the race, by framework.

    Best is the lowest geometric mean of the objective over the runs of a configuration: a run that missed the target
    counts with the value above its limit that the search gives it, and one that failed with infinity. Of equals, the
    one that was better in the search wins.

    Returns
    -------
    Rows of the search; a framework without a race is left out.
    """
    rows = list(trials)
    searched = finalists(rows, len(rows))
    best = {}
    for name, raced in race_runs(rows).items():
        # That several trials may share a configuration is no matter: the race runs the first of them.
        entered = [row for row in searched.get(name, []) if row["number"] in raced]
        if entered:
            best[name] = min(entered, key=lambda row: _typical_objective(raced[row["number"]]))
    return best


def _typical_objective(runs: list[dict[str, Any]]) -> float:
    values = [_known(run["objective"]) for run in runs]
    return math.fsum(math.log(value) if value else math.inf for value in values) / len(values)


def winners(trials: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The trial of each framework's search that is confirmed: of the race where there was one, else of the search.

    Parameters
    ----------
    trials
        Rows of the trial records; see `reports.schema.TRIALS`.

    Returns
    -------
    Rows by framework; a framework whose search never reached the target is left out. Of equals, the earlier wins.
    """
    rows = list(trials)
    return {name: found[0] for name, found in finalists(rows, 1).items()} | race_winner(rows)


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
    last: dict[Any, int] = {}
    for row in rows:
        last[_unit(row)] = max(attempt(row), last.get(_unit(row), 1))
    return [row for row in rows if attempt(row) == last[_unit(row)] and not replaced(row)]


def _unit(run: dict[str, Any]) -> Any:
    """What the attempts of a run have in common: its pair; in a race itself, for there more trials may change pairs."""
    return (run["framework"], run["confirms"], run["seed"]) if run.get("phase") == "race" else run["number"]


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
        return configuration(run) == configuration(winner)
    return bool(number == winner["number"])
