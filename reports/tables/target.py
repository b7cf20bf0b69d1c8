"""What the target means: how often it is looked for, whether meeting it held, and whether the test split agrees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from reports.goals import Goal, goal_of
from reports.names import title
from reports.sentences import Row, Sentence
from reports.tables.statistics import median_of_known
from reports.tables.trials import confirmation_runs, frameworks


def target_table(trials: pd.DataFrame) -> pd.DataFrame:
    """The rule by which runs reach the target, and what came of it in the confirmation runs.

    Returns
    -------
    One row per framework that has such runs. Columns: framework; target; holds, the evaluations in a row that must meet
    it; every_samples, how often it is looked for; evaluation_share of the time that runs trained and evaluated; runs;
    crossed, those that ever met the target, and reached, those in which that held; fell_back, those that met it and
    did not at the next evaluation; held_after, the median of the warm time over that of the first crossing; tested,
    runs of which the test split is known, and met_on_test, those in which it meets the target as well.
    """
    confirmed, aim = confirmation_runs(trials), goal_of(trials)
    table = [
        _row(name, runs, aim) for name in frameworks(trials) if len(runs := confirmed[confirmed["framework"] == name])
    ]
    columns = ["framework", "target", "holds", "every_samples", "evaluation_share", "runs", "crossed", "reached"]
    return pd.DataFrame(table, columns=[*columns, "fell_back", "held_after", "tested", "met_on_test"])


def _row(name: str, runs: pd.DataFrame, aim: Goal) -> dict[str, Any]:
    reached, target, holds = runs["reached"].astype(bool), float(runs["target"].iloc[0]), _holds(runs)
    known = runs["first_samples"].notna()
    spent_s = float((runs["train_s"] + runs["eval_s"]).sum())
    direct = (runs["samples_to_target"] - runs["first_samples"]) < holds * runs["evaluate_every_samples"]
    tested = runs[aim.test].dropna()
    return {
        "framework": name,
        "target": target,
        "holds": holds,
        "every_samples": _only(runs["evaluate_every_samples"]),
        "evaluation_share": float(runs["eval_s"].sum()) / spent_s if spent_s else np.nan,
        "runs": len(runs),
        "crossed": int((known | reached).sum()),
        "reached": int(reached.sum()),
        "fell_back": int((known & ~(reached & direct)).sum()) if holds > 1 else np.nan,
        "held_after": median_of_known(runs["warm_tta_s"] / runs["first_warm_s"]),
        "tested": len(tested),
        "met_on_test": sum(aim.met(value, target) for value in tested),
    }


def _holds(runs: pd.DataFrame) -> int:
    """Of runs from before there was such a rule, 1."""
    known = runs["holds"].dropna()
    return int(known.iloc[0]) if len(known) else 1


def _only(values: pd.Series) -> float:
    known = values.dropna().unique()
    return float(known[0]) if len(known) == 1 else np.nan


def target_sentences(found: list[Row]) -> list[Sentence]:
    """How the target is looked for, when it counts, and whether it is met on the test split.

    Parameters
    ----------
    found
        The rows of `target_table`.
    """
    if not found:
        return []
    first = found[0]
    said: Sentence = ("The target is looked for",)
    if first.has("every_samples"):
        said += (" every ", first.say("every_samples", "count"), " training samples")
    if timed := [row for row in found if row.has("evaluation_share") and row["evaluation_share"]]:
        said += (
            " (",
            *_listed(timed, lambda row: (row.say("evaluation_share", "share"),)),
            " of the time that runs train and evaluate)",
        )
    elif not first.has("every_samples"):
        said += (" at every evaluation",)
    if first["holds"] > 1:
        said += (
            " and counts when ",
            first.say("holds", "count"),
            " evaluations in a row meet it; a first crossing did not hold ",
        )
        said += (
            "in ",
            *_listed(found, lambda row: (row.say("fell_back", "count"), " of ", row.say("crossed", "count"))),
        )
        said += (" runs",)
    sentences = [(*said, ".")]
    tested = [row for row in found if row["tested"]]
    if tested:
        met = _listed(tested, lambda row: (row.say("met_on_test", "count"), " of ", row.say("tested", "count")))
        sentences.append(("On the test split, at their end, ", *met, " runs meet the target."))
    return sentences


def _listed(found: list[Row], tell: Callable[[Row], Sentence]) -> Sentence:
    """What is told of each framework, with its name where there are several."""
    said: Sentence = ()
    for place, row in enumerate(found):
        named = (f" {title(row['framework'])}",) if len(found) > 1 else ()
        joint = "" if place == 0 else " and " if place == len(found) - 1 else ", "
        said += (joint, *tell(row), *named)
    return said
