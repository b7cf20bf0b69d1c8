"""What trainings tell besides their results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable


class Notices:
    """Tells each kind of notice once a trial: a full disk is one of every evaluation.

    Parameters
    ----------
    say
        Told a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: set[tuple[str, str]] = set()

    def tell(self, trial: str, notices: Iterable[str]) -> None:
        """Tell those of a trial whose kind (what comes before the first number) is new."""
        kinds_before = set(self._told)
        for notice in notices:
            kind = trial, re.split(r"\d", notice)[0]
            if kind not in kinds_before:
                self._say(f"{trial}: {notice}")
                self._told.add(kind)
