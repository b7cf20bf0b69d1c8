"""Where a study's records contradict one another or its plan, which no honest study's do."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from reports.goals import ACCURACY, LOSS
from reports.knobs import OPTIONS, PREFIX, with_options
from reports.names import title
from reports.tables.budget import budgets
from reports.winners import MOVED

_ACCOUNTS = ("startup_s", "compile_s", "train_s", "eval_s", "checkpoint_s")
# Columns of the trials by the key of the plan that decides them.
_PLANNED = {
    "training.target": "target",
    "training.holds": "holds",
    "training.limit_s": "limit_s",
    "training.epochs": "max_epochs",
    "training.evaluate_every_samples": "evaluate_every_samples",
    "training.optimizer": "optimizer",
    "training.momentum": "momentum",
    "training.weight_decay": "weight_decay",
    "training.schedule": "schedule",
    "training.warm_up": "warm_up",
    "training.precision": "precision",
    "slice.cpus": "cpus",
    "slice.gpus": "gpus",
    "workload": "workload",
}
_MISSING = (("trials", "trials of the search"), ("runs", "confirmation runs"), ("trainings", "trainings of the sweep"))


def against_the_plan(trials: pd.DataFrame, plan: dict[str, Any], provenance: dict[str, Any] | None = None) -> list[str]:
    """Trials that were run with other values than the plan has, and runs that it has and the records lack.

    Parameters
    ----------
    plan
        The frozen plan; without one nothing is known.
    provenance
        It knows which searches stopped before their last trial.
    """
    found = []
    every = with_options(trials)
    options = {f"{OPTIONS}.{name}": f"{PREFIX}{name}" for name in plan.get(OPTIONS, {})}
    for key, column in {**_PLANNED, **options}.items():
        known = every.dropna(subset=[column]) if column in every else every[:0]
        planned, known = _planned(plan, key), known[~_searched(known, plan, key)]
        other = known[known[column] != planned] if planned is not None else known[:0]
        if len(other):
            first, has = other.iloc[0], _said(other.iloc[0][column])
            found.append(
                f"plan.toml says {key} = {_said(planned)}, but {len(other)} of {len(trials)} trials ran with another "
                f"value ({first['trial_id']}: {has})"
            )
    if plan and len(trials):
        for row in budgets(trials, plan, provenance).to_dict("records"):
            for done, what in _MISSING:
                wanted = row[f"{done}_planned"]
                if not math.isnan(wanted) and row[done] < wanted:
                    found.append(
                        f"{title(row['framework'])}: {row[done]:.0f} of {wanted:.0f} {what} are in the records; the "
                        "rest are missing or were never run"
                    )
    return found


def _searched(trials: pd.DataFrame, plan: dict[str, Any], key: str) -> pd.Series[bool]:
    """Which trials had a value of their own under a key, since it was searched in their framework, or swept."""
    name = key.rpartition(".")[2]
    spaces, swept = plan.get("space", {}), (plan.get("sweep") or {}).get("over", {})
    return trials["framework"].map(lambda each: name in spaces.get(each, {}) or name in swept).astype(bool)


def _planned(plan: dict[str, Any], key: str) -> Any:
    value: Any = plan
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _said(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def among_themselves(trials: pd.DataFrame, evaluations: pd.DataFrame) -> list[str]:
    """Trials that say something else than their own evaluations: whether and when they reached the target."""
    groups = dict(list(evaluations.sort_values("evaluation").groupby("trial_id")))
    found = []
    for trial in _rows(trials):
        if trial["outcome"] in ("failed", MOVED):
            continue
        mine = groups.get(trial["trial_id"], evaluations[:0])
        if len(mine) != (trial["evaluations"] or 0):
            found.append(
                f"trials.parquet, {trial['trial_id']}: it made {trial['evaluations'] or 0:.0f} evaluations, and "
                f"evaluations.parquet has {len(mine)} of them"
            )
            continue
        found += [
            f"trials.parquet, {trial['trial_id']}, {column}: it says {_or_none(trial[column])}, its evaluations give "
            f"{_or_none(value)}"
            for column, value in _from_evaluations(trial, mine).items()
            if not _same(trial[column], value)
        ]
    return found


def _from_evaluations(trial: dict[str, Any], mine: pd.DataFrame) -> dict[str, Any]:
    """What follows for a trial from its evaluations by the rule of `trainables.training`: columns and values."""
    points, aim = _rows(mine), LOSS if trial.get("metric") == "loss" else ACCURACY
    holds, cadence = _known(trial["holds"]) or 1, _known(trial["evaluate_every_samples"])
    row: list[dict[str, Any]] = []
    first = held = None
    for point in points:
        row = [*row, point] if aim.met(_number(point[aim.validation]), trial["target"]) else []
        if trial["outcome"] == "diverged" and point is points[-1]:
            break
        if not row or _elapsed(trial, point) > min(trial["limit_s"], _known(trial.get("cap_s")) or math.inf):
            continue
        first = first or point
        known = cadence and all(_known(each["samples"]) for each in row)
        if held is None and len({each["samples"] // cadence for each in row} if known else row) >= holds:
            held = point
    known = [value for point in points if (value := _known(point[aim.validation])) is not None]
    best = (max if aim.rises else min)(known, default=None)
    said = {"reached": held is not None, "warm_tta_s": held and held["train_s"], aim.best: best}
    if held and _known(held["samples"]) is not None:
        said["samples_to_target"] = held["samples"]
    if held and _known(trial["cold_tta_s"]) is not None and all(_known(held[key]) is not None for key in _ACCOUNTS):
        said["cold_tta_s"] = sum(held[key] for key in _ACCOUNTS)
    if _known(trial["holds"]) is not None:
        said["first_warm_s"] = first and first["train_s"]
    return said


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _elapsed(trial: dict[str, Any], point: dict[str, Any]) -> float:
    keys = _ACCOUNTS if trial["objective_clock"] == "cold" else ("train_s",)
    return sum(_known(point[key]) or 0.0 for key in keys)


def _number(value: Any) -> float:
    """NaN, which meets no target, for what is not known."""
    return math.nan if value is None else float(value)


def _known(value: Any) -> Any:
    return None if value is None or value != value else value


def _or_none(value: Any) -> str:
    return "nothing" if _known(value) is None else str(value)


def _same(ours: Any, theirs: Any) -> bool:
    ours, theirs = _known(ours), _known(theirs)
    if ours is None or theirs is None:
        return ours is theirs
    return math.isclose(ours, theirs, rel_tol=1e-9)
