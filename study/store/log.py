"""The log of a study's records: one row per line, with a checksum; torn and damaged lines are known and left out."""

from __future__ import annotations

import json
import time
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from trainables.contract import Record

DISTURBED = "disturbed"  # why a trial that did not fail is run again
_CHECKSUM = b', "crc32": "'


@dataclass
class Log:
    """The rows of a log, by key."""

    trials: dict[str, Record] = field(default_factory=dict)  # by trial id
    retried: dict[str, Record] = field(default_factory=dict)  # trials that are to run again, by id
    evaluations: dict[tuple[str, int], Record] = field(default_factory=dict)  # by trial id and number
    starts: dict[str, float] = field(default_factory=dict)  # by id of trials that have not ended: when, since 1970
    begun: dict[str, Record] = field(default_factory=dict)  # hyperparameters of every trial that ever started, by id
    lost_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))  # slice-seconds by trial id
    reruns: Counter[str] = field(default_factory=Counter)  # by id of trials that a busy machine disturbed: how often
    damaged: list[int] = field(default_factory=list)  # numbers of lines that are left out, counted from 1

    def keep(self, kind: str, row: Record) -> None:
        """Take one row in."""
        if kind == "evaluation":
            self.evaluations[row["trial_id"], row["evaluation"]] = row
        elif kind == "trial":
            self.trials[row["trial_id"]] = row
            self.starts.pop(row["trial_id"], None)
            self.retried.pop(row["trial_id"], None)
        elif kind == "start":
            self.starts[row["trial_id"]] = row["at"]
            self.begun[row["trial_id"]] = row["hyperparameters"]
        elif kind == "loss":
            self.lost_s[row["trial_id"]] += row["lost_s"]
            self.starts.pop(row["trial_id"], None)
        elif kind == "retry":
            self._begin_anew(row["trial_id"], row["lost_s"])
            self.reruns[row["trial_id"]] += row.get("why") == DISTURBED

    def rows(self) -> list[Record]:
        """Of all trials that ended; of those that are to run again the former ones, which hold their cost."""
        return [*self.trials.values(), *self.retried.values()]

    def _begin_anew(self, trial_id: str, lost_s: float) -> None:
        """Take a trial as one that is still to come; all it cost is lost, and charged to it when it ends."""
        if trial_id in self.trials:
            self.retried[trial_id] = self.trials.pop(trial_id)
        self.lost_s[trial_id] = lost_s
        for key in [key for key in self.evaluations if key[0] == trial_id]:
            del self.evaluations[key]


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


def format_line(kind: str, row: Record) -> bytes:
    """A row as a line with its checksum."""
    text = json.dumps({"kind": kind, **row}).encode()
    return text[:-1] + _CHECKSUM + f"{zlib.crc32(text):08x}".encode() + b'"}\n'
