"""What the plan asked for, and how much of it there is: DataFrame in, DataFrame out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from reports.names import title
from reports.sentences import Row, Sentence, rows
from reports.tables.stopped import STOPPED
from reports.tables.trials import (
    confirmation_runs,
    finalist_ranks,
    frameworks,
    phase,
    race_runs,
    replaced_runs,
    search_winners,
    sweep_runs,
)


def budgets(trials: pd.DataFrame, plan: dict[str, Any], provenance: dict[str, Any] | None = None) -> pd.DataFrame:
    """Trials, confirmation runs and trainings of a sweep: done and planned.

    Parameters
    ----------
    plan
        The frozen plan; without one nothing is known to be planned.
    provenance
        It knows which searches stopped before their last trial: of these no more was planned than they did.

    Returns
    -------
    One row per framework. Columns: framework; trials and trials_planned, failed, reached and capped of the former;
    races (runs of the best configurations) and races_planned (of as many as the search has); runs (that confirm the
    winner), runs_planned (0 where there is no winner), earlier_runs (that confirmed a former winner) and again (that
    count no more, for they ran on a machine that was lost, or on two, and were run again); trainings and
    trainings_planned of a sweep.
    """
    sweep = plan.get("sweep")
    searches = bool(plan) and not sweep
    best, confirmed, swept = search_winners(trials), confirmation_runs(trials), sweep_runs(trials)
    replaced, raced, ranks = replaced_runs(trials), race_runs(trials), finalist_ranks(trials)
    stopped = (provenance or {}).get(STOPPED, {})
    table = []
    for name in dict.fromkeys([*plan.get("frameworks", []), *frameworks(trials)]):
        mine = trials[trials["framework"] == name]
        search = phase(mine, "search")
        configurations = min(plan.get("race", {}).get("configurations", 0), len(ranks.get(name, {})))
        entered = [number for number, rank in ranks.get(name, {}).items() if rank <= configurations]
        races = int(raced.loc[raced["framework"] == name, "confirms"].isin(entered).sum())
        runs = int((confirmed["framework"] == name).sum())
        again = int((replaced["framework"] == name).sum())
        wanted = stopped[name]["trials"] if name in stopped else plan.get("search", {}).get("trials", np.nan)
        table.append(
            {
                "framework": name,
                "trials": len(search),
                "failed": int((search["outcome"] == "failed").sum()),
                "reached": int(search["reached"].astype(bool).sum()),
                "capped": int((search["outcome"] == "capped").sum()),
                "trials_planned": wanted if searches else np.nan,
                "races": races,
                "races_planned": configurations * plan["race"]["runs"] if searches and "race" in plan else np.nan,
                "runs": runs,
                "runs_planned": plan.get("confirm", {}).get("runs", np.nan) * (name in best) if searches else np.nan,
                "earlier_runs": len(phase(mine, "confirm")) - runs - again,
                "again": again,
                "trainings": int((swept["framework"] == name).sum()),
                "trainings_planned": sweep["repeats"] * sum(map(len, sweep["over"].values())) if sweep else np.nan,
            }
        )
    return pd.DataFrame(table)


def unfinished_sentences(budget: pd.DataFrame) -> list[Sentence]:
    """What is missing, in a sentence, and one for runs of former winners; nothing where nothing is.

    Parameters
    ----------
    budget
        `budgets`.
    """
    told = [(row, _missing(row)) for row in rows("budgets", budget)]
    said: list[Sentence] = []
    lacking = [(f"{title(row['framework'])} has ", *missing) for row, missing in told if missing]
    if lacking:
        joined: Sentence = tuple(part for each in lacking for part in ("; ", *each))[1:]
        said.append(("This study is unfinished, and what it says may change: ", *joined, "."))
    for row, _ in told:
        if row["earlier_runs"]:
            name = title(row["framework"])
            ran = " runs" if row["earlier_runs"] > 1 else " run"
            said.append((row.say("earlier_runs", "count"), f"{ran} confirmed an earlier winner of {name}'s search."))
        if row["again"]:
            ran = " runs do" if row["again"] > 1 else " run does"
            name = title(row["framework"])
            said.append((row.say("again", "count"), f"{ran} not confirm {name}'s winner: not on one machine."))
    return said


_COUNTED = (
    ("trials", " trials"),
    ("races", " runs of the race"),
    ("runs", " confirmation runs"),
    ("trainings", " trainings"),
)


def _missing(row: Row) -> Sentence:
    said: Sentence = ()
    for done, what in _COUNTED:
        planned = f"{done}_planned"
        if row.has(planned) and row[done] < row[planned]:
            said += (" and " if said else "", row.say(done, "count"), " of ", row.say(planned, "count"), what)
    return said
