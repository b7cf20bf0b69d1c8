"""The plan that a study was started with, kept in its journal: what may change later, and what must not.

Trials of two plans in one search would be compared with each other. So a plan that no longer matches is refused, by
the names of what differs; more trials, more confirmation runs or another number of slots are no such difference.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from optuna import get_all_study_summaries

from study.plan.budget import budget_of
from study.plan.files import apply, as_toml, thaw
from study.plan.plan import Plan, parse
from study.store.folder import StudyFolder
from study.store.journal import PLAN, JournalDamaged, Search, open_storage
from study.store.lock import is_running
from study.store.log import set_aside
from trainables.common.errors import UserError
from trainables.common.files import write_text

MAY_GROW = (
    "search.trials",
    "search.budget",
    "search.pays_after",
    "race.configurations",
    "race.runs",
    "confirm.runs",
    "sweep.repeats",
)
_NO_LIMIT = ("search.budget", "search.pays_after")  # where they say nothing
MAY_CHANGE = (*MAY_GROW, "search.max_failures", "slice.max_concurrent")


def differences(before: Plan, now: Plan) -> dict[str, tuple[Any, Any]]:
    """Keys of a plan, dotted, in which two differ, with both values."""
    then, today = _flat(before.model_dump(mode="json")), _flat(now.model_dump(mode="json"))
    keys = sorted({*then, *today})
    return {key: (then.get(key), today.get(key)) for key in keys if then.get(key) != today.get(key)}


def changed(plan: Plan, folder: StudyFolder, settings: list[str]) -> Plan:
    """A study's plan with changes that its trials allow.

    Parameters
    ----------
    settings
        ``key=value``, as for a launch.

    Raises
    ------
    UserError
        Naming the keys that cannot change, or a number of trials below what was planned.
    """
    values = tomllib.loads(as_toml(plan))
    for setting in settings:
        apply(values, setting)
    wanted = parse(values, "--set")
    _refuse(differences(plan, wanted), folder)
    return wanted


def refuse_edited(plan: Plan, folder: StudyFolder) -> None:
    """Refuse a plan that is not the one that the study was started with, whether it is finished or not.

    Raises
    ------
    UserError
        Naming what differs.
    """
    if is_running(folder) or not folder.journal.exists() or (kept := _kept_plan(folder)) is None:
        return
    _refuse(differences(parse(tomllib.loads(kept), f"the plan in {folder.journal}"), plan), folder)


def check_manifest(plan: Plan, folder: StudyFolder, searches: Mapping[str, Search]) -> None:
    """Make sure that the plan is the one that the searches were started with, and keep it where they have none.

    Raises
    ------
    UserError
        Naming what differs.
    """
    text = as_toml(plan)
    for search in searches.values():
        kept = search.study.user_attrs.get(PLAN)
        if kept is not None and kept != text:
            before = parse(tomllib.loads(kept), f"the plan in {folder.journal}")
            _refuse(differences(before, plan), folder)
        if kept != text:
            search.study.set_user_attr(PLAN, text)


def plan_of(folder: StudyFolder) -> tuple[Plan, str | None]:
    """A study's plan; from its journal where plan.toml is damaged or gone.

    Returns
    -------
    The plan, and what to tell the user, or None.

    Raises
    ------
    UserError
        When neither has it.
    """
    try:
        return thaw(folder.plan), None
    except UserError as problem:
        if not folder.journal.exists() or is_running(folder):
            raise
        text = _kept_plan(folder)
        if text is None:
            raise
        plan = parse(tomllib.loads(text), f"the plan in {folder.journal}")
        aside = f"; the damaged file is {set_aside(folder.plan).name}" if folder.plan.exists() else ""
        write_text(folder.plan, text)
        return plan, f"{problem}; it is written again from the journal{aside}"


def _kept_plan(folder: StudyFolder) -> str | None:
    try:
        summaries = get_all_study_summaries(open_storage(folder, say=lambda _: None))
    except (JournalDamaged, OSError):
        return None
    return next((each.user_attrs[PLAN] for each in summaries if PLAN in each.user_attrs), None)


def _refuse(found: Mapping[str, tuple[Any, Any]], folder: StudyFolder) -> None:
    """Refuse what must not change, and fewer trials or runs than were planned: what is left out may be what was bad."""
    fixed = {key: values for key, values in found.items() if key not in MAY_CHANGE}
    if fixed:
        told = ", ".join(f"{key} = {then!r} (now {now!r})" for key, (then, now) in fixed.items())
        raise UserError(
            f"{folder.path} has begun with {told}; put that back, or launch another study. "
            f"May change: {', '.join(MAY_CHANGE)}"
        )
    for key in MAY_GROW:
        if key in found and _fewer(key, *found[key]):
            then, now = found[key]
            unlimited = key in _NO_LIMIT and not then
            planned, todo = ("no such limit", "leave it so") if unlimited else (then, f"give {then} or more")
            raise UserError(f"{key} is {now}, but {folder.path} was planned with {planned}; {todo}")


def _fewer(key: str, then: Any, now: Any) -> bool:
    """Whether a study that was planned with one value would do less with another."""
    if key == "search.budget":
        return budget_of(now).less_than(budget_of(then))
    if key == "search.pays_after":  # 0: the search does not stop before its last trial
        return bool(now) and (now < then or not then)
    return bool((now or 0) < (then or 0))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found
