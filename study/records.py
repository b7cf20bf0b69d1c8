"""The study's records: a log that is only ever appended to, and two Parquet files built from it.

A line of the log is one row, written when it happens; a crash can tear the last line and nothing else, and a torn
line is dropped when the log is next opened. Rows have keys, so that work that was done again replaces what it repeats.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from reports.schema import EVALUATIONS, TRIALS, Column, arrow_schema
from study.folder import StudyFolder
from trainables.contract import Record
from trainables.errors import UserError
from trainables.files import replacing

SHARE_OF_TIME = 0.02  # of the driver's time, at most, that building Parquet files may take while a study runs
SHORTEST_INTERVAL_S = 2.0


class Records:
    """All rows of a study, in memory and on disk. One writer: the driver that holds the study's lock."""

    def __init__(self, folder: StudyFolder) -> None:
        self._folder = folder
        self._trials: dict[str, Record] = {}
        self._evaluations: dict[tuple[str, int], Record] = {}
        for kind, row in read_log(folder.log):
            self._keep(kind, row)
        self._log: TextIO | None = None
        self._built_at = 0.0
        self._build_took_s = 0.0

    @property
    def trials(self) -> dict[str, Record]:
        """Finished trials by id; not to be changed."""
        return self._trials

    def evaluations_of(self, trial_id: str) -> int:
        """How many evaluations of a trial are recorded."""
        return sum(1 for key in self._evaluations if key[0] == trial_id)

    def add_evaluations(self, rows: Iterable[Record]) -> None:
        """Record evaluations; a row with the trial and number of an earlier one replaces it."""
        self._append("evaluation", rows, EVALUATIONS)

    def add_trial(self, row: Record) -> None:
        """Record a finished trial."""
        self._append("trial", [row], TRIALS)

    def build_if_due(self) -> None:
        """Bring the Parquet files up to date, unless that was done just now."""
        interval = max(SHORTEST_INTERVAL_S, self._build_took_s / SHARE_OF_TIME)
        if time.monotonic() - self._built_at >= interval:
            self.build()

    def build(self) -> None:
        """Bring the Parquet files up to date."""
        started = time.monotonic()
        _write(self._folder.evaluations, list(self._evaluations.values()), EVALUATIONS)
        _write(self._folder.trials, list(self._trials.values()), TRIALS)
        self._built_at = time.monotonic()
        self._build_took_s = self._built_at - started

    def close(self) -> None:
        """Build the Parquet files and close the log."""
        self.build()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _append(self, kind: str, rows: Iterable[Record], columns: tuple[Column, ...]) -> None:
        if self._log is None:
            drop_torn_line(self._folder.log)
            self._log = self._folder.log.open("a", encoding="utf-8")
        for row in rows:
            known = {column.name: row.get(column.name) for column in columns}
            self._log.write(json.dumps({"kind": kind, **known}) + "\n")
            self._keep(kind, known)
        self._log.flush()

    def _keep(self, kind: str, row: Record) -> None:
        if kind == "trial":
            self._trials[row["trial_id"]] = row
        else:
            self._evaluations[row["trial_id"], row["evaluation"]] = row


def read_log(path: Path) -> Iterable[tuple[str, Record]]:
    """Rows of a log with their kinds; a torn last line is left out.

    Raises
    ------
    UserError
        When another line is damaged.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                try:
                    row: dict[str, Any] = json.loads(line)
                except ValueError:
                    raise UserError(f"{path} is damaged in line {number}; take that line out to go on") from None
                yield row.pop("kind"), row


def drop_torn_line(path: Path) -> None:
    """Cut a log back to its last whole line."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


def _write(path: Path, rows: list[Record], columns: tuple[Column, ...]) -> None:
    table = pa.Table.from_pylist(rows, schema=arrow_schema(columns))
    with replacing(path) as temporary:
        pq.write_table(table, temporary)
