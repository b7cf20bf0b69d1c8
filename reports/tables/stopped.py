"""Searches that ended before their last trial, and why: what provenance.json says of them, as a table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from reports.names import title
from reports.sentences import Row, Sentence

STOPPED = "stopped"  # in provenance.json, by framework
_COLUMNS = ("trials", "planned", "why", "spent_s", "budget_s", "cost_s", "saves_s", "pays_after", "asked")


def stops(provenance: dict[str, Any]) -> pd.DataFrame:
    """One row per framework whose search stopped.

    Returns
    -------
    Columns: framework; trials, and planned ones; why (`budget`: it was spent; `gain`: another trial would not have
    paid for itself); spent_s and budget_s (slice-seconds); cost_s (of another trial, expected), saves_s (in each later
    training, expected), pays_after (trainings; empty where it would save nothing) and asked (those that the plan
    counts on). What a reason has nothing to do with is empty.
    """
    found = provenance.get(STOPPED, {})
    table = [(name, *(each.get(column) for column in _COLUMNS)) for name, each in found.items()]
    return pd.DataFrame(table, columns=["framework", *_COLUMNS])


def stopped_sentence(row: Row) -> Sentence:
    """What a search did, in a sentence."""
    said: Sentence = (f"{title(row['framework'])}'s search stopped after ", row.say("trials", "count"))
    said += (" of ", row.say("planned", "count"), " trials: ")
    if row["why"] == "budget":
        return (*said, "its budget of ", row.say("budget_s"), " slice-seconds was spent.")
    said += ("another would cost ", row.say("cost_s", "seconds"), " and save ", row.say("saves_s", "seconds"))
    asked = (", more than the ", row.say("asked", "count"), " asked for.")
    if not row.has("pays_after"):
        return (*said, " a training, and so never pay.")
    return (*said, " a training, so it pays after ", row.say("pays_after", "count"), " trainings", *asked)
