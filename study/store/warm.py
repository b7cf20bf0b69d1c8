"""A search that begins with the best of another study: of the same framework where it has any, of any workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reports.winners import finalists, winners
from search_spaces import Value
from study.plan.completing import SEARCHED
from study.plan.first import fit
from study.plan.plan import Plan
from study.plan.points import point_of
from study.store.folder import find
from study.store.others import records_of
from trainables.common.errors import UserError
from trainables.contract import Record
from trainables.frameworks import framework

MOST = 3  # configurations that are taken over, of each framework: more would leave a search of 30 little to find


def warm_started(plan: Plan, path: Path) -> tuple[Plan, list[str]]:
    """The plan, each framework's search of which first tries the best configurations that a study found.

    They are written into the plan, which needs the study no more.

    Parameters
    ----------
    path
        The study's folder.

    Returns
    -------
    It, and what to tell of each framework, in a line.

    Raises
    ------
    UserError
        When there is no such study, nothing in it reached its target, or nothing fits.
    """
    study = find(path)
    rows, given = list(records_of(study).trials.values()), f"--warm-start {path}"
    if any(row["phase"] == "sweep" for row in rows):
        raise UserError(f"{given}: it is a sweep, which searched nothing; give a study that did")
    best = best_of(rows)
    if not best:
        raise UserError(f"{given}: no trial of its search reached the target, so there is nothing to begin with")
    searched = {name for space in plan.space.values() for name, each in space.items() if not each.single}
    known = {name for rows in best.values() for row in rows for name in point_of(row)}
    if not searched & known:
        names = ", ".join(sorted(searched)) or "nothing"
        raise UserError(f"{given}: it shares no hyperparameter with this plan, which searches {names}")
    points: dict[str, tuple[dict[str, Value], ...]] = {}
    told = []
    for name in plan.frameworks:
        whose = name if name in best else next(iter(best))
        points[name], notes = _fitting(plan, name, best[whose])
        workload = best[whose][0]["workload"]
        said = f"{framework(name).title} begins with {_counted(len(points[name]), whose)} from {path} ({workload})"
        told.append("; ".join([said, *notes]))
    if not any(points.values()):
        raise UserError(f"{given}: none of its configurations fits this plan: {'; '.join(told)}")
    search = plan.search.model_copy(update={"warm_start": points, "warm_start_from": str(path)})
    return plan.model_copy(update={"search": search}), told


def best_of(rows: Sequence[Record]) -> dict[str, list[Record]]:
    """The best trials of each framework's search, different configurations, what won the race first."""
    won, found = winners(rows), finalists(rows, len(rows))
    return {
        name: [won[name], *(row for row in each if row["number"] != won[name]["number"])][:MOST]
        for name, each in found.items()
    }


def _fitting(plan: Plan, name: str, rows: Sequence[Record]) -> tuple[tuple[dict[str, Value], ...], list[str]]:
    """Configurations in a framework's search space, no two alike, and what to tell of them."""
    points: list[dict[str, Value]] = []
    notes: dict[str, None] = {}
    for row in rows:
        known = point_of(row)
        found = fit(plan, name, known)
        if isinstance(found, str):
            notes[f"one is left out: {found}"] = None
            continue
        notes |= dict.fromkeys((*found.changes, *_fixed_otherwise(plan, name, known)))
        if found.point not in points:
            points.append(found.point)
    return tuple(points), list(notes)


def _fixed_otherwise(plan: Plan, name: str, point: Mapping[str, Any]) -> list[str]:
    """What the plan fixes at another value than a configuration has."""
    fixed = {each: getattr(plan.training, each) for each in SEARCHED if each not in plan.space[name]}
    return [f"{each} {point[each]} -> {value}" for each, value in fixed.items() if point.get(each, value) != value]


def _counted(count: int, whose: str) -> str:
    return f"{count} configuration{'s' * (count != 1)} of {framework(whose).title}"
