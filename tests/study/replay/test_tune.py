"""Tune's schedulers as Tune's controller would ask them, on hand-made curves."""

from __future__ import annotations

from itertools import count

import pytest
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, HyperBandScheduler, MedianStoppingRule, TrialScheduler

from study.replay.clock import Decision, Strategy, Trial, play
from study.replay.training import Costs, Terms, Training, under
from study.replay.tune import ITERATION, VALUE, Scheduled

TERMS = Terms("accuracy", 0.9, holds=1, limit_s=1000.0, clock="warm")
COSTS = Costs(fresh_s=5.0, resident_s=1.0, evaluation_s=0.0)


def curve(height: float, evaluations: int = 20) -> Training:
    """Rises to its height and stays there."""
    scores = [height * min(1.0, (place + 1) / 4) for place in range(evaluations)]
    return under(TERMS, COSTS, seconds=range(1, evaluations + 1), scores=scores, ticks=range(evaluations))


class Dealt(Strategy):
    """A searcher that has its trials, and remembers what it is told."""

    def __init__(self, heights: list[float]) -> None:
        self._heights = list(heights)
        self._numbers = count()
        self.heard_of: list[tuple[int, int]] = []
        self.ends: list[int] = []
        self.drops: list[int] = []

    def next(self) -> Trial | None:
        return Trial(next(self._numbers), {}, None, 0, curve(self._heights.pop(0))) if self._heights else None

    def heard(self, trial: Trial) -> Decision:
        self.heard_of.append((trial.number, len(trial.points)))
        return "go on"

    def ended(self, trial: Trial) -> None:
        trial.value = trial.running_value
        self.ends.append(trial.number)

    def dropped(self, trial: Trial) -> None:
        self.drops.append(trial.number)


def under_scheduler(scheduler: TrialScheduler, searcher: Dealt, *, slots: int, at_once: int | None) -> list[Trial]:
    scheduler.set_search_properties(VALUE, "min")
    return [each.trial for each in play(Scheduled(scheduler, searcher, at_once=at_once), slots=slots)]


def test_fifo_runs_every_trial_to_its_end_in_turn() -> None:
    searcher = Dealt([0.8, 0.5, 0.95])
    trials = under_scheduler(FIFOScheduler(), searcher, slots=1, at_once=1)
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert [trial.outcome for trial in trials] == ["missed", "missed", "reached"]
    assert [len(trial.points) for trial in trials] == [20, 20, 4]


def test_asha_stops_at_its_rungs_what_lags_behind() -> None:
    searcher = Dealt([0.8, 0.4, 0.85, 0.3])
    trials = under_scheduler(ASHAScheduler(), searcher, slots=1, at_once=1)
    by_number = {trial.number: trial for trial in trials}
    assert [by_number[number].outcome for number in range(4)] == ["missed", "stopped", "missed", "stopped"]
    assert len(by_number[1].points) == len(by_number[3].points) == 1
    # The searcher hears of every evaluation but those with which a trial ends, of which it hears as its end.
    assert (1, 1) not in searcher.heard_of
    assert (0, 19) in searcher.heard_of
    assert (0, 20) not in searcher.heard_of
    assert searcher.ends == [0, 1, 2, 3]


def test_asha_decides_with_what_others_have_reported_by_then() -> None:
    """With both at once the better one's first evaluation comes too late to stop the worse one's."""
    trials = under_scheduler(ASHAScheduler(), Dealt([0.4, 0.8]), slots=2, at_once=2)
    assert [trial.outcome for trial in sorted(trials, key=lambda each: each.number)] == ["missed", "missed"]


def test_the_median_rule_stops_what_is_worse_than_half() -> None:
    rule = MedianStoppingRule(time_attr=ITERATION, grace_period=1, min_samples_required=2)
    trials = under_scheduler(rule, Dealt([0.8, 0.7, 0.2]), slots=1, at_once=1)
    assert [trial.outcome for trial in trials] == ["missed", "missed", "stopped"]


def test_hyperband_pauses_trials_goes_on_with_the_good_and_drops_the_others() -> None:
    searcher = Dealt([0.1 + 0.05 * number for number in range(9)])
    scheduler = HyperBandScheduler(max_t=9, reduction_factor=3)
    trials = under_scheduler(scheduler, searcher, slots=1, at_once=None)
    again = [trial for trial in trials if trial.number > 0 and trial.slice_s > len(trial.points) + COSTS.resident_s]
    assert {*searcher.ends} | {*searcher.drops} == set(range(9))
    assert searcher.drops
    assert again  # they have paid for a start more than once
    assert max(len(trial.points) for trial in trials) == 9


@pytest.mark.parametrize("slots", [1, 3])
def test_no_more_trials_are_open_than_may_be(slots: int) -> None:
    searcher = Dealt([0.5] * 6)
    strategy = Scheduled(FIFOScheduler(), searcher, at_once=slots)
    most = 0
    deal = searcher.next

    def counted() -> Trial | None:
        nonlocal most
        trial = deal()
        most = max(most, len(strategy.get_live_trials()) + (trial is not None))
        return trial

    searcher.next = counted  # type: ignore[method-assign]
    play(strategy, slots=slots)
    assert most == slots
