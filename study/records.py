"""The study's records: a log that is only ever appended to, and two Parquet files built from it.

A line of the log is one row, written when it happens, with a checksum. A crash can tear the last line and nothing else;
a torn or damaged line is left out and told. Rows have keys, so that work that was done again replaces what it repeats.
"""

from __future__ import annotations

import errno
import json
import os
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from reports.schema import EVALUATIONS, TRIALS, Column, arrow_schema
from study.folder import StudyFolder
from study.patience import Patience
from trainables.contract import Record
from trainables.files import replacing

SHARE_OF_TIME = 0.02  # of the driver's time, at most, that building Parquet files may take while a study runs
SHORTEST_INTERVAL_S = 2.0
_CHECKSUM = b', "crc32": "'


@dataclass
class Log:
    """The rows of a log, by key."""

    trials: dict[str, Record] = field(default_factory=dict)  # by trial id
    evaluations: dict[tuple[str, int], Record] = field(default_factory=dict)  # by trial id and number
    starts: dict[str, float] = field(default_factory=dict)  # by id of trials that have not ended: when, since 1970
    begun: dict[str, Record] = field(default_factory=dict)  # hyperparameters of every trial that ever started, by id
    lost_s: Counter[str] = field(default_factory=Counter)  # slice-seconds by trial id
    damaged: list[int] = field(default_factory=list)  # numbers of lines that are left out, counted from 1

    def keep(self, kind: str, row: Record) -> None:
        """Take one row in."""
        if kind == "evaluation":
            self.evaluations[row["trial_id"], row["evaluation"]] = row
        elif kind == "trial":
            self.trials[row["trial_id"]] = row
            self.starts.pop(row["trial_id"], None)
        elif kind == "start":
            self.starts[row["trial_id"]] = row["at"]
            self.begun[row["trial_id"]] = row["hyperparameters"]
        elif kind == "loss":
            self.lost_s[row["trial_id"]] += row["lost_s"]
            self.starts.pop(row["trial_id"], None)


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

    def add_evaluations(self, rows: Iterable[Record]) -> None:
        """Record evaluations; a row with the trial and number of an earlier one replaces it."""
        self._append("evaluation", [_known(row, EVALUATIONS) for row in rows])

    def add_trial(self, row: Record) -> None:
        """Record a finished trial; on disk when this returns, power loss or not."""
        self._append("trial", [_known(row, TRIALS)], durable=True)

    def add_start(self, trial_id: str, hyperparameters: Record) -> None:
        """Record that a trial was given a slice, for the first time or again."""
        self._append("start", [{"trial_id": trial_id, "at": time.time(), "hyperparameters": hyperparameters}])

    def add_loss(self, trial_id: str, lost_s: float) -> None:
        """Record slice-seconds of work that an interruption lost."""
        self._append("loss", [{"trial_id": trial_id, "lost_s": lost_s}])

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
        content = b"".join(_line(kind, row) for row in rows)
        self._patience.attempt(self._folder.log, lambda: self._write(content, durable=durable))
        for row in rows:
            self._log.keep(kind, row)

    def _write(self, content: bytes, *, durable: bool) -> None:
        if self._file is None:
            drop_torn_line(self._folder.log)
            self._file = self._folder.log.open("ab", buffering=0)
        try:
            if self._file.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # the disk took a part
            if durable:
                os.fsync(self._file.fileno())
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
        with replacing(path) as temporary:
            temporary.write_bytes(b"".join(line for number, line in enumerate(lines, 1) if number not in bad))
        numbers = ", ".join(map(str, sorted(bad)[:5])) + (" and others" if len(bad) > 5 else "")
        self._say(
            f"{path} was damaged in line {numbers}; those rows are taken from the trials' checkpoints where these have "
            f"them. The damaged file is {aside.name}"
        )


def read_log(path: Path) -> Log:
    """Rows of a log; torn and damaged lines are left out, damaged ones with their numbers."""
    log = Log()
    if not path.exists():
        return log
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                continue  # torn: the crash came before it was whole
            row = parse_line(line)
            if row is None:
                log.damaged.append(number)
            else:
                log.keep(row.pop("kind"), row)
    return log


def build_parquet(log: Log, folder: StudyFolder) -> None:
    """Write both Parquet files, each in one step."""
    _write_parquet(folder.evaluations, list(log.evaluations.values()), EVALUATIONS)
    _write_parquet(folder.trials, list(log.trials.values()), TRIALS)


def refresh_parquet(folder: StudyFolder, *, say: Callable[[str], None]) -> None:
    """Build the Parquet files from the log where they are damaged or older; a running study does it by itself.

    Parameters
    ----------
    say
        Told of damage.
    """
    if not folder.log.exists():
        return
    bad = [path for path in (folder.trials, folder.evaluations) if path.exists() and not _readable(path)]
    for path in bad:
        say(f"{path} was damaged; it is built anew from {folder.log.name}")
    newest = folder.log.stat().st_mtime
    if bad or any(not path.exists() or path.stat().st_mtime < newest for path in (folder.trials, folder.evaluations)):
        build_parquet(read_log(folder.log), folder)


def set_aside(path: Path) -> Path:
    """Rename a damaged file, so that nothing is lost and another can take its place.

    Returns
    -------
    Its new path, beside the old one.
    """
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**6:06d}")
    path.rename(aside)
    return aside


def drop_torn_line(path: Path) -> None:
    """Cut a file of lines back to its last whole line."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        if path.stat().st_size:
            with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
                end = content.rfind(b"\n") + 1
            file.truncate(end)


def parse_line(line: bytes) -> dict[str, Any] | None:
    """A line's row, with its kind; None where the line is torn or damaged."""
    head, separator, tail = line.rpartition(_CHECKSUM)
    text = head + b"}"
    if not separator or tail != f"{zlib.crc32(text):08x}".encode() + b'"}\n':
        return None
    row: dict[str, Any] = json.loads(text)
    return row


def _line(kind: str, row: Record) -> bytes:
    text = json.dumps({"kind": kind, **row}).encode()
    return text[:-1] + _CHECKSUM + f"{zlib.crc32(text):08x}".encode() + b'"}\n'


def _known(row: Record, columns: tuple[Column, ...]) -> Record:
    return {column.name: row.get(column.name) for column in columns}


def _readable(path: Path) -> bool:
    try:
        pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError, ValueError):
        return False
    return True


def _write_parquet(path: Path, rows: list[Record], columns: tuple[Column, ...]) -> None:
    table = pa.Table.from_pylist(rows, schema=arrow_schema(columns))
    with replacing(path) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True)
