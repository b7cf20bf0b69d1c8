"""By which rules a study was run: DataFrame out, and the one line that says them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from reports.goals import goal_of
from reports.sentences import Row, Sentence
from reports.tables.target import target_table

_SAMPLERS = {"tpe": "TPE", "gp": "a Gaussian process", "random": "chance", "cmaes": "CMA-ES"}


def rules(trials: pd.DataFrame, plan: dict[str, Any]) -> pd.DataFrame:
    """The rules that all of a study's runs shared.

    Parameters
    ----------
    plan
        The frozen plan; without one, what only it says is left empty.

    Returns
    -------
    One row, none where nothing was searched. Columns: trials, budget, pays_after, sampler, scheduler,
    learning_rate_scaling with its reference_batch_size, and warm_start_from of each search, cap_slack and cap_rank of
    its caps (which count where the scheduler is cap); cpus and gpus of a
    slice; limit_s on the objective's clock; metric, accuracy or loss, and its target; every_samples (how often it is
    looked for), evaluation_share (of the time that confirmation runs trained and evaluated) and holds (evaluations in a
    row that must meet it); configurations and race_runs of the race; runs of the confirmation.
    """
    searched = trials[trials["phase"] != "sweep"]
    if searched.empty:
        return pd.DataFrame()
    search, race = plan.get("search", {}), plan.get("race", {})
    first, evaluation_s = searched.iloc[0], searched["eval_s"].fillna(0.0)
    confirmed = searched["phase"] == "confirm"
    trained_s = float((searched["train_s"] + evaluation_s)[confirmed].sum())
    holds = target_table(trials)["holds"]
    row = {
        "trials": search.get("trials", np.nan),
        "budget": search.get("budget", ""),
        "pays_after": search.get("pays_after", 0) or np.nan,
        "sampler": search.get("sampler", ""),
        "learning_rate_scaling": search.get("learning_rate_scaling", "none"),
        "reference_batch_size": search.get("reference_batch_size", np.nan),
        "warm_start_from": search.get("warm_start_from", ""),
        "scheduler": search.get("scheduler", ""),
        "cap_slack": search.get("cap_slack", np.nan),
        "cap_rank": search.get("cap_rank", np.nan),
        "cpus": first["cpus"],
        "gpus": first["gpus"],
        "limit_s": first["limit_s"],
        "clock": first["objective_clock"] or "warm",
        "metric": goal_of(searched).name,
        "target": first["target"],
        "every_samples": first["evaluate_every_samples"],
        "evaluation_share": float(evaluation_s[confirmed].sum()) / trained_s if trained_s else np.nan,
        "holds": plan.get("training", {}).get("holds", holds.iloc[0] if len(holds) else np.nan),
        "configurations": race.get("configurations", 0) * (race.get("runs", 0) > 0),
        "race_runs": race.get("runs", 0),
        "runs": plan.get("confirm", {}).get("runs", np.nan),
    }
    return pd.DataFrame([row])


def rules_said(row: Row) -> Sentence:
    """The rules in one line.

    Parameters
    ----------
    row
        A row of `rules`; with a column study it says whose they are.
    """
    whose = f"Rules of {row['study']}: " if row.values.get("study") else "Rules: "
    return (whose, *_searched(row), *_sliced(row), *_aimed(row), *_raced(row), *_confirmed(row), ".")


def _searched(row: Row) -> Sentence:
    if not row.has("trials"):
        return ("equal budgets",)
    drawn = _SAMPLERS.get(str(row["sampler"]), str(row["sampler"]))
    said: Sentence = (row.say("trials", "count"), f" trials each, drawn by {drawn}")
    if row["warm_start_from"]:
        said += (", after the best of ", row.say("warm_start_from", "text"))
    if row["learning_rate_scaling"] != "none":
        how = {"sqrt": "the root of the batch size"}.get(row["learning_rate_scaling"], "the batch size")
        said += (f", the learning rate with {how}, from ", row.say("reference_batch_size", "count"), " on")
    if row["budget"]:
        said += (", within ", row.say("budget", "text"), " each")
    if row.has("pays_after"):
        said += (", until another would not pay in ", row.say("pays_after", "count"), " trainings")
    if row["scheduler"] == "asha":
        said += (", which ASHA may stop early",)
    if row["scheduler"] == "cap" and row.has("cap_slack"):
        which: Sentence = (" the best",) if row["cap_rank"] == 1 else (" rank ", row.say("cap_rank", "count"))
        said += (", capped at ", row.say("cap_slack", "times"), " the time of", *which)
    return said


def _sliced(row: Row) -> Sentence:
    said: Sentence = ()
    if row.has("cpus"):
        said += ("; ", row.say("cpus", "count"), " CPU" if row["cpus"] == 1 else " CPUs")
        if row.has("gpus") and row["gpus"]:
            said += (" and ", row.say("gpus"), " GPU" if row["gpus"] <= 1 else " GPUs")
        said += (" a trial",)
    if row.has("limit_s"):
        said += ("; limit ", row.say("limit_s"), f" s {row['clock']}")
    return said


def _aimed(row: Row) -> Sentence:
    about_loss = row["metric"] == "loss"
    said: Sentence = (
        "; target loss " if about_loss else "; target ",
        row.say("target", "number" if about_loss else "aim"),
    )
    if row.has("holds") and row["holds"] > 1:
        said += (" in ", row.say("holds", "count"), " evaluations in a row")
    if row.has("every_samples"):
        said += (", looked for every ", row.say("every_samples", "count"), " training samples")
        if row.has("evaluation_share") and row["evaluation_share"]:
            said += (", which takes ", row.say("evaluation_share", "share"), " of the time")
    return said


def _raced(row: Row) -> Sentence:
    if not row["configurations"]:
        return ("; no race",)
    best, runs = row.say("configurations", "count"), row.say("race_runs", "count")
    return ("; race: the best ", best, " again, ", runs, " run each" if row["race_runs"] == 1 else " runs each")


def _confirmed(row: Row) -> Sentence:
    if not row.has("runs"):
        return ()
    runs = " fresh run" if row["runs"] == 1 else " fresh runs"
    return ("; confirmation: the winner again, ", row.say("runs", "count"), runs)
