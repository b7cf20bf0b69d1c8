"""Recorded trainings, and searches on them that are only capped: no sampler, no Ray, no clock but that of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from study.replay.table import read_table
from study.replay.training import Terms
from study.strategy.capping import CapRule, Curve, cap_for
from trainables.cap import NO_CAP, Cap

HERE = "here"


@dataclass(frozen=True)
class Counts:
    """What capping did in many searches."""

    trials: int = 0
    stopped: int = 0
    would_have_won: int = 0  # of those stopped, that were better than the best that their search found
    by_5_percent: int = 0  # and by so much
    trained_s: float = 0.0
    uncapped_s: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))


def read(folder: Path, framework: str = "pytorch") -> list[Curve]:
    """The trainings of a recorded table, without loader workers, each up to where its recording's terms end it."""
    table = read_table(folder)
    terms = Terms.of(table.plan)
    return [
        Curve(HERE, tuple(each.train_s for each in of.points), tuple(each.score for each in of.points), of.tta_s)
        for setting in table.configurations(framework)
        if setting.num_workers == 0
        for of in table.trainings(framework, setting, terms)
    ]


def ended(cap: Cap, trial: Curve) -> tuple[float, bool]:
    """For how many seconds a trial is trained, and whether its cap ended it."""
    best = float("-inf")
    for now, score in zip(trial.seconds, trial.scores, strict=True):
        best = max(best, score)
        if cap.seconds is not None and cap.over(now):
            return cap.seconds, True
        if now != trial.tta_s and cap.stops(now, best) is not None:
            return now, True
    return trial.seconds[-1], False


def search(rule: CapRule, trials: Sequence[Curve]) -> Counts:
    """One search, one trial after the other."""
    cap, hits, stopped, trained_s = NO_CAP, [], [], 0.0
    for trial in trials:
        seconds, cut = ended(cap, trial)
        trained_s += seconds
        if cut:
            stopped.append(trial)
        elif trial.hit:
            hits.append(trial)
            cap = cap_for(rule, hits, host=HERE)
    best_s = min((trial.tta_s for trial in hits if trial.tta_s is not None), default=float("inf"))
    missed = [trial.tta_s for trial in stopped if trial.tta_s is not None and trial.tta_s < best_s]
    return Counts(
        trials=len(trials),
        stopped=len(stopped),
        would_have_won=len(missed),
        by_5_percent=sum(each < 0.95 * best_s for each in missed),
        trained_s=trained_s,
        uncapped_s=sum(trial.seconds[-1] for trial in trials),
    )


def searches(rule: CapRule, table: Sequence[Curve], *, trials: int, count: int) -> Counts:
    """So many searches of so many trials, drawn from a table by chance."""
    random = Random(0)
    return sum((search(rule, random.choices(table, k=trials)) for _ in range(count)), Counts())
