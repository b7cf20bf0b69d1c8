"""When a trial of a search is stopped since it cannot win: adaptive capping, as the trial itself applies it.

What a `Cap` says is derived from trials that have ended (`study.strategy.capping`); here it is only compared with one
training. All seconds are on the clock that the search minimises.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from trainables.spec import Metric

Reason = Literal["time", "curve"]


@dataclass(frozen=True)
class Cap:
    """What a trial must keep up with; the default holds nothing against any.

    Parameters
    ----------
    seconds
        A trial that has not reached the target by then is stopped; None: there is no cap.
    best
        Running best scores (`score_of`) by seconds, of the trial that is to be kept up with; empty: curves are not
        compared.
    margin
        How far below this curve a trial may be, in scores.
    """

    seconds: float | None = None
    best: tuple[tuple[float, float], ...] = ()
    margin: float = 0.0

    def over(self, seconds: float) -> bool:
        """Whether a trial that is here has passed the cap."""
        return self.seconds is not None and seconds > self.seconds

    def bar(self, seconds: float) -> float | None:
        """The score that the curve had at a time; None where it had none yet.

        Between two of its evaluations that is the earlier one's: nothing is interpolated, to the trial's advantage.
        """
        place = bisect_right(self.best, seconds, key=lambda point: point[0])
        return self.best[place - 1][1] if place else None

    def stops(self, seconds: float, best: float) -> Reason | None:
        """Why a trial that has not reached the target is to be stopped, just after an evaluation; None: it goes on.

        ``time``: the cap has passed. ``curve``: its best score so far is below what the curve had at the same time, by
        more than the margin.

        Parameters
        ----------
        seconds
            For which it has been trained.
        best
            The best score of its evaluations so far.
        """
        if self.over(seconds):
            return "time"
        bar = self.bar(seconds)
        return "curve" if bar is not None and best < bar - self.margin else None

    def aim(self, metric: Metric, target: float, seconds: float) -> float:
        """What was asked of a trial that was capped at a time: past the cap the target, before it what the curve had.

        By how far it stayed from this it is ranked among others: one that its curve stopped early is not the worse for
        that, and of those that had all the time there was the one that came nearest to the target is the best.
        """
        bar = None if self.over(seconds) else self.bar(seconds)
        if bar is None:
            return target
        return min(target, bar) if metric == "accuracy" else max(target, -bar)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self) | {"best": [list(point) for point in self.best]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Cap:
        """Inverse of `as_dict`."""
        return cls(**{**values, "best": tuple((seconds, score) for seconds, score in values["best"])})


NO_CAP = Cap()


def score_of(metric: Metric, *, accuracy: float | None, loss: float | None) -> float:
    """What an evaluation came to, the higher the better: accuracy, or minus the loss; -inf where it came to nothing."""
    value = accuracy if metric == "accuracy" else None if loss is None else -loss
    return float("-inf") if value is None else value
