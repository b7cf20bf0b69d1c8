from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.cap import NO_CAP, Cap, score_of

CAP = Cap(seconds=4.0, best=((1.0, 0.5), (2.0, 0.8), (3.0, 0.9)), margin=0.05)


def test_without_a_cap_nothing_stops() -> None:
    assert NO_CAP.stops(1e9, float("-inf")) is None
    assert not NO_CAP.over(1e9)


@pytest.mark.parametrize(
    ("seconds", "best", "reason"),
    [
        (0.5, 0.0, None),  # the curve has nothing yet
        (1.0, 0.46, None),  # within the margin
        (1.0, 0.44, "curve"),
        (1.99, 0.46, None),  # its next evaluation is still to come
        (2.0, 0.46, "curve"),
        (3.9, 0.9, None),
        (4.0, 0.9, None),
        (4.1, 0.9, "time"),
        (4.1, 0.1, "time"),
        (2.0, float("-inf"), "curve"),
    ],
)
def test_why_a_trial_is_stopped(seconds: float, best: float, reason: str | None) -> None:
    assert CAP.stops(seconds, best) == reason


@pytest.mark.parametrize(
    ("seconds", "aim"),
    [(0.5, 0.88), (1.0, 0.5), (2.5, 0.8), (3.5, 0.88), (99.0, 0.88)],  # never above the target
)
def test_a_trial_that_was_capped_early_is_judged_by_what_could_be_had_by_then(seconds: float, aim: float) -> None:
    assert CAP.aim("accuracy", 0.88, seconds) == aim
    losses = Cap(4.0, ((1.0, -2.0), (2.0, -1.0), (3.0, -0.1)))
    assert [losses.aim("loss", 0.2, each) for each in (0.5, 1.0, 2.5, 3.5)] == [0.2, 2.0, 1.0, 0.2]
    assert NO_CAP.aim("accuracy", 0.88, seconds) == 0.88


def test_a_trial_that_had_all_the_time_there_was_is_judged_by_the_target() -> None:
    lagging = Cap(seconds=2.5, best=((2.0, 0.5), (4.0, 0.8), (5.0, 0.9)), margin=0.05)
    assert [lagging.aim("accuracy", 0.88, seconds) for seconds in (2.4, 2.6)] == [0.5, 0.88]


@given(
    seconds=st.none() | st.floats(0, 1e6),
    best=st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e6, 1)), max_size=4).map(tuple),
    margin=st.floats(0, 1),
)
def test_it_travels_as_json(seconds: float | None, best: tuple[tuple[float, float], ...], margin: float) -> None:
    cap = Cap(seconds, best, margin)
    assert Cap.from_dict(json.loads(json.dumps(cap.as_dict()))) == cap


def test_scores_are_higher_where_better() -> None:
    assert score_of("accuracy", accuracy=0.9, loss=2.0) == 0.9
    assert score_of("loss", accuracy=0.9, loss=2.0) == -2.0
    assert score_of("accuracy", accuracy=None, loss=2.0) == score_of("loss", accuracy=None, loss=None) == float("-inf")
