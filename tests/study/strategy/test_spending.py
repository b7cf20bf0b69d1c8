"""When a search has spent enough: pure rules."""

from math import inf, log

import numpy as np
import pytest

from study.strategy.spending import (
    LEAST_HITS,
    LEAST_TRIALS,
    Ended,
    Gain,
    another,
    expected_improvement,
    is_spent,
    pays,
)

DRAWN = np.exp(np.random.default_rng(1).normal(log(10), 0.4, 60)).tolist()


def ended(hits: list[float | None], cost_s: float = 20.0) -> list[Ended]:
    return [Ended(cost_s, hit) for hit in hits]


def test_a_budget_is_spent_by_what_has_ended_and_by_what_runs() -> None:
    assert not is_spent(100, ended([9.0] * 4))
    assert is_spent(100, ended([9.0] * 5))
    assert is_spent(100, ended([9.0, None, 9.0]), [0.0, 0.0])  # which will cost 20 s each, too
    assert is_spent(100, ended([9.0, 9.0]), [61.0])  # which has cost more than others already
    assert not is_spent(100, [], [0.0, 0.0])  # of which nothing is known yet
    assert is_spent(0, [])


def test_a_budget_is_overshot_by_less_than_a_trial_where_trials_cost_alike() -> None:
    for slots in (1, 2, 4):
        done: list[Ended] = []
        while True:  # slots are filled one by one, and the first to run ends first
            running = 0
            while running < slots and not is_spent(200, done, [0.0] * running):
                running += 1
            if not running:
                break
            done += ended([9.0] * (running if not done else 1), cost_s=30.0)
        total = sum(each.cost_s for each in done)
        assert 200 <= total < 230


def test_the_expected_improvement_is_the_mean_of_what_is_drawn() -> None:
    random = np.random.default_rng(0)
    for count, spread in ((5, 0.5), (20, 0.5), (20, 0.05), (20, 0.005)):
        hits = np.exp(random.normal(2.0, spread, count))
        logs, best = np.log(hits), hits.min()
        scale = logs.std(ddof=1) * np.sqrt(1 + 1 / count)
        drawn = np.exp(np.minimum(logs.mean() + scale * random.standard_t(count - 1, 400_000), 50))
        assert expected_improvement(hits.tolist(), best) == pytest.approx(np.maximum(0, best - drawn).mean(), rel=0.05)
    assert expected_improvement([3.0, 3.0, 3.0], 3.0) == 0.0


def test_another_trial_saves_less_the_more_there_were() -> None:
    gains = [another(ended(DRAWN[:count]), startup=3) for count in (10, 20, 40, 60)]
    saved = [gain.saves_s for gain in gains if gain is not None]
    assert len(saved) == 4
    assert saved == sorted(saved, reverse=True)
    assert all(gain is not None and gain.cost_s == pytest.approx(20) for gain in gains)


def test_misses_make_a_gain_less_likely() -> None:
    all_hit = another(ended(DRAWN[:20]), startup=0)
    half = another(ended([each for hit in DRAWN[:20] for each in (hit, None)]), startup=0)
    assert all_hit is not None
    assert half is not None
    assert half.saves_s == pytest.approx(all_hit.saves_s / 2)


@pytest.mark.parametrize(
    "hits",
    [DRAWN[: 10 + LEAST_TRIALS - 1], [None] * 30, [None] * 20 + DRAWN[: LEAST_HITS - 1], []],
)
def test_where_too_little_is_known_a_search_goes_on(hits: list[float | None]) -> None:
    assert another(ended(hits), startup=10) is None
    assert pays(another(ended(hits), startup=10), 1)


def test_trials_of_the_start_count_where_others_hardly_hit() -> None:
    gain = another(ended([*DRAWN[:10], *[None] * 9, 9.0]), startup=10)
    assert gain is not None
    mine = [*DRAWN[:10], 9.0]
    assert gain.saves_s == pytest.approx(11 / 20 * expected_improvement(mine, min(mine)))


def test_a_trial_pays_for_itself_after_so_many_trainings() -> None:
    gain = Gain(cost_s=9.3, saves_s=0.02)
    assert gain.pays_after == 465
    assert not pays(gain, 464)
    assert pays(gain, 465)
    assert pays(gain, 0)  # the rule is off
    assert Gain(9.3, 0.0).pays_after == inf
    assert not pays(Gain(9.3, 0.0), 10**9)
