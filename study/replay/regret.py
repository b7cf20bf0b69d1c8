"""What a search found and what it had cost by then, against what was recorded: the truth that no search knows."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, fsum, log

from study.plan.plan import Plan
from study.replay.clock import Ended
from study.replay.race import best_of, race
from study.replay.recording import Recording
from study.replay.training import Terms


@dataclass(frozen=True)
class Known:
    """A configuration that a search would return, after so many slice-seconds; None while it has none."""

    spent_s: float
    configuration: Hashable | None


@dataclass(frozen=True)
class Truth:
    """What a framework's configurations are really worth, under the terms of a plan."""

    plan: Plan
    framework: str
    recording: Recording

    def of(self, configuration: Hashable) -> float:
        """Weighted geometric mean of the trainings that tell; one that missed counts as the search counts it."""
        return self._all[configuration]

    @property
    def best(self) -> Hashable:
        """The best configuration that was recorded."""
        return min(self._all, key=lambda each: self._all[each])

    @property
    def any_reached(self) -> bool:
        """Whether any recorded training reaches the target in time."""
        terms = Terms.of(self.plan)
        return any(
            training.tta_s is not None
            for each in self.recording.configurations(self.framework)
            for training in self.recording.trainings(self.framework, each, terms)
        )

    @property
    def least(self) -> float:
        """What that is worth."""
        return self._all[self.best]

    @cached_property
    def _all(self) -> dict[Hashable, float]:
        terms = Terms.of(self.plan)
        return {
            each: geometric(
                (weight, training.value) for weight, training in self.recording.evidence(self.framework, each, terms)
            )
            for each in self.recording.configurations(self.framework)
        }

    def regret(self, configuration: Hashable | None) -> float:
        """How much longer a configuration takes than the best, as a share; infinite where there is none."""
        return float("inf") if configuration is None else self.of(configuration) / self.least - 1.0


def geometric(weighted: Iterable[tuple[float, float]]) -> float:
    """Geometric mean of values, each with its weight before it."""
    known = list(weighted)
    return exp(fsum(weight * log(value) for weight, value in known) / fsum(weight for weight, _ in known))


def singles(ended: Sequence[Ended]) -> list[Known]:
    """What a search knows after each of its trials: the best single one."""
    found: list[Known] = []
    for place, each in enumerate(ended, 1):
        best = best_of([one.trial for one in ended[:place]])
        found.append(Known(each.spent_s, None if best is None else best.configuration))
    return found


def raced(plan: Plan, framework: str, recording: Recording, ended: Sequence[Ended], *, every: int = 1) -> list[Known]:
    """What it would return if it stopped after so many trials and raced its best, the race's cost included.

    Parameters
    ----------
    every
        Only after each so-manieth trial, and the last.
    """
    found: list[Known] = []
    for place, each in enumerate(ended, 1):
        if place % every == 0 or place == len(ended):
            came = race(plan, framework, recording, [one.trial for one in ended[:place]])
            found.append(Known(each.spent_s + came.cost_s, came.winner))
    return found


def within(known: Sequence[Known], truth: Truth, share: float) -> float:
    """Slice-seconds after which a search first returns a configuration that is at most so much worse than the best."""
    good = (each.spent_s for each in known if truth.regret(each.configuration) <= share)
    return min(good, default=float("inf"))


def regret_at(known: Sequence[Known], truth: Truth, spent_s: float) -> float:
    """The regret of what a search would return with so much spent."""
    before = [each for each in known if each.spent_s <= spent_s]
    return truth.regret(before[-1].configuration) if before else float("inf")
