"""Tables over several studies: DataFrame out, one function per table."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from reports.names import title
from reports.records import StudyRecords
from reports.tables.claims import CONFIGURATION, FRAMEWORK, claims
from reports.tables.machines import compared_apart
from reports.tables.provenance import changes, flat
from reports.tables.statistics import geometric_mean
from reports.tables.survival import CLOCKS
from reports.tables.trials import confirmation_runs, frameworks, typical_times

# Of provenance: when, and what is said elsewhere.
_NOT_COMPARED = {"at", "resumed", "did_not_run", "verified_by", "place", "nodes", "nodes_left_out", "plan"}


def comparison(studies: dict[str, StudyRecords]) -> pd.DataFrame:
    """A row per study and pair of frameworks that it searched for; sweeps have none.

    Returns
    -------
    Columns: study, workload, target, framework, against; warm and cold, the ratios of `reports.tables.claims.claims`
    with _low and _high; scope of these (`framework` where the study has a race, else `configuration`);
    reached, runs, reached_against, runs_against; left_out, why there is no ratio.
    """
    table = []
    for name, records in studies.items():
        trials = records.trials[records.trials["phase"] != "sweep"]
        compared, counts = claims(trials), _confirmed(trials)
        scope = FRAMEWORK if FRAMEWORK in set(compared["scope"]) else CONFIGURATION
        for against, framework in combinations(frameworks(trials), 2):
            row: dict[str, Any] = {"study": name, "workload": trials["workload"].iloc[0]}
            row |= {"target": trials["target"].iloc[0], "framework": framework, "against": against}
            for clock in CLOCKS:
                wanted = [framework, against, clock, scope]
                mine = compared[(compared[["framework", "against", "clock", "scope"]] == wanted).all(axis=1)]
                for end in ("", "_low", "_high"):
                    row[clock + end] = mine[f"ratio{end}"].iloc[0] if len(mine) else np.nan
            row["scope"] = scope
            row |= dict(zip(("reached", "runs"), counts[framework], strict=True))
            row |= dict(zip(("reached_against", "runs_against"), counts[against], strict=True))
            row["left_out"] = (
                ""
                if np.isfinite(row["warm"])
                else _why_not(trials, {each: counts[each] for each in (framework, against)})
            )
            table.append(row)
    ratios = [clock + end for clock in CLOCKS for end in ("", "_low", "_high")]
    columns = ["study", "workload", "target", "framework", "against", *ratios]
    columns += ["scope", "reached", "runs", "reached_against", "runs_against", "left_out"]
    return pd.DataFrame(table, columns=columns)


def _confirmed(trials: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Confirmation runs that reached the target, and all of them, by framework."""
    runs = confirmation_runs(trials)
    by_name = {name: runs.loc[runs["framework"] == name, "reached"] for name in frameworks(trials)}
    return {name: (int(reached.sum()), len(reached)) for name, reached in by_name.items()}


def _why_not(trials: pd.DataFrame, counts: dict[str, tuple[int, int]]) -> str:
    missed = [
        f"{title(name)} never reached the target{f' in {runs} confirmation runs' * (runs > 0)}"
        if not reached
        else f"{title(name)} reached the target in {reached} of {runs} confirmation runs, no more than half"
        for name, (reached, runs) in counts.items()
        if not reached or 2 * reached <= runs
    ]
    apart = compared_apart(trials[trials["framework"].isin(counts)])
    return "; ".join(missed) or ("no seed was run by both" + " on the same machine" * bool(len(apart)))


def geometric_means(table: pd.DataFrame) -> pd.DataFrame:
    """Geometric mean over the studies of each pair's ratio.

    Parameters
    ----------
    table
        `comparison`.

    Returns
    -------
    Columns: framework, against, clock, ratio with _low and _high (Student's t on the logarithms, over studies, from
    five on), studies. Over studies that differ in their seed alone it is an interval over independent searches
    [AlgoPerf].
    """
    means = []
    for (framework, against), pair in table.groupby(["framework", "against"], sort=False):
        for clock in CLOCKS:
            ratios = pair[clock].dropna().to_numpy(dtype=np.float64)
            if len(ratios):
                mean = geometric_mean(ratios)
                means.append((framework, against, clock, mean.value, mean.low, mean.high, len(ratios)))
    columns = ["framework", "against", "clock", "ratio", "ratio_low", "ratio_high", "studies"]
    return pd.DataFrame(means, columns=columns)


def performance_profile(studies: dict[str, StudyRecords]) -> pd.DataFrame:
    """Dolan and More's profile: in what share of studies a framework is within a factor of the fastest.

    A study's times are medians over all its confirmation runs (`reports.tables.trials.typical_times`). A framework that
    was part of a study and missed its target in half of them is within no factor. A study whose frameworks ran on
    different machines is left out.

    Returns
    -------
    Columns: framework, clock, factor, share; a step curve per framework and clock, over the studies that compared two
    frameworks or more.
    """
    table = []
    for clock in CLOCKS:
        times: dict[str, dict[str, float]] = {}
        for name, records in studies.items():
            took = typical_times(records.trials, clock)
            if len(took) > 1 and compared_apart(records.trials).empty and np.isfinite(list(took.values())).any():
                times[name] = took
        for framework in sorted({each for took in times.values() for each in took}):
            ran = [took for took in times.values() if framework in took]
            factors = np.array([took[framework] / np.nanmin(list(took.values())) for took in ran])
            steps = [(factor, float((factors <= factor).mean())) for factor in np.unique(factors[~np.isnan(factors)])]
            start = [] if steps and steps[0][0] == 1.0 else [(1.0, 0.0)]
            table += [(framework, clock, factor, share) for factor, share in (*start, *steps)]
    return pd.DataFrame(table, columns=["framework", "clock", "factor", "share"])


def differences(studies: dict[str, StudyRecords]) -> pd.DataFrame:
    """What is not the same in all studies: hardware, versions, data, plan.

    Returns
    -------
    Columns: what, and one per study.
    """
    known = {name: {**_facts(records.provenance), **flat("plan", records.plan)} for name, records in studies.items()}
    keys = dict.fromkeys(key for facts in known.values() for key in facts)
    table = []
    for key in keys:
        values = [facts.get(key, "") for facts in known.values()]
        if len(set(values)) > 1:
            table.append([key, *values])
    return pd.DataFrame(table, columns=["what", *known])


def _facts(provenance: dict[str, Any]) -> dict[str, str]:
    told = flat("", {key: value for key, value in provenance.items() if key not in _NOT_COMPARED})
    for what, then in changes(provenance).groupby("what")["resumed"]:
        told[str(what)] += "".join(f", then {each}" for each in then)
    return told
