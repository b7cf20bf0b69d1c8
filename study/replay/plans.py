"""The plan of a replay: the terms of what was recorded, and a search as any plan has it unless told otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from study.plan.completing import complete
from study.plan.files import apply
from study.plan.plan import Plan
from trainables.common.errors import UserError

SECTIONS = ("search", "race")


def replayed(values: dict[str, Any], settings: Iterable[str], where: str) -> Plan:
    """A complete plan.

    Parameters
    ----------
    values
        What the recording says, as in a plan's file: all that no search decides.
    settings
        ``key=value``, of the sections that decide how it is searched.
    where
        The values come from, for messages.

    Raises
    ------
    UserError
        Where a setting is of something that was recorded as it is, or wrong.
    """
    settings, plan = list(settings), complete(values, where)
    for setting in settings:
        if setting.partition(".")[0].strip() not in SECTIONS:
            raise UserError(
                f"--set {setting}: what was recorded cannot be changed; a replay takes keys of "
                f"{' and '.join(SECTIONS)}, as in --set search.scheduler=asha"
            )
        apply(values, setting)
    return complete(values, "--set") if settings else plan
