"""Ray Tune's schedulers on the virtual clock: their own objects decide, as Tune's controller would ask them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, Protocol

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from study.plan.plan import Plan
from study.replay.clock import Decision, Strategy, Trial
from study.strategy.halving import asha_settings

SCORE, VALUE = "score", "objective"
ITERATION, TOTAL_S = "training_iteration", "time_total_s"  # which Tune adds to every result
_PENDING, _RUNNING, _PAUSED, _TERMINATED = (
    TuneTrial.PENDING,
    TuneTrial.RUNNING,
    TuneTrial.PAUSED,
    TuneTrial.TERMINATED,
)


class Searching(Strategy, Protocol):
    """Who deals the trials that a scheduler decides over."""

    def dropped(self, trial: Trial) -> None:
        """Hear that a trial was given up while it was paused."""


class LightTrial:
    """As much of Tune's trial as its schedulers look at."""

    is_saving = False

    def __init__(self, name: str, trial: Trial) -> None:
        self.trial_id = name
        self.trial = trial
        self.status = _PENDING
        self.last_result: dict[str, Any] = {}

    def __repr__(self) -> str:
        return self.trial_id


class Scheduled(Strategy):
    """A Tune scheduler over the trials of a searcher; to the scheduler this object is Tune's controller.

    Parameters
    ----------
    at_once
        Trials that the searcher may have open, Tune's ``max_concurrent_trials``; None: no limit, and then Tune asks for
        the next trial as soon as the one before has begun.
    """

    def __init__(self, scheduler: TrialScheduler, searcher: Searching, *, at_once: int | None) -> None:
        self._scheduler: Any = scheduler  # which is shown light trials, and this in place of a controller
        self._searcher = searcher
        self._at_once = at_once
        self._trials: dict[Trial, LightTrial] = {}
        self._names = count()

    # What the clock asks.

    def next(self) -> Trial | None:
        self._refill()
        waiting = next(iter(self._of(_PENDING)), None)
        chosen: LightTrial | None = self._scheduler.choose_trial_to_run(self) or waiting
        if chosen is None:
            return None
        chosen.status = _RUNNING
        self._refill()
        return chosen.trial

    def heard(self, trial: Trial) -> Decision:
        mine = self._trials[trial]
        mine.last_result = told(trial)
        decision = self._scheduler.on_trial_result(self, mine, mine.last_result)
        if decision == TrialScheduler.STOP:
            return "stop"
        self._searcher.heard(trial)
        if decision == TrialScheduler.PAUSE:
            mine.status = _PAUSED
            return "pause"
        return "go on"

    def ended(self, trial: Trial) -> None:
        mine = self._trials[trial]
        mine.last_result = told(trial)
        self._scheduler.on_trial_complete(self, mine, mine.last_result)
        self._searcher.ended(trial)
        mine.status = _TERMINATED

    # What a scheduler asks Tune's controller.

    def get_trials(self) -> list[LightTrial]:
        """All trials."""
        return list(self._trials.values())

    def get_live_trials(self) -> list[LightTrial]:
        """Those that have not ended."""
        return [each for each in self._trials.values() if each.status != _TERMINATED]

    def stop_trial(self, mine: LightTrial) -> None:
        """End a trial that waits or is paused."""
        assert mine.status in (_PENDING, _PAUSED)
        self._scheduler.on_trial_remove(self, mine)
        self._searcher.dropped(mine.trial)
        mine.status = _TERMINATED

    def _of(self, status: str) -> list[LightTrial]:
        return [each for each in self._trials.values() if each.status == status]

    def _refill(self) -> None:
        """Ask the searcher for as many trials as Tune keeps waiting."""
        while len(self._of(_PENDING)) < (self._at_once or 1):
            if self._at_once is not None and len(self.get_live_trials()) >= self._at_once:
                return
            trial = self._searcher.next()
            if trial is None:
                return
            self._trials[trial] = LightTrial(f"{next(self._names):05d}", trial)
            self._scheduler.on_trial_add(self, self._trials[trial])


def told(trial: Trial) -> dict[str, Any]:
    """What a trial reports to Tune at an evaluation."""
    point = trial.points[-1]
    return {
        VALUE: trial.running_value,
        SCORE: trial.score_now,
        ITERATION: len(trial.points),
        TOTAL_S: trial.training.slice_s(point, fresh=False),
    }


class _Plain:
    """A searcher that hears nothing of what was paused."""

    def __init__(self, strategy: Strategy) -> None:
        self.next: Callable[[], Trial | None] = strategy.next
        self.heard: Callable[[Trial], Decision] = strategy.heard
        self.ended: Callable[[Trial], None] = strategy.ended

    def dropped(self, trial: Trial) -> None:
        raise NotImplementedError("a plan's search pauses no trial")


def scheduled(plan: Plan, strategy: Strategy, *, samples: int, slots: int) -> Strategy:
    """A plan's search under ASHA, as the driver sets it.

    Parameters
    ----------
    samples
        Of the training split.
    """
    scheduler = ASHAScheduler(time_attr=ITERATION, metric=SCORE, mode="max", **asha_settings(plan, samples=samples))
    return Scheduled(scheduler, _Plain(strategy), at_once=slots)
