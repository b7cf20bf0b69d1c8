"""Times to the target of which some are infinite; tests and curves of them are scipy's and lifelines'.

A miss is an infinite time: a run that ended without reaching the target, for whatever reason, counts as never reaching
it. To take a run that diverged after a second for one that was merely not watched for longer would make diverging look
like luck.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from reports.tables.statistics import Values

CLOCKS = ("warm", "cold")
_OUTSIDE_TRAINING = ["startup_s", "compile_s", "eval_s", "checkpoint_s"]


@dataclass(frozen=True)
class Times:
    """Runs on one clock.

    Attributes
    ----------
    seconds
        Shape (runs,): the time to the target; infinite for a run that missed the target.
    watched
        Shape (runs,): the same, but of a run that missed the time at which it was given up, and of a trial
        that was capped that at which it was.
    spent
        Shape (runs,): seconds that the run took on this clock; for a run that missed, up to where it ended.
    seeds
        Shape (runs,).
    hosts
        Shape (runs,): where each ran; empty text where that is not known.
    configurations
        Shape (runs,): number of the search's trial whose configuration each runs; -1 where that is not recorded.
    unknown
        Runs that are not among these, for they have no time on this clock, whether they reached the target or not.
    """

    seconds: Values
    watched: Values
    spent: Values
    seeds: npt.NDArray[np.int64]
    hosts: npt.NDArray[np.str_]
    configurations: npt.NDArray[np.int64]
    unknown: int = 0

    @property
    def reached(self) -> npt.NDArray[np.bool_]:
        """Which reached the target."""
        return np.isfinite(self.seconds)

    @property
    def censored(self) -> bool:
        """Whether any run missed the target."""
        return not bool(self.reached.all())


def times(runs: pd.DataFrame, clock: str, *, to_caps: bool = False) -> Times:
    """The runs' times on a clock, ``warm`` or ``cold``.

    A trial that was capped was watched until then and no longer: what it would have come to by its limit nobody knows.
    A run that died before its first evaluation has no ledger; the time for which it held its slice is counted on both
    clocks. Runs without this clock's time (cold, in a process that had trained before) are left out, those that missed
    the target as well as those that reached it: to keep the former alone would be to count misses twice.

    Parameters
    ----------
    to_caps
        Take a trial that its curve capped for one that was watched until its cap: it was stopped before, since it was
        not on its way to be sooner.
    """
    tta = runs[f"{clock}_tta_s"].astype(float)
    reached = runs["reached"].astype(bool)
    held = runs["slice_s"].astype(float).fillna(0.0)
    train = runs["train_s"].astype(float).fillna(held)  # of a run that died without a ledger all that is known
    limit = runs["limit_s"].astype(float).fillna(0.0)
    outside = runs[_OUTSIDE_TRAINING].astype(float).fillna(0.0).sum(axis=1)
    limited = (runs["objective_clock"] == "cold") if clock == "cold" else (runs["objective_clock"] != "cold")
    spent = train + outside if clock == "cold" else train
    # The limit is on the objective's clock; on the other one a run is given up where that limit came.
    at_limit = np.maximum(spent, limit + outside if clock == "cold" else limit - outside)
    given_up = np.where(limited, np.maximum(spent, limit), at_limit)
    cap = runs["cap_s"].astype(float).where(limited & to_caps)  # which is on the objective's clock, too
    given_up = np.where(runs["outcome"] == "capped", np.fmax(spent, cap), given_up)
    known = ~reached | tta.notna()
    if clock == "cold":  # what an older version did not record is taken for known
        known &= reached | runs["fresh_process"].astype(bool) | runs["segments"].isna()
    keep = known.to_numpy(dtype=np.bool_)
    return Times(
        seconds=np.where(reached, tta, np.inf).astype(np.float64)[keep],
        watched=np.where(reached, tta, given_up).astype(np.float64)[keep],
        spent=np.where(reached, tta, spent).astype(np.float64)[keep],
        seeds=runs["seed"].fillna(-1).to_numpy(dtype=np.int64)[keep],
        hosts=runs["host"].fillna("").to_numpy(dtype=np.str_)[keep],
        configurations=runs["confirms"].fillna(-1).to_numpy(dtype=np.int64)[keep],
        unknown=int((~keep).sum()),
    )


def paired(first: Times, second: Times) -> tuple[Times, Times]:
    """The runs of both that have the same seeds and ran on the same machine, position by position.

    Those of a seed that ran on two machines compare these.
    """
    _, left, right = np.intersect1d(first.seeds, second.seeds, return_indices=True)
    one, other = first.hosts[left], second.hosts[right]
    same = (one == other) | (one == "") | (other == "")
    return _take(first, left[same]), _take(second, right[same])


def log_ratios(one: Times, other: Times) -> Values:
    """Logarithm of the ratio of times, pair by pair; infinite where one missed, and without pairs that both missed.

    Parameters
    ----------
    one, other
        As `paired` gives them.
    """
    some = one.reached | other.reached
    return np.log(one.seconds[some]) - np.log(other.seconds[some])


def horizon(*samples: Times) -> float:
    """Seconds at which runs that missed stand in figures, tests and restricted means: no run was watched for longer.

    Not the shortest: a run that lost all of its time to a stalled start-up would cut all others at what was left of it.
    """
    return float(max(each.watched.max() for each in samples))


def restricted_mean(sample: Times, limit_s: float) -> float:
    """Mean time to the target, each time cut at the limit; NaN for no runs."""
    return float(np.minimum(sample.seconds, limit_s).mean()) if len(sample.seconds) else math.nan


def expected_time(sample: Times) -> float:
    """Expected seconds to the target when a run that misses is followed by another [COCO]: all time over all successes.

    NaN where no run reached it.
    """
    successes = int(sample.reached.sum())
    return float(sample.spent.sum() / successes) if successes else math.nan


def log_rank(first: Times, second: Times) -> tuple[float, float]:
    """The log-rank test that both reach the target at the same pace [scipy].

    Returns
    -------
    Its statistic, positive where the first is the sooner, and p-value; NaN where neither reached it.
    """
    if not (first.reached.any() or second.reached.any()) or not (len(first.seconds) and len(second.seconds)):
        return math.nan, math.nan
    end = horizon(first, second)
    found = stats.logrank(*(_right_censored(each, end) for each in (first, second)))
    return float(found.statistic), float(found.pvalue)


def _right_censored(sample: Times, end: float) -> stats.CensoredData:
    return stats.CensoredData.right_censored(np.minimum(sample.seconds, end), ~sample.reached)


def kaplan_meier(sample: Times, end_s: float) -> pd.DataFrame:
    """Share of runs that have reached the target by a time, with lifelines' 95 % interval.

    Parameters
    ----------
    end_s
        Where runs that missed end: `horizon`.

    Returns
    -------
    Columns: seconds, share, low, high, censored (runs given up at that time); the first row is at 0 s.
    """
    from lifelines import KaplanMeierFitter  # takes a second to import, which only reports should pay

    fitted = KaplanMeierFitter().fit(np.minimum(sample.seconds, end_s), sample.reached)
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


def _take(sample: Times, index: npt.NDArray[np.int64]) -> Times:
    return Times(
        sample.seconds[index],
        sample.watched[index],
        sample.spent[index],
        sample.seeds[index],
        sample.hosts[index],
        sample.configurations[index],
    )
