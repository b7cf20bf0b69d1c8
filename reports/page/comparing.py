"""One page over several studies: workloads, machines, versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from reports.errors import ReportError
from reports.figures.drawing import by_framework, canvas, colour, drawn
from reports.names import study_name, title
from reports.page.content import Column, Picture, Section, Table
from reports.page.report import Page, write_page
from reports.page.sides import compare_sides, differences_section
from reports.records import StudyRecords, read_records
from reports.sentences import Row, Sentence, plain, rows
from reports.tables.across import comparison, differences, geometric_means, performance_profile
from reports.tables.cost import Price
from reports.tables.sides import one_framework_each
from reports.tables.statistics import FEWEST

if TYPE_CHECKING:
    from matplotlib.figure import Figure


BY_FRAMEWORK, BY_STUDY = "framework", "study"


def write_comparison(folders: Sequence[str | Path], into: str | Path, by: str = "") -> str:
    """Write a page over several studies, with the same kinds of files as a report.

    Parameters
    ----------
    folders
        The studies'.
    by
        `BY_FRAMEWORK`: each study compares its frameworks, and the page goes over the studies. `BY_STUDY`: each study
        is a side, and the page compares these. Empty: by study where each has one framework and all the same target.

    Returns
    -------
    The verdict over all of them.

    Raises
    ------
    reports.errors.ReportError
        When fewer than two folders are given, one has no records, or sides have no common target.
    """
    page = build_comparison(read_studies(folders), by)
    write_page(page, Path(into))
    return " ".join(map(plain, page.verdict))


def read_studies(folders: Sequence[str | Path]) -> dict[str, StudyRecords]:
    """Records of the studies by the name that they get on the page; parameters and errors of `write_comparison`."""
    if len(folders) < 2:
        raise ReportError("compare needs the folders of at least two studies")
    return {name: read_records(folder) for name, folder in _named(folders).items()}


def build_comparison(studies: dict[str, StudyRecords], by: str = "") -> Page:
    """Everything that the page says, from the records alone; ``by`` as `write_comparison` has it."""
    as_sides = by == BY_STUDY or (not by and one_framework_each(studies))
    return compare_sides(studies) if as_sides else compare(studies)


def compare(studies: dict[str, StudyRecords]) -> Page:
    """Everything that the page says.

    Parameters
    ----------
    studies
        Records by the name they get on the page.
    """
    table, profile = comparison(studies), performance_profile(studies)
    means, differ = geometric_means(table), differences(studies)
    columns: tuple[Column, ...] = (
        Column("study", "study", "text"),
        Column("workload", "workload", "text"),
        Column("target", "target", "percent"),
        Column("framework", "framework", "title"),
        Column("against", "against", "title"),
        Column("warm", "ratio of warm times", "times", interval=True),
        Column("cold", "ratio of cold times", "times", interval=True),
        Column("scope", "scope", "text"),
        Column("reached", "its runs that reached the target", "count", of="runs"),
        Column("reached_against", "the other's", "count", of="runs_against"),
    )
    if table["left_out"].any():
        columns += (Column("left_out", "why there is no ratio", "text"),)
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
    return Page(
        heading=f"{len(studies)} studies compared",
        verdict=tuple(_overall(row) for row in rows("geometric_means", means))
        + tuple(_left_out(rows("comparison", table)))
        or (("No two frameworks reached the target in the same study, so there is nothing to average.",),),
        left_out=(),
        rules=(),
        forests=(),
        sections=(
            Section(
                "comparison",
                "Study by study",
                note="Each ratio is between the confirmation runs of the two best configurations, with its 95 % "
                "interval: of scope framework it covers the luck of the searches, of scope configuration (a study "
                "without a race) that of the seeds alone. One that holds 1 is inconclusive. The mean's interval is "
                "Student's, over studies, from five on; of studies that differ in their seed alone it is one over "
                "independent searches.",
                tables=(compared,),
                pictures=tuple(pictures),
            ),
            differences_section(differ),
        ),
        price=Price(),
        tables=(Table("geometric_means", means), Table("performance_profile", profile)),
    )


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
    for name, curve in by_framework(mine):
        factors, shares = [*curve["factor"], end], [*curve["share"], curve["share"].iloc[-1]]
        axes.step(factors, shares, where="post", color=colour(name), label=title(name), linewidth=2)
    axes.set_xlim(1, end)
    axes.set_ylim(-0.02, 1.04)
    axes.set_xlabel("factor of the faster one's time")
    axes.set_ylabel("share of studies")
    return figure


def _overall(row: Row) -> Sentence:
    name, against = title(row["framework"]), title(row["against"])
    over, end = row.say("studies", "count"), " study" if row["studies"] == 1 else " studies"
    ratio = row.interval("ratio", "times")
    return (
        f"{row['clock'].capitalize()}: {name} needs ",
        *ratio,
        f" of {against}'s time",
        _word(row),
        " (geometric mean over ",
        over,
        f"{end}",
        "" if row.has("ratio_low") else f", too few for an interval, which needs {FEWEST}",
        ").",
    )


def _word(row: Row) -> str:
    if not row.has("ratio_low"):
        return ""
    if row["ratio_low"] <= 1.0 <= row["ratio_high"]:
        return ": inconclusive"
    return ": faster" if row["ratio_high"] < 1.0 else ": slower"


def _left_out(compared: list[Row]) -> list[Sentence]:
    missing = [row for row in compared if row["left_out"]]
    if not missing:
        return []
    told = tuple(
        part for row in missing for part in ("; ", row.say("study", "text"), ": ", row.say("left_out", "text"))
    )
    return [
        (
            f"Left out, {len(missing)} of {len(compared)}: ",
            *told[1:],
            ".",
        )
    ]


def _named(folders: Sequence[str | Path]) -> dict[str, Path]:
    """Folders by name; by as much more of their path as it takes where names repeat."""
    paths = [Path(folder).absolute() for folder in folders]
    if len({path.resolve() for path in paths}) < len(paths):
        raise ReportError("compare was given the same folder twice")
    return {_shortest(path, paths): path for path in paths}


def _shortest(path: Path, paths: list[Path]) -> str:
    """The end of a path that no other of these paths has."""
    length = next(
        n for n in range(1, len(path.parts) + 1) if [each.parts[-n:] for each in paths].count(path.parts[-n:]) == 1
    )
    return study_name("/".join(path.parts[-length:]).replace("//", "/"))
