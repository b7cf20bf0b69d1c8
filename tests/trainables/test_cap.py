from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.cap import NO_CAP, Cap, score

CAP = Cap(seconds=4.0, best=((1.0, 0.5), (2.0, 0.8), (3.0, 0.9)), margin=0.05)


def test_without_a_cap_nothing_stops() -> None:
    assert NO_CAP.stops([1.0, 1e9], [0.0, 0.0]) is None
    assert not NO_CAP.over(1e9)


@pytest.mark.parametrize(
    ("seconds", "scores", "reason"),
    [
        ([], [], None),
        ([0.5], [0.0], None),  # the curve has nothing yet
        ([1.0], [0.46], None),  # within the margin
        ([1.0], [0.44], "curve"),
        ([1.99], [0.46], None),  # its next evaluation is still to come
        ([2.0], [0.46], "curve"),
        ([1.0, 2.0], [0.8, 0.1], None),  # the best counts, not the last
        ([3.9], [0.9], None),
        ([4.0], [0.9], None),
        ([4.1], [0.9], "time"),
        ([4.1], [0.1], "time"),
        ([2.0], [float("-inf")], "curve"),
    ],
)
def test_why_a_trial_is_stopped(seconds: list[float], scores: list[float], reason: str | None) -> None:
    assert CAP.stops(seconds, scores) == reason


@given(
    seconds=st.none() | st.floats(0, 1e6),
    best=st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e6, 1)), max_size=4).map(tuple),
    margin=st.floats(0, 1),
)
def test_it_travels_as_json(seconds: float | None, best: tuple[tuple[float, float], ...], margin: float) -> None:
    cap = Cap(seconds, best, margin)
    assert Cap.from_dict(json.loads(json.dumps(cap.as_dict()))) == cap


def test_scores_are_higher_where_better() -> None:
    assert score("accuracy", accuracy=0.9, loss=2.0) == 0.9
    assert score("loss", accuracy=0.9, loss=2.0) == -2.0
    assert score("accuracy", accuracy=None, loss=2.0) == score("loss", accuracy=None, loss=None) == float("-inf")
