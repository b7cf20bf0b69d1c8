"""The study's records: a log that is only ever appended to, and two Parquet files built from it.

A line of the log is one row, written when it happens, with a checksum. A crash can tear the last line and nothing else;
a torn or damaged line is left out and told. Rows have keys, so that work that was done again replaces what it repeats.
"""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from itertools import count, takewhile
from typing import IO

from reports.schema import EVALUATIONS, TRIALS, Column
from study.store.chain import damage_line
from study.store.folder import StudyFolder
from study.store.log import drop_torn_line, format_line, line_hash, read_log, set_aside
from study.store.parquet import build_parquet
from study.store.patience import Patience
from trainables.common.files import replacing
from trainables.contract import Record

SHARE_OF_TIME = 0.02  # of the driver's time, at most, that building Parquet files may take while a study runs
SHORTEST_INTERVAL_S = 2.0


class Records:
    """All rows of a study, in memory and on disk. One writer: the driver that holds the study's lock.

    Parameters
    ----------
    say
        Told of damage, and of storage that cannot be written.
    """

    def __init__(self, folder: StudyFolder, *, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._log = read_log(folder.log)
        self._mend()
        self._file: IO[bytes] | None = None
        self._patience = Patience(say)
        self._built_at = 0.0
        self._build_took_s = 0.0

    @property
    def trials(self) -> dict[str, Record]:
        """Finished trials by id; not to be changed."""
        return self._log.trials

    @property
    def retried(self) -> Collection[str]:
        """Ids of trials that failed, or were disturbed, and are to run again."""
        return self._log.retried.keys()

    @property
    def unfinished(self) -> dict[str, float]:
        """Trials that were started and have not ended, with the time of their last start, seconds since 1970."""
        return self._log.starts

    @property
    def begun(self) -> dict[str, Record]:
        """Hyperparameters of every trial that was ever started, by id."""
        return self._log.begun

    def lost_s(self, trial_id: str) -> float:
        """Slice-seconds that a trial lost to interruptions."""
        return self._log.lost_s[trial_id]

    def evaluations_by_trial(self) -> Counter[str]:
        """How many evaluations of each trial are recorded."""
        return Counter(trial_id for trial_id, _ in self._log.evaluations)

    def evaluations_of(self, trial_id: str) -> list[Record]:
        """A trial's recorded evaluations, in order, up to the first that is missing."""
        numbers = takewhile(lambda number: (trial_id, number) in self._log.evaluations, count(1))
        return [self._log.evaluations[trial_id, number] for number in numbers]

    def add_evaluations(self, rows: Iterable[Record]) -> None:
        """Record evaluations; a row with the trial and number of an earlier one replaces it."""
        self._append("evaluation", [_known(row, EVALUATIONS) for row in rows])

    def add_trial(self, row: Record) -> None:
        """Record a finished trial; on disk when this returns, power loss or not."""
        known = _known({**row, "reruns": self._log.reruns[row["trial_id"]]}, TRIALS)
        self._append("trial", [known], durable=True)

    def add_start(self, trial_id: str, hyperparameters: Record) -> None:
        """Record that a trial was given a slice, for the first time or again."""
        self._append("start", [{"trial_id": trial_id, "at": time.time(), "hyperparameters": hyperparameters}])

    def add_loss(self, trial_id: str, lost_s: float) -> None:
        """Record slice-seconds of work that an interruption lost."""
        self._append("loss", [{"trial_id": trial_id, "lost_s": lost_s}])

    def retry(self, trial_ids: Iterable[str], *, why: str = "failed") -> None:
        """Record that trials are to run again, all or none, and why; on disk when this returns."""
        rows = [{"trial_id": name, "lost_s": self.trials[name]["slice_s"] or 0.0, "why": why} for name in trial_ids]
        self._append("retry", rows, durable=True)

    def build_if_due(self) -> None:
        """Bring the Parquet files up to date, unless that was done just now."""
        interval = max(SHORTEST_INTERVAL_S, self._build_took_s / SHARE_OF_TIME)
        if time.monotonic() - self._built_at >= interval:
            self.build()

    def build(self) -> None:
        """Bring the Parquet files up to date."""
        started = time.monotonic()
        self._patience.attempt(self._folder.trials, lambda: build_parquet(self._log, self._folder))
        self._built_at = time.monotonic()
        self._build_took_s = self._built_at - started

    def close(self) -> None:
        """Build the Parquet files and close the log."""
        self.build()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _append(self, kind: str, rows: list[Record], *, durable: bool = False) -> None:
        if not rows:
            return
        self._patience.attempt(self._folder.log, lambda: self._write(kind, rows, durable=durable))
        for row in rows:
            self._log.keep(kind, row)

    def _write(self, kind: str, rows: list[Record], *, durable: bool) -> None:
        if self._file is None:
            self._log.head = drop_torn_line(self._folder.log)
            self._file = self._folder.log.open("ab", buffering=0)
        lines, head = [], self._log.head
        for row in rows:
            lines.append(format_line(kind, row, head))
            head = line_hash(lines[-1])
        content = b"".join(lines)
        try:
            if self._file.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # the disk took a part
            if durable:
                os.fsync(self._file.fileno())
            self._log.head = head
        except OSError:
            self._file.close()
            self._file = None  # the next try opens it anew, and drops what is half-written
            raise

    def _mend(self) -> None:
        """Put a damaged log aside and go on with the lines that are whole."""
        if not self._log.damaged:
            return
        path = self._folder.log
        aside = set_aside(path)
        lines = aside.read_bytes().splitlines(keepends=True)
        bad = set(self._log.damaged)
        kept = [line for number, line in enumerate(lines, 1) if number not in bad and line.endswith(b"\n")]
        with replacing(path) as temporary:
            temporary.write_bytes(b"".join([*kept, damage_line(kept, aside.name)]))
        self._log = read_log(path)
        numbers = ", ".join(map(str, sorted(bad)[:5])) + (" and others" if len(bad) > 5 else "")
        self._say(
            f"{path} was damaged in line {numbers}; those rows are taken from the trials' checkpoints where these have "
            f"them. The damaged file is {aside.name}"
        )


def _known(row: Record, columns: tuple[Column, ...]) -> Record:
    return {column.name: row.get(column.name) for column in columns}
