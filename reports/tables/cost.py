"""What finding the best configurations cost: DataFrame in, DataFrame out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.tables.running import began, running_clock
from reports.tables.statistics import FEWEST, SEED, Estimate, median, median_of_known
from reports.tables.survival import times
from reports.tables.trials import best_configurations, confirmation_runs, frameworks, phase, race_runs

FATES = ("finished", "capped", "missed", "failed", "lost", "race", "search in all", "confirmation", "sweep")
_OF_SEARCH = FATES[: FATES.index("search in all")]
_AGAIN = {"race": "race", "confirm": "confirmation", "sweep": "sweep"}  # phases after the search's own trials
_FATE = {  # of an outcome; every other missed
    "reached": "finished",
    "capped": "capped",
    "stopped": "capped",
    "failed": "failed",
}
_SUMMED = ("fresh", "slice_s", "cpu_s", "gpu_s", "startup_s", "compile_s")
SEARCHES = 200  # drawn from the trials of one
_GRID = 120  # costs at which these are compared


@dataclass(frozen=True)
class Price:
    """What an hour of hardware costs, in any currency; None leaves it out."""

    gpu_hour: float | None = None
    cpu_hour: float | None = None

    @property
    def given(self) -> bool:
        """Whether there is anything to multiply with."""
        return self.gpu_hour is not None or self.cpu_hour is not None


def search_cost(trials: pd.DataFrame, price: Price | None = None) -> pd.DataFrame:
    """What searching and confirming cost, by framework and by what became of it.

    Every slice-second is in exactly one of the fates *finished* (reached the target), *capped* (stopped before its
    limits, since it could no longer win or lagged behind), *missed* (out of time or epochs, or diverged), *failed*,
    *lost* (done again after an interruption or a failure), *race* (the search's best, again), *confirmation* and
    *sweep*; *search in all* sums the first six.

    Returns
    -------
    Columns: framework, fate, trials (of *lost*: those that lost something, which their own fate counts too), fresh
    (those in a process of their own; the others found the framework started and compiled by an earlier trial), slice_s
    (seconds for which slices were held), cpu_s and gpu_s (times the CPUs and GPUs of a slice), startup_s and compile_s
    (of slice_s), overhead (their share); with a price, money.
    """
    kept = trials["slice_s"].astype(float).fillna(0.0)
    searching = trials["phase"] == "search"
    lost_s = trials["lost_s"].astype(float).fillna(0.0).where(searching, 0.0)
    own = trials["outcome"].map(lambda outcome: _FATE.get(outcome, "missed"))
    charged = trials[["framework", "cpus", "gpus", "startup_s", "compile_s"]].assign(
        fate=own.where(searching, trials["phase"].map(_AGAIN)),
        slice_s=kept - lost_s,
        fresh=trials["fresh_process"].fillna(True).astype(int),
        trials=1,
    )
    redone = charged.assign(fate="lost", slice_s=lost_s, startup_s=np.nan, compile_s=np.nan, fresh=0)[lost_s > 0]
    both = pd.concat([charged, redone])
    in_all = both[both["fate"].isin(_OF_SEARCH)].assign(fate="search in all")
    table, whole = _summed(both), _summed(in_all)
    counted = trials[trials["phase"].isin(["search", "race"])].groupby("framework").size()  # a lost part is no trial
    whole["trials"] = whole["framework"].map(counted).fillna(0).astype(int)
    table = pd.concat([table, whole], ignore_index=True)
    table["overhead"] = (table["startup_s"] + table["compile_s"]) / table["slice_s"].where(table["slice_s"] > 0)
    if price is not None and price.given:
        hours = table["gpu_s"] * (price.gpu_hour or 0.0) + table["cpu_s"] * (price.cpu_hour or 0.0)
        table["money"] = hours / 3600
    order = {name: place for place, name in enumerate(frameworks(trials))}
    places = table["framework"].map(order) * len(FATES) + table["fate"].map(FATES.index)
    return table.assign(place=places).sort_values("place").drop(columns="place").reset_index(drop=True)


def _summed(charged: pd.DataFrame) -> pd.DataFrame:
    charged = charged.assign(
        cpu_s=charged["slice_s"] * charged["cpus"].fillna(0), gpu_s=charged["slice_s"] * charged["gpus"].fillna(0)
    )
    return charged.groupby(["framework", "fate"], sort=False)[["trials", *_SUMMED]].sum().reset_index()


def incumbents(trials: pd.DataFrame) -> pd.DataFrame:
    """What each search cost, and after how many trainings it has paid for itself.

    It has when the time saved against the search's *median* trial makes up for all it cost: who does not search and
    takes one of these configurations blindly gets the median in the middle of all cases. A trial that missed the target
    counts with its limit, and one that was capped with its cap, though neither would have ended there: where such
    trials lie in the lower half, the median is a lower bound. So do the winner's confirmation runs. (At the time at
    which a curve capped it, a trial must not count: those that were bad enough to be stopped soon would make the median
    trial a quick one.)

    The search's trials shared a machine with one another, confirmation runs are alone: `contention` is how much longer
    a sample took in the search, at the configurations that ran again, and the median trial is taken to be so much
    faster by itself.

    Returns
    -------
    Columns: framework, trial_id of the winner, search_trials, search_slice_s (race included), race_slice_s; best_s
    (median of the confirmation runs, or the search's own where there is none; `confirmed` says which), contention,
    median_s and median_reached (of the search's median trial, alone; whether it is a time to the target, or a bound of
    one), capped (trials that were), saved_s per training and pays_after trainings
    (empty where nothing is saved). best_s, median_s, saved_s and pays_after have _low and _high, where both medians
    have an interval.
    """
    table = []
    best, confirmed_by, raced = best_configurations(trials), confirmation_runs(trials), race_runs(trials)
    for winner in best.to_dict("records"):
        mine = trials[trials["framework"] == winner["framework"]]
        search = phase(mine, "search")
        alone = pd.concat([each[each["framework"] == winner["framework"]] for each in (raced, confirmed_by)])
        clock = "cold" if (search["objective_clock"] == "cold").any() else "warm"
        sample = times(search, clock, to_caps=True)
        runs = times(confirmed_by[confirmed_by["framework"] == winner["framework"]], clock).watched
        contention = _contention(search, alone)
        best_one = median(runs) if len(runs) else Estimate(winner["search_s"])
        middle = median(sample.watched)
        hits, others = sample.watched[sample.reached], sample.watched[~sample.reached]
        reached = hits.max(initial=-math.inf) >= middle.value < others.min(initial=math.inf)
        if len(runs):  # else both figures are the search's own
            middle = Estimate(*(each / contention for each in (middle.value, middle.low, middle.high)))
        saved = _difference(middle, best_one)
        race_slice_s = float(phase(mine, "race")["slice_s"].sum())
        search_slice_s = float(search["slice_s"].sum()) + race_slice_s
        table.append(
            {
                "framework": winner["framework"],
                "trial_id": winner["trial_id"],
                "search_trials": len(search),
                "search_slice_s": search_slice_s,
                "race_slice_s": race_slice_s,
                **best_one.columns("best_s"),
                "confirmed": len(runs) > 0,
                "contention": contention,
                **middle.columns("median_s"),
                "median_reached": bool(reached),
                "capped": int((search["outcome"] == "capped").sum()),
                **saved.columns("saved_s"),
                **_trainings(search_slice_s, saved).columns("pays_after"),
            }
        )
    return pd.DataFrame(table)


def _contention(search: pd.DataFrame, alone: pd.DataFrame) -> float:
    """How many times longer a sample took in the search than alone, at configurations that ran again; at least 1."""
    logs = []
    for number, runs in alone.groupby("confirms"):
        both = [
            median_of_known(each["train_s"].astype(float) / each["samples"].astype(float))
            for each in (search[search["number"] == number], runs)
        ]
        if all(math.isfinite(each) and each > 0 for each in both):
            logs.append(math.log(both[0] / both[1]))
    return max(1.0, math.exp(math.fsum(logs) / len(logs))) if logs else 1.0


def _difference(one: Estimate, other: Estimate) -> Estimate:
    """Of two independent estimates; each side's errors are added in squares [MOVER: Zou and Donner 2008]."""
    value = one.value - other.value
    low = value - math.hypot(one.value - one.low, other.high - other.value)
    return Estimate(value, low, value + math.hypot(one.high - one.value, other.value - other.low))


def _trainings(cost_s: float, saved: Estimate) -> Estimate:
    """After how many a cost is saved; without a bound where there may be nothing saved."""
    if not saved.value > 0:
        return Estimate(math.nan)
    if not saved.has_interval:
        return Estimate(float(math.ceil(cost_s / saved.value)))
    most = float(math.ceil(cost_s / saved.low)) if saved.low > 0 else math.inf
    return Estimate(float(math.ceil(cost_s / saved.value)), float(math.ceil(cost_s / saved.high)), most)


def best_so_far(trials: pd.DataFrame) -> pd.DataFrame:
    """The incumbent against what the search had cost when it was found.

    Returns
    -------
    Columns: framework, trials (searched so far), slice_s (spent so far), best_s (objective of the incumbent; NaN before
    the first hit).
    """
    table = []
    for name, group in phase(trials, "search").sort_values("ended_at").groupby("framework", sort=False):
        hits = group["objective"].where(group["reached"].astype(bool)).astype(float)
        table.append(
            pd.DataFrame(
                {
                    "framework": name,
                    "trials": np.arange(1, len(group) + 1),
                    "slice_s": group["slice_s"].cumsum().to_numpy(),
                    "best_s": hits.cummin().ffill().to_numpy(),
                }
            )
        )
    columns = ["framework", "trials", "slice_s", "best_s"]
    return pd.concat(table, ignore_index=True) if table else pd.DataFrame(columns=columns)


def resampled(trials: pd.DataFrame) -> pd.DataFrame:
    """How far luck goes: the best so far of searches whose trials are drawn from these, with replacement.

    That is right for a random search. A sampler that learns puts its better trials late, so there the search itself
    tends to lie above the band at first.

    Returns
    -------
    Columns: framework, slice_s, low_s and high_s (10th and 90th percentile of best_s over `SEARCHES` draws; empty
    where no hit has come in that many of them).
    """
    random = np.random.default_rng(SEED)
    table = []
    for name, group in phase(trials, "search").sort_values("trial_id").groupby("framework", sort=False):
        if not group["reached"].astype(bool).any() or len(group) < FEWEST:
            continue
        cost = group["slice_s"].fillna(0).to_numpy(dtype=np.float64)
        hits = group["objective"].where(group["reached"].astype(bool)).fillna(np.inf).to_numpy(dtype=np.float64)
        grid = np.linspace(0, cost.sum(), _GRID)
        curves = np.full((SEARCHES, _GRID), np.inf)
        for curve in curves:
            drawn = random.integers(0, len(cost), len(cost))
            done = np.searchsorted(np.cumsum(cost[drawn]), grid * (1 + 1e-12), side="right")
            curve[done > 0] = np.minimum.accumulate(hits[drawn])[done[done > 0] - 1]
        low, high = np.quantile(curves, [0.1, 0.9], axis=0, method="nearest")
        table.append(pd.DataFrame({"framework": name, "slice_s": grid, "low_s": low, "high_s": high}))
    columns = ["framework", "slice_s", "low_s", "high_s"]
    return pd.concat(table, ignore_index=True).replace(np.inf, np.nan) if table else pd.DataFrame(columns=columns)


def slots(trials: pd.DataFrame) -> pd.DataFrame:
    """Every trial on the slot that it occupied: the first that was free when it began.

    Returns
    -------
    Columns: trial_id, framework, phase, outcome, slot (from 0), began_s and ended_s since the first trial began,
    without the time in which the study did not run.
    """
    known = trials.assign(began_at=began(trials)).dropna(subset=["began_at", "ended_at"]).sort_values("began_at")
    started = known["began_at"].to_numpy(dtype=np.float64)
    ended = known["ended_at"].to_numpy(dtype=np.float64)
    free_at: list[float] = []
    taken = []
    for start, end in zip(started, ended, strict=True):
        # Trials on one slot follow one another closely: half a second of overlap is the clocks', not another slot.
        slot = next((slot for slot, free in enumerate(free_at) if free <= start + 0.5), len(free_at))
        free_at[slot : slot + 1] = [end]
        taken.append(slot)
    table = known[["trial_id", "framework", "phase", "outcome"]].reset_index(drop=True)
    reading = running_clock(trials)
    return table.assign(slot=np.array(taken, dtype=np.int64), began_s=reading(started), ended_s=reading(ended))
