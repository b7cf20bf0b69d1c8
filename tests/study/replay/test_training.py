from __future__ import annotations

from math import inf

import pytest

from study.replay.training import Costs, Point, Terms, Training, under

TERMS = Terms("accuracy", 0.9, holds=1, limit_s=100.0, clock="warm")
COSTS = Costs(fresh_s=5.0, resident_s=1.0, evaluation_s=0.5)


def trained(*scores: float, terms: Terms = TERMS, every_s: float = 10.0, costs: Costs = COSTS) -> Training:
    seconds = [every_s * place for place in range(1, len(scores) + 1)]
    return under(terms, costs, seconds=seconds, scores=scores, ticks=range(1, len(scores) + 1))


def holding(holds: int) -> Terms:
    return Terms("accuracy", 0.9, holds=holds, limit_s=100.0, clock="warm")


def test_a_training_ends_when_it_reaches_the_target() -> None:
    training = trained(0.5, 0.91, 0.95)
    assert len(training.points) == 2
    assert training.tta_s == training.value == 20.0


def test_the_target_must_be_met_as_often_in_a_row_as_it_holds() -> None:
    training = trained(0.91, 0.5, 0.92, 0.93, 0.99, terms=holding(2))
    assert training.tta_s == 40.0


def test_two_evaluations_of_one_interval_count_once() -> None:
    training = under(holding(2), COSTS, seconds=[10, 11, 20], scores=[0.91, 0.92, 0.93], ticks=[2, 2, 3])
    assert training.tta_s == 20.0


def test_a_recording_that_ends_before_the_target_is_a_miss_with_a_value_above_the_limit() -> None:
    training = trained(0.5, 0.8)
    assert training.tta_s is None
    assert training.value == pytest.approx(100.0 * 1.1)


def test_the_limit_ends_a_training_between_two_evaluations_at_the_end_of_a_call() -> None:
    terms = Terms("accuracy", 0.9, holds=1, limit_s=15.0, clock="warm")
    training = trained(0.5, 0.7, 0.99, terms=terms)
    # Calls last two seconds at most: 10, 12, 14, 16; and of the way from 0.5 to 0.7 six tenths are done by then.
    assert training.points[-1] == Point(2, 16.0, pytest.approx(0.62))
    assert training.tta_s is None


def test_a_target_that_is_met_after_the_limit_does_not_count() -> None:
    terms = Terms("accuracy", 0.9, holds=1, limit_s=9.5, clock="warm")
    training = trained(0.95, terms=terms)
    assert training.tta_s is None
    assert training.points == (Point(1, 10.0, 0.95),)


def test_the_cold_clock_begins_with_a_process_and_has_the_evaluations() -> None:
    terms = Terms("accuracy", 0.9, holds=1, limit_s=100.0, clock="cold")
    assert trained(0.5, 0.95, terms=terms).tta_s == 5.0 + 20.0 + 2 * 0.5


def test_a_slice_is_held_from_the_start_with_every_evaluation() -> None:
    training = trained(0.5, 0.95)
    assert training.slice_s(training.points[-1], fresh=False) == 1.0 + 20.0 + 1.0
    assert training.slice_s(training.points[-1], fresh=True) == 5.0 + 20.0 + 1.0


def test_a_loss_is_better_the_lower_it_is() -> None:
    terms = Terms("loss", 0.5, holds=1, limit_s=100.0, clock="warm")
    assert trained(-0.9, -0.4, terms=terms).tta_s == 20.0
    assert trained(-1.0, terms=terms).value == pytest.approx(150.0)
    assert trained(-inf, terms=terms).value == 200.0
