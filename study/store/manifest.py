"""The plan that a study was started with, kept in its journal: what may change later, and what must not.

Trials of two plans in one search would be compared with each other. So a plan that no longer matches is refused, by
the names of what differs; more trials, more confirmation runs or another number of slots are no such difference.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from typing import Any

from optuna import get_all_study_summaries

from study.plan.files import apply, as_toml, thaw
from study.plan.plan import Plan, parse
from study.store.folder import StudyFolder
from study.store.journal import PLAN, JournalDamaged, Search, open_storage
from study.store.lock import is_running
from study.store.log import read_log, set_aside
from trainables.common.errors import UserError
from trainables.common.files import write_text

MAY_CHANGE = ("search.trials", "search.max_failures", "confirm.runs", "slice.max_concurrent", "sweep.repeats")


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
        Naming the keys that cannot change, or a number of trials below what there is.
    """
    values = tomllib.loads(as_toml(plan))
    for setting in settings:
        apply(values, setting)
    wanted = parse(values, "--set")
    _refuse(differences(plan, wanted), f"{folder.path} has begun with")
    rows = read_log(folder.log).trials.values()
    searched = Counter(row["framework"] for row in rows if row["phase"] == "search")
    confirmed = [row["number"] + 1 for row in rows if row["phase"] == "confirm"]
    for key, before, number, done in (
        ("search.trials", plan.search.trials, wanted.search.trials, max(searched.values(), default=0)),
        ("confirm.runs", plan.confirm.runs, wanted.confirm.runs, max(confirmed, default=0)),
    ):
        if number < min(before, done):
            raise UserError(f"{key} is {number}, but {folder.path} has {done} already; give {done} or more")
    return wanted


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
            _refuse(differences(before, plan), f"{folder.path} has begun with")
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


def _refuse(found: Mapping[str, tuple[Any, Any]], where: str) -> None:
    fixed = {key: values for key, values in found.items() if key not in MAY_CHANGE}
    if fixed:
        told = ", ".join(f"{key} = {then!r} (now {now!r})" for key, (then, now) in fixed.items())
        raise UserError(f"{where} {told}; put that back, or launch another study. May change: {', '.join(MAY_CHANGE)}")


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found
