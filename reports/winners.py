"""Which trial won a search: one definition, for the driver that confirms it and the report that shows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


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
