"""One search of one strategy on one table, from one seed: what it knew, and what that was worth, second by second."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import IO, Any

from study.replay.clock import play
from study.replay.finding import recording_at
from study.replay.recording import Recording
from study.replay.regret import Known, Truth, raced, singles
from study.replay.search import search
from study.replay.shelf import SHELF, shipped_tables
from study.replay.training import Terms
from tests.search_bench.strategies import ROWS, settings_of

PLANNED = 30  # trials of a plan that says nothing else
MOST = 100  # trials of any strategy
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_DECIDING = (
    *(ROOT / "study" / room for room in ("replay", "strategy", "plan")),
    *(ROOT / "trainables" / name for name in ("cap.py", "objective.py", "workloads/shipped")),
    ROOT / "search_spaces",
    ROOT / "reports" / "winners.py",
    HERE,
)
_TELLING = ("writing.py", "summing.py", "__main__.py", "real_tune.py")  # which decide nothing
REFERENCES = 2.0  # references that a strategy may spend


@dataclass(frozen=True)
class Job:
    """Which search."""

    table: str
    framework: str
    slots: int
    strategy: str
    repetition: int


@dataclass(frozen=True)
class Run:
    """What came of it.

    Parameters
    ----------
    steps
        Slice-seconds, and the regret of what would have been returned then, wherever that changes; None: nothing.
    planned_s, planned_regret
        After as many trials as a plan has, its race included where it has one.
    outcomes
        Of these trials.
    took_s
        Seconds to run it here.
    """

    job: Job
    steps: list[tuple[float, float | None]]
    planned_s: float
    planned_regret: float | None
    outcomes: dict[str, int]
    took_s: float

    def as_row(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, row: dict[str, Any]) -> Run:
        """Inverse of `as_row`."""
        return cls(**{**row, "job": Job(**row["job"]), "steps": [tuple(step) for step in row["steps"]]})


@cache
def _recording(table: str, settings: tuple[str, ...]) -> Recording:
    return recording_at(table, settings)


def frameworks(table: str) -> tuple[str, ...]:
    """Those that a table has curves of."""
    return tuple(_recording(table, ()).plan.frameworks)


@cache
def _truth(table: str, framework: str) -> Truth:
    recording = _recording(table, ())
    return Truth(recording.plan, framework, recording)


@cache
def reference_s(table: str, framework: str) -> float:
    """Slice-seconds of as many trainings as a plan has, at configurations drawn at random, each to its end.

    The recorded configurations are spread evenly over the space, so their mean is that of a random draw.
    """
    truth = _truth(table, framework)
    recording, terms = truth.recording, Terms.of(truth.plan)
    costs = [
        training.slice_s(training.points[-1], fresh=False)
        for each in recording.configurations(truth.framework)
        for training in recording.trainings(truth.framework, each, terms)
    ]
    return PLANNED * fmean(costs)


def run(job: Job) -> Run:
    """Run it."""
    began = time.perf_counter()
    row = ROWS[job.strategy]
    recording = _recording(job.table, tuple(settings_of(row)))
    truth = _truth(job.table, job.framework)
    plan = recording.plan.model_copy(update={"seed": job.repetition})
    trials, budget_s = row.trials or MOST, REFERENCES * reference_s(job.table, job.framework)
    until = {"budget_s": budget_s, "fresh_processes": row.fresh_processes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if row.build is None:
            ended = search(plan, truth.framework, recording, slots=job.slots, trials=trials, **until)
        else:
            strategy = row.build(plan, truth.framework, recording, job.slots, trials)
            ended = play(strategy, slots=job.slots, **until)
    races = row.build is None and plan.race.configurations > 0
    known = raced(plan, truth.framework, recording, ended) if races else singles(ended)
    planned = known[min(PLANNED, len(known)) - 1]
    outcomes = Counter(str(each.trial.outcome) for each in ended[:PLANNED])
    regret, took_s = _finite(truth.regret(planned.configuration)), round(time.perf_counter() - began, 3)
    return Run(job, _steps(known, truth), planned.spent_s, regret, dict(outcomes), took_s)


def _steps(known: Iterable[Known], truth: Truth) -> list[tuple[float, float | None]]:
    steps: list[tuple[float, float | None]] = []
    for each in sorted(known, key=lambda each: each.spent_s):
        regret = _finite(truth.regret(each.configuration))
        if not steps or steps[-1][1] != regret:
            steps.append((round(each.spent_s, 3), regret))
    return steps


def _finite(value: float) -> float | None:
    return None if value == float("inf") else round(value, 6)


@cache
def rules(table: str) -> str:
    """A digest of what decides what comes of a search on a table: the rules, replay, benchmark and the table itself."""
    digest = hashlib.sha256()
    for place in _DECIDING:
        for path in sorted(place.rglob("*") if place.is_dir() else [place]):
            decides = path.name not in _TELLING and not path.name.startswith("test_") and SHELF not in path.parents
            if decides and path.suffix in (".py", ".toml"):
                digest.update(path.read_bytes())
    folder = SHELF / table if table in shipped_tables() else Path(table)
    for path in sorted(folder.iterdir() if folder.is_dir() else ()):
        if path.suffix in (".parquet", ".toml"):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def keep(file: IO[str], each: Run) -> None:
    """Add a run to a file of lines."""
    file.write(json.dumps({**each.as_row(), "rules": rules(each.job.table)}) + "\n")
    file.flush()


def kept(path: Path) -> Iterator[Run]:
    """The runs of a file of lines that the rules of now brought about; a line that was torn is left out."""
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            with suppress(json.JSONDecodeError):
                row = json.loads(line)
                if row.pop("rules") == rules(row["job"]["table"]):
                    yield Run.of(row)
