from __future__ import annotations

import pytest

from study.strategy.capping import CapRule, Curve, cap_for, noise, running_best
from trainables.cap import NO_CAP, Cap


def hit(tta_s: float, *scores: float, host: str = "here") -> Curve:
    """Reaches the target at its last evaluation."""
    seconds = tuple(tta_s * (place + 1) / len(scores) for place in range(len(scores)))
    return Curve(host, seconds, scores, tta_s)


MISS = Curve("here", (1.0,), (0.1,), None)
RULE = CapRule(slack=1.5, rank=1, margin=None)


def test_there_is_no_cap_before_the_first_hit() -> None:
    assert cap_for(RULE, [], host="here") == NO_CAP
    assert cap_for(RULE, [MISS], host="here") == NO_CAP


def test_another_machines_seconds_count_for_nothing() -> None:
    curves = [hit(1.0, 0.9, host="fast"), hit(4.0, 0.9, host="slow")]
    assert cap_for(RULE, curves, host="slow").seconds == 6.0
    assert cap_for(RULE, curves, host="fast").seconds == 1.5
    assert cap_for(RULE, curves, host="new") == NO_CAP


@pytest.mark.parametrize(("rank", "seconds"), [(1, 1.5), (2, 3.0), (3, 4.5), (5, 4.5)])
def test_the_rank_th_best_counts_or_the_last_there_is(rank: int, seconds: float) -> None:
    curves = [hit(3.0, 0.9), MISS, hit(1.0, 0.9), hit(2.0, 0.9)]
    assert cap_for(CapRule(slack=1.5, rank=rank, margin=None), curves, host="here").seconds == seconds


def test_the_curve_is_stretched_by_the_slack_and_never_falls() -> None:
    cap = cap_for(CapRule(slack=2.0, rank=1, margin=0.0), [hit(4.0, 0.5, 0.7, 0.6, 0.9)], host="here")
    assert cap == Cap(8.0, ((2.0, 0.5), (4.0, 0.7), (6.0, 0.7), (8.0, 0.9)))


def test_the_margin_grows_with_the_noise() -> None:
    quiet, loud = hit(4.0, 0.5, 0.7, 0.8, 0.9), hit(4.0, 0.5, 0.7, 0.6, 0.9)
    rule = CapRule(slack=1.5, rank=1, margin=2.0)
    assert cap_for(rule, [quiet], host="here").margin == 0.0
    assert cap_for(rule, [loud], host="here").margin == pytest.approx(2 * 0.1 / 3**0.5)


def test_noise_is_of_what_falls_below_the_best_before() -> None:
    assert noise([]) == noise([hit(1.0, 0.9)]) == 0.0
    assert noise([hit(4.0, 0.5, 0.7, 0.6, 0.9)]) == pytest.approx(0.1 / 3**0.5)
    assert noise([Curve("here", (1.0, 2.0), (0.5, float("-inf")), 2.0)]) == 0.0


def test_running_best() -> None:
    assert running_best([0.5, 0.7, 0.6]) == [0.5, 0.7, 0.7]
