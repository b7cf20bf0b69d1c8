"""Times to accuracy of which some were censored; the computing is lifelines'.

A run that ended without reaching the target, for whatever reason, counts as not having reached it by its limit. To take
a run that diverged after a second for one that was merely not watched for longer would make diverging look like luck.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.tables.statistics import Values

CLOCKS = ("warm", "cold")
_OUTSIDE_TRAINING = ["startup_s", "compile_s", "eval_s", "checkpoint_s"]


@dataclass(frozen=True)
class Times:
    """Runs on one clock.

    Attributes
    ----------
    seconds
        Shape (runs,): the time to accuracy, or the limit at which the run was given up.
    reached
        Shape (runs,): whether it is the former.
    spent
        Shape (runs,): seconds that the run took on this clock; for a run that missed, up to where it ended.
    seeds
        Shape (runs,).
    hosts
        Shape (runs,): where each ran; empty text where that is not known.
    """

    seconds: Values
    reached: npt.NDArray[np.bool_]
    spent: Values
    seeds: npt.NDArray[np.int64]
    hosts: npt.NDArray[np.str_]

    @property
    def censored(self) -> bool:
        """Whether any run missed the target."""
        return not bool(self.reached.all())


def times(runs: pd.DataFrame, clock: str) -> Times:
    """The runs' times on a clock, ``warm`` or ``cold``.

    A run that died before its first evaluation has no ledger; the time for which it held its slice is counted on both
    clocks. Runs that reached the target without having this clock's time (cold, in a process that was kept) are left
    out.
    """
    tta = runs[f"{clock}_tta_s"].astype(float)
    reached = runs["reached"].astype(bool)
    held = runs["slice_s"].astype(float).fillna(0.0)
    train = runs["train_s"].astype(float).fillna(held)  # of a run that died without a ledger all that is known
    limit = runs["limit_s"].astype(float).fillna(0.0)
    outside = runs[_OUTSIDE_TRAINING].astype(float).fillna(0.0).sum(axis=1)
    limited = (runs["objective_clock"] == "cold") if clock == "cold" else (runs["objective_clock"] != "cold")
    spent = train + outside if clock == "cold" else train
    # The limit is on the objective's clock; on the other one a run is censored where that limit came.
    at_limit = np.maximum(spent, limit + outside if clock == "cold" else limit - outside)
    given_up = np.where(limited, np.maximum(spent, limit), at_limit)
    keep = (~reached | tta.notna()).to_numpy()
    return Times(
        seconds=np.where(reached, tta, given_up).astype(np.float64)[keep],
        reached=reached.to_numpy(dtype=np.bool_)[keep],
        spent=np.where(reached, tta, spent).astype(np.float64)[keep],
        seeds=runs["seed"].fillna(-1).to_numpy(dtype=np.int64)[keep],
        hosts=runs["host"].fillna("").to_numpy(dtype=np.str_)[keep],
    )


def paired(first: Times, second: Times) -> tuple[Times, Times]:
    """The runs of both that have the same seeds and ran on the same machine, position by position.

    Those of a seed that ran on two machines compare these.
    """
    _, left, right = np.intersect1d(first.seeds, second.seeds, return_indices=True)
    one, other = first.hosts[left], second.hosts[right]
    same = (one == other) | (one == "") | (other == "")
    return _take(first, left[same]), _take(second, right[same])


def common_limit(*samples: Times) -> float:
    """Seconds up to which every run was watched: the first censoring, or the last time where none was censored."""
    given_up = [each.seconds[~each.reached] for each in samples]
    censored = np.concatenate(given_up)
    return float(censored.min() if len(censored) else max(each.seconds.max() for each in samples))


def restricted_mean(sample: Times, limit_s: float) -> float:
    """Mean time to accuracy, each time cut at the limit [lifelines]; NaN for no runs."""
    from lifelines.utils import restricted_mean_survival_time

    if len(sample.seconds) == 0:
        return math.nan
    return float(restricted_mean_survival_time(_fitted(sample), t=limit_s))


def expected_time(sample: Times) -> float:
    """Expected seconds to the target when a run that misses is followed by another [COCO]: all time over all successes.

    NaN where no run reached it.
    """
    successes = int(sample.reached.sum())
    return float(sample.spent.sum() / successes) if successes else math.nan


def log_rank(first: Times, second: Times) -> float:
    """p-value of the log-rank test that both reach the target at the same pace [lifelines]; NaN where neither did."""
    from lifelines.statistics import logrank_test

    if not (first.reached.any() or second.reached.any()) or not (len(first.seconds) and len(second.seconds)):
        return math.nan
    return float(logrank_test(first.seconds, second.seconds, first.reached, second.reached).p_value)


def kaplan_meier(sample: Times) -> pd.DataFrame:
    """Share of runs that have reached the target by a time, with lifelines' 95 % interval.

    Returns
    -------
    Columns: seconds, share, low, high, censored (runs given up at that time); the first row is at 0 s.
    """
    fitted = _fitted(sample)
    interval = fitted.confidence_interval_survival_function_
    censored = fitted.event_table["censored"].reindex(fitted.survival_function_.index).fillna(0)
    return pd.DataFrame(
        {
            "seconds": fitted.survival_function_.index.to_numpy(dtype=np.float64),
            "share": 1.0 - fitted.survival_function_.iloc[:, 0].to_numpy(),
            "low": 1.0 - interval.iloc[:, 1].to_numpy(),
            "high": 1.0 - interval.iloc[:, 0].to_numpy(),
            "censored": censored.to_numpy(dtype=np.int64),
        }
    )


def _fitted(sample: Times):  # type: ignore[no-untyped-def]
    from lifelines import KaplanMeierFitter  # takes a second to import, which only reports should pay

    return KaplanMeierFitter().fit(sample.seconds, sample.reached)


def _take(sample: Times, index: npt.NDArray[np.int64]) -> Times:
    return Times(
        sample.seconds[index], sample.reached[index], sample.spent[index], sample.seeds[index], sample.hosts[index]
    )
