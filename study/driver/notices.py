"""What trainings tell besides their results."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from trainables.notices import take

_LOOK_EVERY_S = 1.0


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
        self._looked_at = float("-inf")

    def look(self, folders: Mapping[str, Path], *, now: float | None = None) -> None:
        """Tell what trials could not wait to tell; to be called again and again.

        Parameters
        ----------
        folders
            Of the trials that run, by their names.
        now
            ``time.monotonic()``, if not given.
        """
        now = time.monotonic() if now is None else now
        if now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        for trial, folder in folders.items():
            self.tell(trial, take(folder))

    def tell(self, trial: str, notices: Iterable[str]) -> None:
        """Tell those of a trial whose kind (what comes before the first number) is new."""
        kinds_before = set(self._told)
        for notice in notices:
            kind = trial, re.split(r"\d", notice)[0]
            if kind not in kinds_before:
                self._say(f"{trial}: {notice}")
                self._told.add(kind)
