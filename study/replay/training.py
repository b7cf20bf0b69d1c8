"""One training that stands in for a real one: its recorded evaluations, put on the clock of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, isfinite

from study.plan.plan import Plan
from trainables.objective import objective_value
from trainables.spec import Clock, Metric
from trainables.training import CALL_S


@dataclass(frozen=True)
class Terms:
    """What ends a training, and what its value is.

    Parameters
    ----------
    limit_s
        On the clock.
    """

    metric: Metric
    target: float
    holds: int
    limit_s: float
    clock: Clock

    @classmethod
    def of(cls, plan: Plan) -> Terms:
        """A plan's."""
        training = plan.training
        return cls(training.metric, training.target, training.holds, training.limit_s, plan.search.objective)

    def meets(self, score: float) -> bool:
        """Whether an evaluation meets the target."""
        return score >= self.target if self.metric == "accuracy" else -score <= self.target

    def value(self, tta_s: float | None, score: float | None, aim: float | None = None) -> float:
        """What the search minimises, of a training that has come to this score; `trainables.objective`.

        Parameters
        ----------
        aim
            What one that was capped could have come to; the target, where nothing is said.
        """
        best = None if score is None or not isfinite(score) else score if self.metric == "accuracy" else -score
        target = self.target if aim is None else aim
        return objective_value(tta_s=tta_s, limit_s=self.limit_s, metric=self.metric, target=target, best=best)


@dataclass(frozen=True)
class Costs:
    """Slice-seconds of a training besides those in which it trains.

    Parameters
    ----------
    fresh_s, resident_s
        Until it begins to train, warm-up included: in a process of its own, and in one that has run another before.
    evaluation_s
        Of each evaluation, with its checkpoint.
    """

    fresh_s: float
    resident_s: float
    evaluation_s: float


@dataclass(frozen=True)
class Point:
    """One evaluation: seconds of training, score (the higher the better) and what number it has, from 1."""

    evaluation: int
    train_s: float
    score: float


@dataclass(frozen=True)
class Training:
    """A recorded training under a study's terms, up to where these end it.

    Parameters
    ----------
    points
        Its evaluations, in order.
    tta_s
        On the search's clock; None where it never reached the target in time.
    """

    terms: Terms
    costs: Costs
    points: tuple[Point, ...]
    tta_s: float | None

    def clock_s(self, point: Point) -> float:
        """What the search's clock shows after an evaluation; the cold one starts with a process of its own."""
        if self.terms.clock == "warm":
            return point.train_s
        return self.costs.fresh_s + point.train_s + point.evaluation * self.costs.evaluation_s

    def cut(self, limit_s: float) -> Point | None:
        """The evaluation with which a limit on the search's clock ends it; None where it ends by itself before.

        Between two evaluations the score is interpolated, linearly in time. A training looks at its limit between two
        calls into its framework, which last `CALL_S` at most and end at evaluations.
        """
        before = Point(0, 0.0, float("-inf"))
        for point in self.points:
            if self.clock_s(point) > limit_s:
                return _between(before, point, limit_s - self.clock_s(before))
            before = point
        return None

    def slice_s(self, point: Point, *, fresh: bool) -> float:
        """Seconds for which it has held its slice after an evaluation."""
        began = self.costs.fresh_s if fresh else self.costs.resident_s
        return began + point.train_s + point.evaluation * self.costs.evaluation_s

    @property
    def value(self) -> float:
        """What the search minimises, once it has run to its end."""
        return self.terms.value(self.tta_s, max((point.score for point in self.points), default=None))


def under(
    terms: Terms, costs: Costs, *, seconds: Sequence[float], scores: Sequence[float], ticks: Sequence[int]
) -> Training:
    """A training from what was recorded of it: to the target, to the limit, or as far as the recording goes.

    Parameters
    ----------
    seconds
        Of training, at each evaluation.
    ticks
        Which multiple of the study's cadence each evaluation belongs to: of two with the same, one counts.
    """
    points = tuple(Point(place, *each) for place, each in enumerate(zip(seconds, scores, strict=True), 1))
    end = _held(terms, scores, ticks)
    whole = Training(terms, costs, points[:end], None)
    last = whole.cut(terms.limit_s)
    if last is not None:
        return replace(whole, points=(*points[: last.evaluation - 1], last))
    return whole if end is None else replace(whole, tta_s=whole.clock_s(points[end - 1]))


def _held(terms: Terms, scores: Sequence[float], ticks: Sequence[int]) -> int | None:
    """After how many evaluations the target had been met as often in a row as it must; None: never."""
    met: set[int] = set()
    for place, (score, tick) in enumerate(zip(scores, ticks, strict=True), 1):
        met = met | {tick} if terms.meets(score) else set()
        if len(met) >= terms.holds:
            return place
    return None


def _between(before: Point, after: Point, seconds: float) -> Point:
    """The evaluation at the end of the call in which so many seconds after another one pass."""
    calls = max(1, ceil(seconds / CALL_S))
    train_s = min(after.train_s, before.train_s + calls * CALL_S)
    if train_s == after.train_s:
        return after
    share = (train_s - before.train_s) / (after.train_s - before.train_s)
    known = before.score if isfinite(before.score) else after.score
    return Point(after.evaluation, train_s, known + share * (after.score - known))
