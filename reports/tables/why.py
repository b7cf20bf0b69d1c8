"""Why one framework is faster: DataFrame in, DataFrame out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from reports.tables.machines import seeds_apart
from reports.tables.statistics import Estimate, Values, geometric_mean, mean, quotient
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
    """When a framework that starts later is ahead: after how many trainings in one process, or in how long a training.

    The first training pays for start-up and compilation, every one after it for training and evaluating alone. All are
    means over the seeds with which both reached the target; a number of trainings is a quotient of two of these, with
    Fieller's interval (`reports.tables.statistics.quotient`).

    Returns
    -------
    One row per pair. Columns: framework, against, pairs; once_s and once_against_s (start-up and compilation), each_s
    and each_against_s (training and evaluation); later_s, by which it starts later than the other; with _low and _high
    saves (the share of the other's training that it does without, below 0 where it takes longer), ahead_from (the
    training from which on it has taken less time in all; empty for never) and ahead_in_s (how long one training of the
    other's must last for that); these four for the other, after against_.
    """
    confirmed = confirmation_runs(trials)
    hits = confirmed[confirmed["reached"].astype(bool)]
    table = []
    for against, name in combinations(frameworks(trials), 2):
        runs = [hits[hits["framework"] == each].drop_duplicates("seed") for each in (name, against)]
        seeds = sorted(set(runs[0]["seed"]) & set(runs[1]["seed"]) - seeds_apart(*runs))
        if not seeds:
            continue
        first, second = (_Costs.of(each.set_index("seed").loc[seeds]) for each in runs)
        table.append(
            {
                "framework": name,
                "against": against,
                "pairs": len(seeds),
                "once_s": float(first.once_s.mean()),
                "once_against_s": float(second.once_s.mean()),
                "each_s": float(first.each_s.mean()),
                "each_against_s": float(second.each_s.mean()),
                **_overtaking("", first, second),
                **_overtaking("against_", second, first),
            }
        )
    columns = ["framework", "against", "pairs", "once_s", "once_against_s", "each_s", "each_against_s"]
    for side in ("", "against_"):
        spread = (
            f"{side}{each}{end}" for each in ("saves", "ahead_from", "ahead_in_s") for end in ("", "_low", "_high")
        )
        columns += [f"{side}later_s", *spread]
    return pd.DataFrame(table, columns=columns)


@dataclass(frozen=True)
class _Costs:
    """What runs cost once a process, and each; shape (runs,)."""

    once_s: Values
    each_s: Values

    @classmethod
    def of(cls, runs: pd.DataFrame) -> _Costs:
        once = runs["startup_s"] + runs["compile_s"]
        each = runs["train_s"] + runs["eval_s"].fillna(0.0)
        return cls(once.to_numpy(dtype=np.float64), each.to_numpy(dtype=np.float64))

    def saved(self, other: _Costs) -> Values:
        """The share of each of the other's trainings that it does without."""
        return 1.0 - self.each_s / other.each_s


def _overtaking(side: str, one: _Costs, other: _Costs) -> dict[str, float]:
    """When the one is ahead: from which training on, and in how long a training of the other's."""
    later_s = one.once_s - other.once_s
    trainings, lasting = quotient(later_s, other.each_s - one.each_s), quotient(later_s, one.saved(other))
    counted = (_from(1.0, math.floor(each) + 1.0 if math.isfinite(each) else each) for each in _ends(trainings))
    seconds = (_from(0.0, each) for each in _ends(lasting))
    return {
        f"{side}later_s": float(later_s.mean()),
        **mean(one.saved(other)).columns(f"{side}saves"),
        **Estimate(*counted).columns(f"{side}ahead_from"),
        **Estimate(*seconds).columns(f"{side}ahead_in_s"),
    }


def _ends(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def _from(least: float, value: float) -> float:
    """The value, but no less than that; NaN stays."""
    return value if math.isnan(value) else max(least, value)
