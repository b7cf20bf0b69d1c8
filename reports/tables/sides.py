"""Studies side by side: each becomes what a framework is in one study, so that all tables compare them alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from reports.errors import ReportError
from reports.goals import goal_of
from reports.names import title
from reports.records import StudyRecords
from reports.tables.trials import frameworks

_MACHINE = ["host", "cpu", "gpu"]  # what may differ between sides, and is told where what differs is told
_GOAL = ["workload", "target"]


@dataclass(frozen=True)
class Side:
    """A framework in a study, and what it is called beside the others."""

    name: str
    study: str
    framework: str


def sides_of(studies: dict[str, StudyRecords]) -> list[Side]:
    """The sides, in the studies' order: the study's name, with the framework where a study has several."""
    found = []
    for study, records in studies.items():
        names = frameworks(_searched(records))
        found += [Side(study if len(names) == 1 else f"{title(name)} in {study}", study, name) for name in names]
    return found


def one_framework_each(studies: dict[str, StudyRecords]) -> bool:
    """Whether studies can only be compared with one another: each searched for one framework, all for the same goal."""
    alone = all(len(frameworks(_searched(records))) == 1 for records in studies.values())
    return alone and len(_goals(studies)) == 1


def check_goal(studies: dict[str, StudyRecords]) -> None:
    """Raise `ReportError` where studies have no trials, or did not train to one target on one workload."""
    for study, records in studies.items():
        if _searched(records).empty:
            raise ReportError(f"{study} has no trial of a search, so it is no side of a comparison")
    goals = _goals(studies)
    if len(goals) > 1:
        spelled = {name: goal_of(_searched(records)).spelled for name, records in studies.items()}
        told = "; ".join(
            f"{', '.join(names)}: {spelled[names[0]](target)} on {workload}"
            for (workload, target), names in goals.items()
        )
        raise ReportError(f"studies are compared as sides where all train to the same target; these do not ({told})")


def together(studies: dict[str, StudyRecords], sides: list[Side]) -> StudyRecords:
    """The records of all sides in one, the name of a side in the column ``framework``.

    Runs of equal seeds are pairs where all sides have such; else the first run of one and the first of the other, and
    so on, which is as right, and gains nothing from pairing. Machines are left out: they may be what is compared.
    """
    trials = pd.concat([_renamed(_searched(studies[each.study]), each) for each in sides], ignore_index=True)
    evaluations = pd.concat([_renamed(studies[each.study].evaluations, each) for each in sides], ignore_index=True)
    trials[_MACHINE] = None
    confirmed = trials[trials["phase"] == "confirm"]
    seeds = [set(runs["seed"]) for _, runs in confirmed.groupby("framework")]
    if seeds and not set.intersection(*seeds):
        trials["seed"] = trials["seed"].where(~trials["phase"].isin(["race", "confirm"]), trials["number"])
    return StudyRecords(trials, evaluations, {}, {}, {}, ", ".join(studies))


def per_study(
    studies: dict[str, StudyRecords], sides: list[Side], make: Callable[[StudyRecords], pd.DataFrame]
) -> pd.DataFrame:
    """A table that is made of each study by itself, with the sides' names for the frameworks'."""
    tables = []
    for study, records in studies.items():
        table, names = make(records), {each.framework: each.name for each in sides if each.study == study}
        tables.append(table.assign(framework=table["framework"].map(names))[table["framework"].isin(names)])
    return pd.concat(tables, ignore_index=True)


def of_one_framework(table: pd.DataFrame, sides: list[Side]) -> pd.DataFrame:
    """Of a table of pairs those of one framework, where the studies share any: what is compared is the studies."""
    framework = {each.name: each.framework for each in sides}
    alike = table["framework"].map(framework) == table["against"].map(framework)
    shared = len(set(framework.values())) < len(framework)
    return table[alike].reset_index(drop=True) if shared else table


def _searched(records: StudyRecords) -> pd.DataFrame:
    return records.trials[records.trials["phase"] != "sweep"]


def _goals(studies: dict[str, StudyRecords]) -> dict[tuple[str, float], list[str]]:
    """Names of the studies by workload and target."""
    found: dict[tuple[str, float], list[str]] = {}
    for study, records in studies.items():
        for workload, target in _searched(records)[_GOAL].drop_duplicates().itertuples(index=False, name=None):
            found.setdefault((str(workload), float(target)), []).append(study)
    return found


def _renamed(table: pd.DataFrame, side: Side) -> pd.DataFrame:
    mine = table[table["framework"] == side.framework]
    return mine.assign(framework=side.name, trial_id=f"{side.study}/" + mine["trial_id"].astype(str))
