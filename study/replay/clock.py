"""The virtual clock: trials hold slots, evaluations come in the order of time, and a strategy decides at each."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Any, Literal, Protocol

from study.replay.training import Point, Training
from trainables.cap import NO_CAP, Cap

Decision = Literal["go on", "stop", "pause"]
Outcome = Literal["reached", "missed", "capped", "stopped"]


@dataclass(eq=False)
class Trial:
    """A trial of a search, as far as it has come.

    Parameters
    ----------
    number
        Its place in the search, from 0.
    configuration
        What of the recording stands for ``point``.
    cap
        What it must keep up with; it sees to that by itself.
    slice_s
        Seconds for which it has held a slot.
    value
        What the search is told, once it has ended.
    """

    number: int
    point: Mapping[str, Any]
    configuration: Hashable
    seed: int
    training: Training
    cap: Cap = NO_CAP
    points: list[Point] = field(default_factory=list)
    slice_s: float = 0.0
    outcome: Outcome | None = None
    value: float = inf

    @property
    def tta_s(self) -> float | None:
        """What the search's clock showed when it reached the target; None where it has not."""
        return self.training.tta_s if self.outcome == "reached" else None

    @property
    def score(self) -> float:
        """The best so far."""
        return max(point.score for point in self.points)

    @property
    def score_now(self) -> float:
        """That of its last evaluation."""
        return self.points[-1].score

    @property
    def spent_s(self) -> float:
        """Slice-seconds up to its last evaluation, its process taken for one that was there."""
        return self.training.slice_s(self.points[-1], fresh=False) if self.points else 0.0

    @property
    def clock_s(self) -> float:
        """What the search's clock shows after its last evaluation."""
        return self.training.clock_s(self.points[-1])

    @property
    def running_value(self) -> float:
        """What the search would be told if it ended now."""
        terms = self.training.terms
        aim = self.cap.aim(terms.metric, terms.target, self.clock_s) if self.outcome == "capped" else None
        return terms.value(self.tta_s, self.score, aim)

    def following(self) -> Point:
        """Its next evaluation, which its cap may bring forward."""
        planned = self.training.points[len(self.points)]
        if self.cap.seconds is None or not self.cap.over(self.training.clock_s(planned)):
            return planned
        cut = self.training.cut(self.cap.seconds)
        return planned if cut is None or cut.evaluation != planned.evaluation else cut

    def take(self, point: Point) -> None:
        """Note an evaluation, and whether it is the last."""
        self.points.append(point)
        last, tta_s = point == self.training.points[-1], self.training.tta_s
        if last and tta_s is None:
            self.outcome = "missed"
        elif last and not self.cap.over(self.clock_s):
            self.outcome = "reached"
        elif self.cap.stops(self.clock_s, self.score) is not None:
            self.outcome = "capped"


class Strategy(Protocol):
    """Who decides which trials there are, and how long they run."""

    def next(self) -> Trial | None:
        """The trial for a slot that is free: a new one, or one that was paused; None where there is none now."""

    def heard(self, trial: Trial) -> Decision:
        """What becomes of a trial that has made an evaluation which was not its last."""

    def ended(self, trial: Trial) -> None:
        """Hear of a trial's end, and give it its value."""


@dataclass(frozen=True)
class Ended:
    """A trial that has ended, the slice-seconds that all of them had taken then, and the time."""

    trial: Trial
    spent_s: float
    at_s: float


@dataclass
class _Slot:
    trial: Trial | None = None
    began_s: float = 0.0  # of the trial that holds it
    served: bool = False  # whether its process has run a trial before


def play(strategy: Strategy, *, slots: int, fresh_processes: bool = False, budget_s: float = inf) -> list[Ended]:
    """Run a strategy's trials until it has none left; in the order in which they ended.

    Parameters
    ----------
    slots
        Trials at once.
    fresh_processes
        Whether every trial pays for a process of its own; else each slot does once.
    budget_s
        Nothing is dealt once so many slice-seconds are spent.
    """
    return _Play(strategy, slots, fresh_processes).run(budget_s)


class _Play:
    def __init__(self, strategy: Strategy, slots: int, fresh_processes: bool) -> None:
        self._strategy = strategy
        self._slots = [_Slot() for _ in range(slots)]
        self._fresh_processes = fresh_processes
        self._events: list[tuple[float, int, _Slot, Point]] = []
        self._order = count()
        self._spent_s = 0.0  # by trials that hold no slot any more
        self._ended: list[Ended] = []

    def run(self, budget_s: float) -> list[Ended]:
        now_s = 0.0
        while True:
            if self._total_s(now_s) < budget_s:
                self._fill(now_s)
            if not self._events:
                return self._ended
            now_s, _, slot, point = heappop(self._events)
            self._evaluate(now_s, slot, point)

    def _fill(self, now_s: float) -> None:
        for slot in sorted((each for each in self._slots if each.trial is None), key=lambda each: not each.served):
            trial = self._strategy.next()
            if trial is None:
                return
            slot.trial, slot.began_s = trial, now_s
            costs = trial.training.costs
            begin_s = costs.fresh_s if self._fresh_processes or not slot.served else costs.resident_s
            slot.served = True
            self._wait(now_s + begin_s, slot, trial)

    def _wait(self, now_s: float, slot: _Slot, trial: Trial) -> None:
        """For a trial's next evaluation."""
        point = trial.following()
        trained_s = point.train_s - (trial.points[-1].train_s if trial.points else 0.0)
        at_s = now_s + trained_s + trial.training.costs.evaluation_s
        heappush(self._events, (at_s, next(self._order), slot, point))

    def _evaluate(self, now_s: float, slot: _Slot, point: Point) -> None:
        trial = slot.trial
        assert trial is not None
        trial.take(point)
        decision: Decision = "stop" if trial.outcome is not None else self._strategy.heard(trial)
        if decision == "go on":
            self._wait(now_s, slot, trial)
            return
        held_s = now_s - slot.began_s
        trial.slice_s += held_s
        self._spent_s += held_s
        slot.trial = None
        if decision == "stop":
            trial.outcome = trial.outcome or "stopped"
            self._strategy.ended(trial)
            self._ended.append(Ended(trial, self._total_s(now_s), now_s))

    def _total_s(self, now_s: float) -> float:
        return self._spent_s + sum(now_s - each.began_s for each in self._slots if each.trial is not None)
