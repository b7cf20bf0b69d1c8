"""Why one framework is faster: DataFrame in, DataFrame out."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd

from reports.tables.machines import seeds_apart
from reports.tables.statistics import Estimate, geometric_mean, median_of_known
from reports.tables.survival import paired, times
from reports.tables.trials import confirmation_runs, frameworks

ACCOUNTS = ("startup", "compile", "data", "compute", "eval", "checkpoint")


def attribution(trials: pd.DataFrame) -> pd.DataFrame:
    """The warm time ratio, split into samples to the target and seconds per sample.

    A run's time is its samples times its seconds per sample, exactly. So are the geometric means of their ratios over
    the seeds at which both reached the target; the first of them is the ratio of `reports.tables.claims.claims`, unless
    a run missed.

    Returns
    -------
    Three rows per pair. Columns: framework, against, part (`time to target`, `samples to target`, `seconds per
    sample`), ratio with _low and _high (geometric mean), log_ratio (natural; the last two add up to the first), share
    of the first (empty where there is next to nothing to share out), pairs, missed (runs of both that missed the target
    and are not in it).
    """
    confirmed = confirmation_runs(trials)
    hits = confirmed[confirmed["reached"].astype(bool)]
    table = []
    for against, name in combinations(frameworks(trials), 2):
        runs = {each: hits[hits["framework"] == each] for each in (name, against)}
        one, other = paired(*(times(runs[each], "warm") for each in (name, against)))
        if len(one.seeds) == 0:
            continue
        missed = int((~confirmed.loc[confirmed["framework"].isin([name, against]), "reached"].astype(bool)).sum())
        samples = [
            runs[each].drop_duplicates("seed").set_index("seed")["samples_to_target"].reindex(one.seeds).to_numpy(float)
            for each in (name, against)
        ]
        parts = {
            "time to target": one.seconds / other.seconds,
            "samples to target": samples[0] / samples[1],
            "seconds per sample": (one.seconds / samples[0]) / (other.seconds / samples[1]),
        }
        whole = float(np.log(parts["time to target"]).mean())
        for part, ratios in parts.items():
            estimate, log_ratio = geometric_mean(ratios), float(np.log(ratios).mean())
            table.append(
                {
                    "framework": name,
                    "against": against,
                    "part": part,
                    "ratio": estimate.value,
                    "ratio_low": estimate.low,
                    "ratio_high": estimate.high,
                    "log_ratio": log_ratio,
                    "share": log_ratio / whole if abs(whole) > 0.02 else math.nan,
                    "pairs": len(ratios),
                    "missed": missed,
                }
            )
    columns = ["framework", "against", "part", "ratio", "ratio_low", "ratio_high", "log_ratio", "share", "pairs"]
    return pd.DataFrame(table, columns=[*columns, "missed"])


def ledger(trials: pd.DataFrame) -> pd.DataFrame:
    """Where a confirmation run's time goes: seconds per account, mean over the runs.

    Returns
    -------
    Columns: framework, runs, startup_s, compile_s, data_s (waiting for batches), compute_s (the rest of training),
    eval_s, checkpoint_s, total_s.
    """
    confirmed = confirmation_runs(trials)
    table = []
    for name in frameworks(trials):
        runs = confirmed[confirmed["framework"] == name]
        if runs.empty:
            continue
        compute = runs["train_s"].astype(float) - runs["data_s"].astype(float).fillna(0.0)
        accounts = runs.assign(compute_s=compute)[[f"{account}_s" for account in ACCOUNTS]].astype(float).fillna(0.0)
        means = accounts.mean()
        table.append({"framework": name, "runs": len(runs), **means.to_dict(), "total_s": float(means.sum())})
    return pd.DataFrame(table, columns=["framework", "runs", *(f"{each}_s" for each in ACCOUNTS), "total_s"])


def break_even(trials: pd.DataFrame) -> pd.DataFrame:
    """After how many trainings in one process a framework that starts later is ahead.

    The first training pays for start-up and compilation, every one after it for training and evaluating alone; all are
    medians over the confirmation runs that reached the target; the ratio of each is a geometric mean over seeds.

    Returns
    -------
    One row per pair. Columns: framework, against; once_s and once_against_s (start-up and compilation), each_s and
    each_against_s (training and evaluation), each_ratio with _low and _high (over the seeds that both ran); ahead_from
    (the training from which on it has taken less time in all; empty for never), against_ahead_from (likewise for the
    other).
    """
    confirmed = confirmation_runs(trials)
    hits = confirmed[confirmed["reached"].astype(bool)]
    table = []
    for against, name in combinations(frameworks(trials), 2):
        runs = [hits[hits["framework"] == each] for each in (name, against)]
        apart = seeds_apart(*runs)
        runs = [each[~each["seed"].isin(apart)] for each in runs]
        if any(each.empty for each in runs):
            continue
        once = [median_of_known(each["startup_s"] + each["compile_s"]) for each in runs]
        every_run = [each.set_index("seed")["train_s"] + each.set_index("seed")["eval_s"].fillna(0.0) for each in runs]
        every = [median_of_known(each) for each in every_run]
        both = pd.concat(every_run, axis=1, join="inner").to_numpy(dtype=np.float64)
        ratio = geometric_mean(both[:, 0] / both[:, 1]) if len(both) else Estimate(math.nan)
        table.append(
            {
                "framework": name,
                "against": against,
                "once_s": once[0],
                "once_against_s": once[1],
                "each_s": every[0],
                "each_against_s": every[1],
                "each_ratio": ratio.value,
                "each_ratio_low": ratio.low,
                "each_ratio_high": ratio.high,
                "ahead_from": _ahead_from(once[0], every[0], once[1], every[1]),
                "against_ahead_from": _ahead_from(once[1], every[1], once[0], every[0]),
            }
        )
    columns = ["framework", "against", "once_s", "once_against_s", "each_s", "each_against_s"]
    columns += ["each_ratio", "each_ratio_low", "each_ratio_high"]
    return pd.DataFrame(table, columns=[*columns, "ahead_from", "against_ahead_from"])


def _ahead_from(once: float, each: float, other_once: float, other_each: float) -> float:
    """The training, counted from 1, from which on the first has taken less time in all; NaN for never."""
    if each >= other_each:
        return math.nan
    return float(max(1, math.floor((once - other_once) / (other_each - each)) + 1))
