"""The sentence people came for."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from reports.statistics import Estimate, median, ratio_of_medians
from reports.tables import confirmation_runs, frameworks, title

_CLOCKS = (("warm", "warm_tta_s"), ("cold", "cold_tta_s"))


def verdict(trials: pd.DataFrame) -> str:
    """What the confirmation runs show, in a sentence or two per framework or pair.

    Claims rest on the confirmation runs alone: the search's own best figure is biased low.
    """
    if trials.empty:
        return "No trial has finished yet."
    confirmed = confirmation_runs(trials)
    names = frameworks(trials)
    comparable = [name for name in names if _all_reached(confirmed, name)]
    sentences = [_pair(confirmed, first, second) for first, second in combinations(comparable, 2)]
    if not sentences:
        sentences = [_alone(trials, confirmed, name) for name in names]
        if len(names) == 1:
            sentences.append("No other framework ran, so there is nothing to compare it with.")
    else:
        sentences += [_alone(trials, confirmed, name) for name in names if name not in comparable]
    return " ".join(sentences)


def goal(trials: pd.DataFrame) -> str:
    """Target and workload in words."""
    first = trials.iloc[0]
    return f"{100 * first['target']:.4g} % validation accuracy on {first['workload']}"


def _all_reached(confirmed: pd.DataFrame, name: str) -> bool:
    reached = confirmed.loc[confirmed["framework"] == name, "reached"].astype(bool)
    return len(reached) > 0 and bool(reached.all())


def _pair(confirmed: pd.DataFrame, base: str, other: str) -> str:
    both = [confirmed[confirmed["framework"] == name].set_index("number") for name in (base, other)]
    joined = both[0].join(both[1], how="inner", lsuffix="_base", rsuffix="_other")
    parts = []
    for clock, column in _CLOCKS:
        pairs = joined[[f"{column}_other", f"{column}_base"]].dropna().to_numpy(dtype=np.float64)
        if len(pairs):
            parts.append(f"{clock}, {_ratio(ratio_of_medians(pairs[:, 0], pairs[:, 1]), base)}")
    counts = f"{len(both[1])} of {len(both[1])} and {len(both[0])} of {len(both[0])} runs reached it"
    return f"{title(other)} against {title(base)}, to {goal(confirmed)}: {'; '.join(parts)} ({counts})."


def _ratio(estimate: Estimate, base: str) -> str:
    times = f"{estimate.value:.2f}x {title(base)}'s time"
    if not estimate.has_interval:
        return f"{times}, from too few runs for an interval"
    interval = f"{times} [{estimate.low:.2f}, {estimate.high:.2f}]"
    return f"no difference shown ({interval})" if estimate.low <= 1.0 <= estimate.high else interval


def _alone(trials: pd.DataFrame, confirmed: pd.DataFrame, name: str) -> str:
    runs = confirmed[confirmed["framework"] == name]
    searched = trials[(trials["framework"] == name) & (trials["phase"] == "search")]
    hits = runs[runs["reached"].astype(bool)]
    if runs.empty:
        found = int(searched["reached"].astype(bool).sum())
        if not found:
            return f"{title(name)} never reached {goal(trials)} in {len(searched)} trials."
        return f"{title(name)} reached {goal(trials)} in {found} of {len(searched)} trials; nothing was confirmed."
    if hits.empty:
        return f"{title(name)} reached {goal(trials)} in its search, but in none of {len(runs)} confirmation runs."
    times = [f"{_seconds(median(hits[column].dropna().to_numpy(float)))} {clock}" for clock, column in _CLOCKS]
    among = "" if len(hits) == len(runs) else " where it did"
    counts = f"({len(hits)} of {len(runs)} runs reached it)"
    return f"{title(name)} reaches {goal(trials)} in {' and '.join(times)}{among} {counts}."


def _seconds(estimate: Estimate) -> str:
    if np.isnan(estimate.value):
        return "an unknown time"
    interval = f" [{estimate.low:.2f}, {estimate.high:.2f}]" if estimate.has_interval else ""
    return f"{estimate.value:.2f} s{interval}"
