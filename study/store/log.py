"""The log of a study's records: one row per line, with a checksum; torn and damaged lines are known and left out.

Each line has the hash of the one before it, so that nobody takes one out, or changes one, without making all that
follow anew; `study.store.chain` looks. Lines of older versions have none.
"""

from __future__ import annotations

import hashlib
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
START = "0" * 32  # instead of a hash, where there is no line before
CHAIN = "follows"  # the key of a line's hash of the one before
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
    head: str = START  # hash of the last line, which stands for all of them
    damaged: list[int] = field(default_factory=list)  # numbers of lines that are left out, counted from 1

    @property
    def unfinished(self) -> dict[str, float]:
        """Trials that were started and have not ended, as `study.store.records.Records` has them."""
        return self.starts

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
            log.head = line_hash(line)
            if row is None:
                log.damaged.append(number)
            else:
                row.pop(CHAIN, None)
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


def drop_torn_line(path: Path) -> str:
    """Cut a file of lines back to its last whole line.

    Returns
    -------
    The hash of that line.
    """
    if not path.exists() or not path.stat().st_size:
        return START
    with path.open("rb+") as file:
        with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            end = content.rfind(b"\n") + 1
            last = content[content.rfind(b"\n", 0, max(0, end - 1)) + 1 : end]
        file.truncate(end)
    return line_hash(last) if last else START


def line_hash(line: bytes) -> str:
    """Of a whole line, with all that it says of the one before."""
    return hashlib.sha256(line).hexdigest()[: len(START)]


def parse_line(line: bytes) -> dict[str, Any] | None:
    """A line's row, with its kind; None where the line is torn or damaged."""
    head, separator, tail = line.rpartition(_CHECKSUM)
    text = head + b"}"
    if not separator or tail != f"{zlib.crc32(text):08x}".encode() + b'"}\n':
        return None
    row: dict[str, Any] = json.loads(text)
    return row


def format_line(kind: str, row: Record, follows: str = "") -> bytes:
    """A row as a line with its checksum.

    Parameters
    ----------
    follows
        Hash of the line before; none, if not given: as older versions wrote it.
    """
    text = json.dumps({"kind": kind, **row, **({CHAIN: follows} if follows else {})}).encode()
    return text[:-1] + _CHECKSUM + f"{zlib.crc32(text):08x}".encode() + b'"}\n'
