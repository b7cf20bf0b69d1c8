"""The event loop, with trials of hand-made curves and a strategy that does as it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count

import pytest

from study.replay.clock import Decision, Strategy, Trial, play
from study.replay.training import Costs, Terms, Training, under
from trainables.cap import Cap

TERMS = Terms("accuracy", 0.9, holds=1, limit_s=100.0, clock="warm")
COSTS = Costs(fresh_s=5.0, resident_s=1.0, evaluation_s=0.5)


def curve(*scores: float, every_s: float = 10.0) -> Training:
    seconds = [every_s * place for place in range(1, len(scores) + 1)]
    return under(TERMS, COSTS, seconds=seconds, scores=scores, ticks=range(1, len(scores) + 1))


HIT = curve(0.5, 0.95)  # 20 s of training, 21 s with evaluations
SLOW = curve(0.1, 0.2, 0.3, 0.4)


class Told(Strategy):
    def __init__(
        self,
        trainings: Iterable[Training],
        decide: Callable[[Trial], Decision] = lambda trial: "go on",
        cap: Cap | None = None,
    ) -> None:
        self._left = list(trainings)
        self._numbers = count()
        self._decide = decide
        self._cap = cap
        self.paused: list[Trial] = []
        self.ends: list[int] = []

    def next(self) -> Trial | None:
        if self._left:
            trial = Trial(next(self._numbers), {}, None, 0, self._left.pop(0))
            if self._cap is not None:
                trial.cap = self._cap
            return trial
        return self.paused.pop(0) if self.paused else None

    def heard(self, trial: Trial) -> Decision:
        decision = self._decide(trial)
        if decision == "pause":
            self.paused.append(trial)
        return decision

    def ended(self, trial: Trial) -> None:
        trial.value = trial.running_value
        self.ends.append(trial.number)


def test_a_slot_pays_for_its_process_once() -> None:
    first, second = play(Told([HIT, HIT]), slots=1)
    assert (first.trial.slice_s, second.trial.slice_s) == (5.0 + 21.0, 1.0 + 21.0)
    assert (first.spent_s, second.spent_s) == (26.0, 48.0)
    assert first.trial.outcome == "reached"
    assert first.trial.value == 20.0


def test_or_for_every_trial() -> None:
    ended = play(Told([HIT, HIT]), slots=1, fresh_processes=True)
    assert [each.trial.slice_s for each in ended] == [26.0, 26.0]


def test_trials_on_several_slots_end_in_the_order_of_time_and_running_ones_are_charged_so_far() -> None:
    ended = play(Told([SLOW, HIT, HIT]), slots=2)
    assert [each.trial.number for each in ended] == [1, 0, 2]
    assert ended[0].at_s == 26.0
    assert ended[0].spent_s == 52.0  # the slow one has held its slice for as long
    assert ended[-1].spent_s == pytest.approx(sum(each.trial.slice_s for each in ended))


def test_a_strategy_stops_a_trial_at_an_evaluation() -> None:
    (ended,) = play(Told([SLOW], lambda trial: "stop" if len(trial.points) == 2 else "go on"), slots=1)
    assert ended.trial.outcome == "stopped"
    assert ended.trial.slice_s == 5.0 + 20.0 + 1.0
    assert ended.trial.value == pytest.approx(TERMS.value(None, 0.2))


def test_a_paused_trial_goes_on_where_it_was_and_others_have_its_slot_meanwhile() -> None:
    paused: list[int] = []

    def once(trial: Trial) -> Decision:
        if trial.number == 0 and len(trial.points) == 2 and not paused:
            paused.append(0)
            return "pause"
        return "go on"

    ended = play(Told([SLOW, HIT], once), slots=1)
    assert [each.trial.number for each in ended] == [1, 0]
    assert len(ended[1].trial.points) == 4
    assert ended[1].trial.slice_s == (5.0 + 21.0) + (1.0 + 21.0)


def test_nothing_is_dealt_beyond_the_budget_and_what_runs_runs_on() -> None:
    assert len(play(Told([HIT] * 5), slots=1, budget_s=30.0)) == 2


def test_a_trial_heeds_its_cap_between_two_evaluations() -> None:
    (ended,) = play(Told([SLOW], cap=Cap(seconds=13.0)), slots=1)
    assert ended.trial.outcome == "capped"
    assert ended.trial.points[-1].train_s == 14.0  # the end of the call in which the cap passed
    assert ended.trial.value > TERMS.limit_s


def test_a_hit_after_the_cap_is_none() -> None:
    (ended,) = play(Told([HIT], cap=Cap(seconds=19.5)), slots=1)
    assert ended.trial.outcome == "capped"
    assert ended.trial.tta_s is None


def test_a_hit_before_the_cap_counts() -> None:
    (ended,) = play(Told([HIT], cap=Cap(seconds=20.0)), slots=1)
    assert (ended.trial.outcome, ended.trial.value) == ("reached", 20.0)


def test_a_trial_behind_the_capping_curve_is_stopped_at_its_evaluation() -> None:
    cap = Cap(seconds=90.0, best=((10.0, 0.5), (20.0, 0.8)), margin=0.1)
    (ended,) = play(Told([SLOW], cap=cap), slots=1)
    assert ended.trial.outcome == "capped"
    assert len(ended.trial.points) == 1
