"""Which configuration a trial should run again."""

import pytest

from study.strategy.repeating import repeats, typical

ENDED = [("a", 5.0), ("b", 3.0), ("c", None), ("a", 4.0), ("b", 9.0)]


def test_every_so_manieth_trial_after_the_start_runs_the_best_again() -> None:
    asked = [repeats(place, ENDED, every=3, startup=2, most=4) for place in range(9)]
    assert asked == [None, None, None, None, "a", None, None, "a", None]  # 4.47 s on average, b 5.2 s


def test_none_is_run_too_often_and_none_that_missed() -> None:
    assert repeats(0, ENDED, every=1, startup=0, most=2) is None
    assert repeats(0, [*ENDED, ("d", 8.0)], every=1, startup=0, most=2) == "d"
    assert repeats(0, [("a", 1.0), ("a", None), ("b", 2.0)], every=1, startup=0, most=9) == "b"
    assert repeats(0, ENDED, every=0, startup=0, most=9) is None
    assert repeats(0, [], every=1, startup=0, most=9) is None


def test_a_typical_time_is_the_geometric_mean_of_hits() -> None:
    assert typical([2.0, 8.0]) == pytest.approx(4.0)
    assert typical([2.0, None]) is None
    assert typical([]) is None
