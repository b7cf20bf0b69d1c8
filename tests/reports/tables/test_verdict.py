from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from reports.records import StudyRecords
from reports.tables.trials import best_configurations
from reports.tables.verdict import verdict, verdicts
from tests.reports.conftest import study, trial

Make = Callable[..., StudyRecords]


def test_a_difference_is_stated_with_its_interval(two_frameworks: Make) -> None:
    said = verdict(two_frameworks(0.8).trials)
    assert said.startswith("Flux reaches 95 % validation accuracy on digits-lenet in 0.8")
    assert "no difference shown" not in said.split(";")[0]
    assert "(10 of 10 and 10 of 10 runs reached it)" in said


def test_no_difference_is_called_none(two_frameworks: Make) -> None:
    assert "warm: no difference shown" in verdict(two_frameworks(1.0, spread=0.5).trials)


def test_restricted_means_where_runs_missed_the_target(two_frameworks: Make) -> None:
    records = two_frameworks(0.8, flux_misses=3)
    compared = verdicts(records.trials)
    warm = compared[compared["clock"] == "warm"].iloc[0]
    confirmed = records.trials[records.trials["phase"] == "confirm"].set_index("framework")
    flux = confirmed.loc["flux", "warm_tta_s"].fillna(10.0)  # a miss counts with its limit
    assert warm["measure"] == "restricted mean"
    assert warm["ratio"] == pytest.approx(flux.mean() / confirmed.loc["pytorch", "warm_tta_s"].mean())
    assert warm["ratio_low"] < warm["ratio"] < warm["ratio_high"]
    said = verdict(records.trials)
    assert "Flux's mean time, cut at 10.0 s, is" in said
    assert "(7 of 10 and 10 of 10 runs reached it)" in said
    best = best_configurations(records.trials).set_index("framework")
    assert best["limit_warm_s"].tolist() == [10.0, 10.0]  # so that both means can be compared
    assert best.loc["flux", "mean_warm_s"] / best.loc["pytorch", "mean_warm_s"] == pytest.approx(warm["ratio"])


def test_the_interval_covers_the_true_ratio() -> None:
    covered = 0
    for seed in range(40):
        noise = np.random.RandomState(seed)
        rows = [trial("pytorch", "search", 0, 2.0), trial("flux", "search", 0, 2.0)]
        for number in range(15):
            luck = np.exp(0.3 * noise.standard_normal())
            rows.append(trial("pytorch", "confirm", number, 2.0 * luck * np.exp(0.1 * noise.standard_normal())))
            rows.append(trial("flux", "confirm", number, 1.4 * luck * np.exp(0.1 * noise.standard_normal())))
        warm = verdicts(study(rows).trials).iloc[0]
        covered += warm["ratio_low"] <= 0.7 <= warm["ratio_high"]
    assert covered >= 35  # 38 of 40 are expected at 95 %


def test_all_failed() -> None:
    rows = [trial("flux", "search", number, None, outcome="failed", objective=None) for number in range(3)]
    assert verdict(study(rows).trials).startswith("All 3 trials of Flux failed")


def test_two_runs_are_too_few_for_an_interval(two_frameworks: Make) -> None:
    assert "too few runs for an interval" in verdict(two_frameworks(0.8, runs=2).trials)


def test_one_framework_alone() -> None:
    rows = [
        trial("pytorch", "search", 0, 2.0),
        *(trial("pytorch", "confirm", number, 2.0 + number) for number in range(5)),
    ]
    said = verdict(study(rows).trials)
    assert said.startswith("PyTorch reaches 95 % validation accuracy on digits-lenet in 4.00 s [")
    assert said.endswith("nothing to compare it with.")


def test_nothing_reached() -> None:
    said = verdict(study([trial("pytorch", "search", number, None) for number in range(3)]).trials)
    assert said.startswith("PyTorch never reached 95 % validation accuracy on digits-lenet in 3 trials.")


def test_nothing_confirmed() -> None:
    said = verdict(study([trial("pytorch", "search", 0, 2.0), trial("pytorch", "search", 1, None)]).trials)
    assert "in 1 of 2 trials; its best configuration is not confirmed" in said


def test_reached_in_the_search_but_never_again() -> None:
    rows = [trial("pytorch", "search", 0, 2.0), *(trial("pytorch", "confirm", number, None) for number in range(3))]
    assert "in none of 3 confirmation runs" in verdict(study(rows).trials)


def test_no_trials() -> None:
    assert verdict(study([]).trials) == "No trial has finished yet."
