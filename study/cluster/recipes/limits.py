"""Time limits, as Slurm writes them: minutes, minutes:seconds, hours:minutes:seconds, days-hours:minutes:seconds."""

from __future__ import annotations

import re

from trainables.common.errors import UserError

_FORM = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", re.ASCII)
_DAY_S, _HOUR_S, _MINUTE_S = 86_400, 3_600, 60


def seconds(text: str, *, least_s: int) -> int:
    """A time limit in seconds.

    Raises
    ------
    UserError
        When it is none, or shorter than ``least_s``.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        raise UserError(f"--time {text}: write minutes or [days-]hours:minutes:seconds, as in --time 12:00:00")
    days, *rest = form.groups()
    parts = [int(part) for part in rest if part is not None]
    units = (_HOUR_S, _MINUTE_S, 1) if days is not None or len(parts) == 3 else (_MINUTE_S, 1)
    total = int(days or 0) * _DAY_S + sum(part * unit for part, unit in zip(parts, units, strict=False))
    if total < least_s:
        raise UserError(f"--time {text} is {total} s; give a study {least_s // _MINUTE_S} minutes at least")
    return total


def spelled(limit_s: int) -> str:
    """Seconds as days-hours:minutes:seconds."""
    days, rest = divmod(limit_s, _DAY_S)
    hours, rest = divmod(rest, _HOUR_S)
    return f"{days}-{hours:02}:{rest // _MINUTE_S:02}:{rest % _MINUTE_S:02}"
