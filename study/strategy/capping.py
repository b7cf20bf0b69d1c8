"""Adaptive capping: once a configuration has reached the target, no other need be trained for much longer than it took.

The caps of algorithm configuration (ParamILS [1]_, irace [2]_): a trial is stopped when it has trained for longer than
the best so far took, times a slack; or earlier, when it lags so far behind the best one's curve that it cannot win.

A cap is made from trials that have *ended*, of the same framework, on the same machine: seconds of another are no
seconds here. Before the first of them reaches the target there is none.

References
----------
.. [1] F. Hutter, H. Hoos, K. Leyton-Brown, T. Stützle: ParamILS: an automatic algorithm configuration framework.
   JAIR 36, 2009.
.. [2] L. Pérez Cáceres, M. López-Ibáñez, H. Hoos, T. Stützle: An experimental study of adaptive capping in irace.
   LION 11, 2017.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import isfinite, sqrt

from study.plan.plan import SearchPlan
from trainables.cap import NO_CAP, Cap, score_of
from trainables.contract import Record
from trainables.spec import Clock
from trainables.stopwatch import COLD

CURVES_FROM = 2  # trials that reached the target, before any is held against a curve: the first may be a slow one


@dataclass(frozen=True)
class CapRule:
    """How long a trial may be trained.

    Parameters
    ----------
    slack
        A trial may take so many times what the trial that counts took.
    rank
        Which of the trials that reached the target counts: 1, the best; of fewer than so many, the last. The race takes
        several of the best, so that a cap by the best alone could leave it with one.
    lag
        By how many times slower than that trial's curve another's may rise; None: curves are not compared.
    margin
        How far it may then stay below, in standard deviations of the evaluations' noise (`noise`).
    """

    slack: float
    rank: int
    lag: float | None = None
    margin: float = 0.0


def rule_of(search: SearchPlan) -> CapRule | None:
    """The rule by which a plan's search is capped; None where it is not."""
    if search.scheduler != "cap":
        return None
    return CapRule(slack=search.cap_slack, rank=search.cap_rank, lag=search.cap_lag or None, margin=search.cap_margin)


@dataclass(frozen=True)
class Curve:
    """A trial that has ended: its evaluations on the search's clock.

    Parameters
    ----------
    host
        The machine on which it ran.
    seconds, scores
        Of its evaluations, in order; scores as `trainables.cap.score_of` has them.
    tta_s
        When it reached the target; None where it did not.
    """

    host: str
    seconds: tuple[float, ...]
    scores: tuple[float, ...]
    tta_s: float | None

    @property
    def hit(self) -> bool:
        """Whether it reached the target."""
        return self.tta_s is not None


def elapsed_s(row: Record, clock: Clock) -> float:
    """Seconds of an evaluation or a trial on the search's clock, from its accounts."""
    return float(row["train_s"]) if clock == "warm" else sum(float(row[account]) for account in COLD)


def curve_of(trial: Record, evaluations: Iterable[Record]) -> Curve:
    """A trial of a search that has ended, from its record and those of its evaluations, in order."""
    clock: Clock = trial["objective_clock"]
    rows = list(evaluations)
    scores = (
        score_of(trial["metric"], accuracy=row["validation_accuracy"], loss=row["validation_loss"]) for row in rows
    )
    return Curve(
        host=trial["host"],
        seconds=tuple(elapsed_s(row, clock) for row in rows),
        scores=tuple(scores),
        tta_s=trial["objective"] if trial["reached"] else None,
    )


def cap_for(rule: CapRule, curves: Iterable[Curve], *, host: str) -> Cap:
    """What a framework's next trial on a machine must keep up with, from its trials that have ended.

    The curve that it is compared with is the running best of the one that counts, drawn out in time by the lag. At
    equal times, with no lag, early differences decide that say little of who is first in the end: on recorded tables
    2 to 5 % of the trials that this stopped would have won (study/README.md).

    Parameters
    ----------
    curves
        Of one framework's search; those of other machines count for nothing.
    """
    hits = sorted((each for each in curves if each.hit and each.host == host), key=lambda each: each.tta_s or 0.0)
    if not hits:
        return NO_CAP
    counts = hits[min(rule.rank, len(hits)) - 1]
    assert counts.tta_s is not None
    if rule.lag is None or len(hits) < CURVES_FROM:
        return Cap(seconds=rule.slack * counts.tta_s)
    delayed = (rule.lag * seconds for seconds in counts.seconds)
    best = tuple(zip(delayed, running_best(counts.scores), strict=True))
    return Cap(seconds=rule.slack * counts.tta_s, best=best, margin=rule.margin * noise(hits))


def running_best(scores: Sequence[float]) -> list[float]:
    """The best score up to each evaluation."""
    return list(accumulate(scores, max))


def noise(curves: Iterable[Curve]) -> float:
    """Standard deviation of a single evaluation about a trial's trend.

    From how far evaluations fall below the best before them (root mean square of these dips, over all evaluations
    after a trial's first), which a curve without noise would never do.
    """
    dips = [
        best - score
        for each in curves
        for best, score in zip(running_best(each.scores)[1:], each.scores[1:], strict=True)
        if isfinite(best - score)
    ]
    return sqrt(sum(dip * dip for dip in dips) / len(dips)) if dips else 0.0
