"""The sentences people came for."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from reports.names import title
from reports.sentences import Row, Sentence, plain, rows
from reports.tables.budget import budgets
from reports.tables.machines import compared_apart, seeds_apart
from reports.tables.statistics import ratio_of_means, ratio_of_medians
from reports.tables.survival import CLOCKS, Times, common_limit, log_rank, paired, times
from reports.tables.trials import best_configurations, confirmation_runs, frameworks

COLUMNS = (
    "framework", "against", "clock", "measure", "ratio", "ratio_low", "ratio_high", "pairs", "reached", "runs",
    "reached_against", "runs_against", "limit_s", "p_value",
)  # fmt: skip


def verdicts(trials: pd.DataFrame) -> pd.DataFrame:
    """How the frameworks' best configurations compare, from their confirmation runs alone.

    The search's own best figure is biased low: it is the best of many. A pair is compared where both reached the target
    at least once, over the seeds that both ran on one machine.

    Returns
    -------
    One row per pair and clock. Columns: framework, against, clock; measure (`median`, or `restricted mean` where runs
    were censored), the ratio of it, with _low and _high; pairs, the seeds that both ran; reached and runs of both;
    limit_s, to which means are restricted; p_value of the log-rank test, which does not pair.
    """
    confirmed = confirmation_runs(trials)
    table = []
    for against, name in combinations(frameworks(trials), 2):
        runs = [confirmed[confirmed["framework"] == each] for each in (name, against)]
        apart = seeds_apart(*runs)
        for clock in CLOCKS:
            first, second = (times(each[~each["seed"].isin(apart)], clock) for each in runs)
            if first.reached.any() and second.reached.any():
                table.append({"framework": name, "against": against, "clock": clock, **_compared(first, second)})
    return pd.DataFrame(table, columns=list(COLUMNS))


def _compared(first: Times, second: Times) -> dict[str, object]:
    one, other = paired(first, second)
    censored = first.censored or second.censored
    limit_s = common_limit(first, second) if censored else np.nan
    if len(one.seconds) == 0:
        ratio = None
    elif censored:
        ratio = ratio_of_means(np.minimum(one.seconds, limit_s), np.minimum(other.seconds, limit_s))
    else:
        ratio = ratio_of_medians(one.seconds, other.seconds)
    return {
        "measure": "restricted mean" if censored else "median",
        "ratio": ratio.value if ratio else np.nan,
        "ratio_low": ratio.low if ratio else np.nan,
        "ratio_high": ratio.high if ratio else np.nan,
        "pairs": len(one.seconds),
        "reached": int(first.reached.sum()),
        "runs": len(first.seconds),
        "reached_against": int(second.reached.sum()),
        "runs_against": len(second.seconds),
        "limit_s": limit_s,
        "p_value": log_rank(first, second),
    }


def verdict_sentences(
    trials: pd.DataFrame, compared: pd.DataFrame, best: pd.DataFrame, budget: pd.DataFrame
) -> list[Sentence]:
    """What the confirmation runs show, in a sentence or two per pair or framework.

    Parameters
    ----------
    compared, best, budget
        `verdicts`, `reports.tables.trials.best_configurations` and `reports.tables.budget.budgets` of the trials.
    """
    if trials.empty:
        return [("No trial has finished yet.",)]
    searched = trials[trials["phase"] != "sweep"]
    if searched.empty:
        return [("This study swept a setting; it searched for no best configuration.",)]
    said, paired_up = [], set()
    for (name, against), clocks in compared.groupby(["framework", "against"], sort=False):
        if clocks["ratio"].notna().any():
            paired_up |= {name, against}
            chosen = [
                row for row in rows("verdicts", compared) if (row["framework"], row["against"]) == (name, against)
            ]
            said.append(_pair(chosen, goal(trials)))
    for pair in compared_apart(trials).to_dict("records"):
        paired_up |= {pair["framework"], pair["against"]}
        said.append(_apart(pair))
    winners = {row["framework"]: row for row in rows("best_configurations", best)}
    counts = {row["framework"]: row for row in rows("budgets", budget)}
    names, aim = frameworks(searched), goal(trials)
    said += [_alone(aim, winners.get(name), counts[name]) for name in names if name not in paired_up]
    if len(names) == 1:
        said.append(("No other framework ran, so there is nothing to compare it with.",))
    return said


def verdict(trials: pd.DataFrame) -> str:
    """`verdict_sentences` as text."""
    tables = verdicts(trials), best_configurations(trials), budgets(trials, {})
    return " ".join(map(plain, verdict_sentences(trials, *tables)))


def goal(trials: pd.DataFrame) -> str:
    """Target and workload in words."""
    first = trials.iloc[0]
    return f"{100 * first['target']:.4g} % validation accuracy on {first['workload']}"


def _pair(clocks: list[Row], aim: str) -> Sentence:
    base, first = title(clocks[0]["against"]), clocks[0]
    if first["measure"] == "median":
        said: Sentence = (f"{title(first['framework'])} reaches {aim} in ",)
    else:
        cut = first.say("limit_s", "seconds")
        said = (f"To {aim}, {title(first['framework'])}'s mean time, cut at ", cut, ", is ")
    for index, row in enumerate(clocks):
        if not row.has("ratio"):
            continue
        ratio = row.interval("ratio", "times")
        of = f" {base}'s time" if row["measure"] == "median" else f" {base}'s"
        said += ("; " if index else "", *ratio, f"{of}, " if index == 0 else " ", row["clock"], *_doubt(row))
    counted: Sentence = (first.say("reached"), " of ", first.say("runs"), " and ")
    counted += (first.say("reached_against"), " of ", first.say("runs_against"))
    return (*said, " (", *counted, " runs reached it).")


def _apart(pair: dict[Hashable, Any]) -> Sentence:
    name, against = title(pair["framework"]), title(pair["against"])
    return (
        f"{name} and {against} are not compared: {name}'s confirmation runs ran on {pair['hosts']}, {against}'s on "
        f"{pair['hosts_against']}, and no seed of both on the same machine.",
    )


def _doubt(row: Row) -> Sentence:
    if not row.has("ratio_low"):
        return (" (too few runs for an interval)",)
    return (": no difference shown",) if row["ratio_low"] <= 1.0 <= row["ratio_high"] else ()


def _alone(aim: str, best: Row | None, budget: Row) -> Sentence:
    name, trials = title(budget["framework"]), budget.say("trials", "count")
    if best is None:
        if budget["trials"] and budget["failed"] == budget["trials"]:
            return ("All ", trials, f" trials of {name} failed; the table of trials says why.")
        return (f"{name} never reached {aim} in ", trials, " trials.")
    if not best["runs"]:
        found = budget.say("reached", "count")
        return (f"{name} reached {aim} in ", found, " of ", trials, " trials; its best configuration is not confirmed.")
    if not best["reached"]:
        runs = best.say("runs")
        return (f"{name} reached {aim} in its search, but in none of ", runs, " confirmation runs.")
    said: Sentence = (f"{name} reaches {aim} in ",)
    known = [clock for clock in CLOCKS if best.has(f"{clock}_s")]
    for index, clock in enumerate(known):
        said += (" and " if index else "", *best.interval(f"{clock}_s", "seconds"), f" {clock}")
    among = "" if best["reached"] == best["runs"] else " where it did"
    return (*said, f"{among} (", best.say("reached"), " of ", best.say("runs"), " runs reached it).")
