"""What failed in a study, in a line; and whether that left anything to report."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reports.winners import confirmations
from trainables.contract import Record


@dataclass(frozen=True)
class Failures:
    """Of some trials, those that failed."""

    count: int
    trials: int
    error: str  # the most frequent one
    times: int  # how often it came

    def __str__(self) -> str:
        whole = f"{self.count} of" if self.count < self.trials else "all" if self.trials > 1 else "the"
        among = "" if self.times == self.count else f", {self.times} of them"
        trials = "trial" if self.trials == 1 else "trials"
        return f"{whole} {self.trials} {trials} failed{among} with: {self.error}"


def failures(rows: Iterable[Record]) -> Failures | None:
    """The failures among rows of the trial records; None where there are none."""
    rows = list(rows)
    errors = [row["error"] or "no error was recorded" for row in rows if row["outcome"] == "failed"]
    if not errors:
        return None
    kinds = Counter(map(kind_of, errors))
    kind, times = kinds.most_common(1)[0]
    return Failures(len(errors), len(rows), next(error for error in errors if kind_of(error) == kind), times)


def kind_of(error: str) -> str:
    """An error without its numbers, which differ from trial to trial: process ids, amounts of memory."""
    return re.sub(r"\d+(\.\d+)?", "0", error)


def fruitless(rows: Iterable[Record], frameworks: Sequence[str]) -> list[str]:
    """Frameworks of which failures left no usable result: all trials failed, all of the race, or all that confirm."""
    rows = list(rows)
    stages = (
        [row for row in rows if row["phase"] in ("search", "sweep")],
        [row for row in rows if row["phase"] == "race"],
        confirmations(rows),
    )
    return [name for name in frameworks if any(_all_failed(stage, name) for stage in stages)]


def _all_failed(rows: list[Record], framework: str) -> bool:
    outcomes = {row["outcome"] for row in rows if row["framework"] == framework}
    return outcomes == {"failed"}
