"""One page over several studies: workloads, machines, versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reports.content import Column, Picture, Section, Table
from reports.cost import Price
from reports.drawing import canvas, colour, drawn
from reports.errors import ReportError
from reports.names import title
from reports.page import Page, write_page
from reports.records import StudyRecords, read_records
from reports.sentences import Row, Sentence, plain, rows
from reports.statistics import geometric_mean
from reports.survival import CLOCKS
from reports.tables import best_configurations
from reports.verdict import verdicts

_NOT_COMPARED = {"at", "resumed", "did_not_run", "verified_by"}  # of provenance: when, and what is said elsewhere


def write_comparison(folders: Sequence[str | Path], into: str | Path) -> str:
    """Write a page over several studies, with the same kinds of files as a report.

    Returns
    -------
    The verdict over all of them.

    Raises
    ------
    reports.errors.ReportError
        When fewer than two folders are given, or one has no records.
    """
    if len(folders) < 2:
        raise ReportError("compare needs the folders of at least two studies")
    page = compare({name: read_records(folder) for name, folder in _named(folders).items()})
    write_page(page, Path(into))
    return " ".join(map(plain, page.verdict))


def compare(studies: dict[str, StudyRecords]) -> Page:
    """Everything that the page says.

    Parameters
    ----------
    studies
        Records by the name they get on the page.
    """
    table, profile = comparison(studies), performance_profile(studies)
    means, differ = geometric_means(table), differences(studies)
    columns = (
        Column("study", "study", "text"),
        Column("workload", "workload", "text"),
        Column("target", "target", "percent"),
        Column("framework", "framework", "title"),
        Column("against", "against", "title"),
        Column("warm", "warm", "times", interval=True),
        Column("cold", "cold", "times", interval=True),
        Column("reached", "runs that reached it", "count", of="runs"),
        Column("reached_against", "against", "count", of="runs_against"),
    )
    pictures = [
        Picture(
            f"performance_profile_{clock}",
            f"Share of studies in which a framework takes at most so many times the faster one's time, {clock} clock. "
            "Higher is better.",
            profile_figure(profile, clock),
            "performance_profile",
        )
        for clock in profile["clock"].unique()
    ]
    compared = Table("comparison", table, columns, "the studies' verdicts", when_empty="Nothing to compare.")
    shown = tuple(Column(str(name), str(name), "text") for name in differ.columns)
    return Page(
        heading=f"{len(studies)} studies compared",
        verdict=tuple(_overall(row) for row in rows("geometric_means", means))
        or (("No two frameworks reached the target in the same study, so there is nothing to average.",),),
        left_out=(),
        sections=(
            Section(
                "comparison",
                "Study by study",
                note="Each ratio is between the confirmation runs of the two best configurations, with its 95 % "
                "interval; an interval that holds 1 shows no difference.",
                tables=(compared,),
                pictures=tuple(pictures),
            ),
            Section(
                "differences",
                "What differs between the studies",
                note="A difference between studies can come from any of these.",
                tables=(
                    Table(
                        "differences",
                        differ,
                        shown,
                        "provenance.json and plan.toml of the studies",
                        when_empty="Nothing: same hardware, versions and plan.",
                    ),
                ),
            ),
        ),
        price=Price(),
        tables=(Table("geometric_means", means), Table("performance_profile", profile)),
    )


def comparison(studies: dict[str, StudyRecords]) -> pd.DataFrame:
    """A row per study and pair of frameworks.

    Returns
    -------
    Columns: study, workload, target, framework, against; warm and cold, the ratios of `reports.verdict.verdicts` with
    _low and _high; reached, runs, reached_against, runs_against.
    """
    table = []
    for name, records in studies.items():
        for (framework, against), clocks in verdicts(records.trials).groupby(["framework", "against"], sort=False):
            first = clocks.iloc[0]
            row: dict[str, Any] = {"study": name, "workload": records.trials["workload"].iloc[0]}
            row |= {"target": records.trials["target"].iloc[0], "framework": framework, "against": against}
            for clock in CLOCKS:
                mine = clocks[clocks["clock"] == clock]
                for end in ("", "_low", "_high"):
                    row[clock + end] = mine[f"ratio{end}"].iloc[0] if len(mine) else np.nan
            table.append(row | {key: first[key] for key in ("reached", "runs", "reached_against", "runs_against")})
    ratios = [clock + end for clock in CLOCKS for end in ("", "_low", "_high")]
    columns = ["study", "workload", "target", "framework", "against", *ratios]
    return pd.DataFrame(table, columns=[*columns, "reached", "runs", "reached_against", "runs_against"])


def geometric_means(table: pd.DataFrame) -> pd.DataFrame:
    """Geometric mean over the studies of each pair's ratio.

    Parameters
    ----------
    table
        `comparison`.

    Returns
    -------
    Columns: framework, against, clock, ratio with _low and _high (bootstrap over studies, from three on), studies.
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

    A framework that was part of a study and never reached its target is within no factor.

    Returns
    -------
    Columns: framework, clock, factor, share; a step curve per framework and clock, over the studies that compared two
    frameworks or more.
    """
    table = []
    for clock in CLOCKS:
        times: dict[str, dict[str, float]] = {}
        for name, records in studies.items():
            best = best_configurations(records.trials)
            found = dict(zip(best["framework"], best[f"{clock}_s"], strict=True)) if len(best) else {}
            took = {each: float(found.get(each, np.nan)) for each in records.trials["framework"].unique()}
            if len(took) > 1 and np.isfinite(list(took.values())).any():
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
    known = {name: {**_facts(records.provenance), **_flat("plan", records.plan)} for name, records in studies.items()}
    keys = dict.fromkeys(key for facts in known.values() for key in facts)
    table = []
    for key in keys:
        values = [facts.get(key, "") for facts in known.values()]
        if len(set(values)) > 1:
            table.append([key, *values])
    return pd.DataFrame(table, columns=["what", *known])


@drawn
def profile_figure(profile: pd.DataFrame, clock: str) -> Figure:
    """The performance profile on one clock.

    Parameters
    ----------
    profile
        `performance_profile`.
    """
    figure, axes = canvas()
    mine = profile[profile["clock"] == clock]
    end = max(1.5, float(mine["factor"].max()) * 1.15)
    for name, curve in mine.groupby("framework", sort=False):
        factors, shares = [*curve["factor"], end], [*curve["share"], curve["share"].iloc[-1]]
        axes.step(factors, shares, where="post", color=colour(str(name)), label=title(str(name)), linewidth=2)
    axes.set_xlim(1, end)
    axes.set_ylim(-0.02, 1.04)
    axes.set_xlabel("factor of the faster one's time")
    axes.set_ylabel("share of studies")
    return figure


def _overall(row: Row) -> Sentence:
    doubt = ""
    if row.has("ratio_low") and row["ratio_low"] <= 1.0 <= row["ratio_high"]:
        doubt = ": no difference shown"
    name, against = title(row["framework"]), title(row["against"])
    ratio = row.interval("ratio", "times")
    over = row.say("studies", "count")
    end = " study)." if row["studies"] == 1 else " studies)."
    return (f"{name} takes ", *ratio, f" {against}'s {row['clock']} time{doubt} (geometric mean over ", over, end)


def _facts(provenance: dict[str, Any]) -> dict[str, str]:
    return _flat("", {key: value for key, value in provenance.items() if key not in _NOT_COMPARED})


def _flat(prefix: str, values: dict[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}.{key}" if prefix else key
        flat |= _flat(name, value) if isinstance(value, dict) else {name: str(value)}
    return flat


def _named(folders: Sequence[str | Path]) -> dict[str, Path]:
    """Folders by name; by more of their path where names repeat."""
    paths = [Path(folder).absolute() for folder in folders]
    if len(set(paths)) < len(paths):
        raise ReportError("compare was given the same folder twice")
    names = [path.name for path in paths]
    return {path.name if names.count(path.name) == 1 else "/".join(path.parts[-2:]): path for path in paths}
