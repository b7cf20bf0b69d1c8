"""What trainings tell besides their results."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from trainables.frameworks import framework
from trainables.notices import LOADER_WORKERS, take

_LOOK_EVERY_S = 1.0


class Notices:
    """Tells each kind of notice once a trial, since a full disk is one of every evaluation; of loader workers once.

    How many of these can run is the same for all trials of a framework, so a study hears it of the first.

    Parameters
    ----------
    say
        Told a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: set[tuple[str, str]] = set()
        self._looked_at = float("-inf")

    def look(self, trials: Iterable[tuple[str, str, Path]], *, now: float | None = None) -> None:
        """Tell what trials could not wait to tell; to be called again and again.

        Parameters
        ----------
        trials
            Names, frameworks and folders of those that run.
        now
            ``time.monotonic()``, if not given.
        """
        now = time.monotonic() if now is None else now
        if now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        for trial, name, folder in trials:
            self.tell(trial, name, take(folder))

    def tell(self, trial: str, name: str, notices: Iterable[str]) -> None:
        """Tell those of a trial, of a framework of this name, whose kind is new: what comes before the first number."""
        told_before = set(self._told)
        for notice in notices:
            kind = re.split(r"\d", notice)[0]
            of_all = kind.startswith(LOADER_WORKERS)
            once = (name if of_all else trial), kind
            if once not in told_before:
                self._say(f"{trial}: {notice}" + f" (told once for {framework(name).title})" * of_all)
                self._told.add(once)
