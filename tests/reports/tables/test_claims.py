from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.tables.claims import claims, dots, other_measures, successes
from reports.tables.verdict import verdict
from reports.tables.why import attribution
from tests.reports.conftest import make, race, study, trial


def raced(
    ratio: float, *, spread: float = 0.05, luck: float = 0.2, runs: int = 10, seed: int = 0, **changes: Any
) -> pd.DataFrame:
    """Ten trials a search; configurations differ by ``luck``, runs by ``spread``, frameworks by ``ratio``."""
    noise = np.random.default_rng(seed)
    typical = {"pytorch": 2.0 * np.exp(luck * np.sort(noise.random(10))), "flux": 2.0 * np.exp(luck * noise.random(10))}
    typical["flux"] = ratio * np.sort(typical["flux"])
    rows = [trial(name, "search", number, typical[name][number]) for name in typical for number in range(10)]

    def tta_s(name: str, number: int, pair: int = 0) -> float:
        return float(typical[name][number] * np.exp(spread * noise.standard_normal()))

    race(rows, tta_s)
    for number in range(runs):
        rows += [trial(name, "confirm", number, tta_s(name, 0), confirms=None, **changes) for name in typical]
    return study(rows).trials


def of(table: pd.DataFrame, scope: str, clock: str = "warm") -> Any:
    return table[(table["scope"] == scope) & (table["clock"] == clock)].iloc[0]


def test_both_scopes_have_the_ratio_of_the_attribution() -> None:
    trials = raced(0.8)
    table = claims(trials)
    frameworks, configurations = of(table, "framework"), of(table, "configuration")
    parts = attribution(trials).set_index("part").loc["time to target"]
    assert frameworks["ratio"] == configurations["ratio"] == parts["ratio"]
    assert parts[["ratio_low", "ratio_high"]].tolist() == configurations[["ratio_low", "ratio_high"]].tolist()
    assert frameworks["ratio_low"] < configurations["ratio_low"] < configurations["ratio_high"]
    assert configurations["ratio_high"] < frameworks["ratio_high"]
    assert frameworks["detectable"] > configurations["detectable"] > 1


def test_the_narrower_statement_names_who_is_faster() -> None:
    assert "whatever another search would find: warm, Flux is 1." in verdict(raced(0.6))
    assert "whatever another search would find: warm, PyTorch is 1." in verdict(raced(1.6))
    assert " of PyTorch's time, inconclusive; cold, " in verdict(raced(1.0, spread=0.5))


def test_the_claim_about_frameworks_covers_the_search() -> None:
    """The same times, but finalists that differ: what another search would have found is less sure."""
    close, far = (of(claims(raced(0.7, luck=luck, spread=0.02)), "framework") for luck in (0.05, 1.5))
    assert close["verdict"] == "faster"
    assert far["verdict"] == "inconclusive"


def test_a_study_without_a_race_claims_nothing_about_frameworks() -> None:
    records = make(0.8)
    assert set(claims(records.trials)["scope"]) == {"configuration"}
    assert "how lucky the searches were it does not cover" in verdict(records.trials)


def test_a_framework_with_one_finalist_shows_no_luck_of_its_search() -> None:
    trials = raced(0.8)
    winner = trials.loc[(trials["phase"] == "confirm") & (trials["framework"] == "flux"), "confirms"].iloc[0]
    others = (trials["phase"] == "race") & (trials["framework"] == "flux") & (trials["confirms"] != winner)
    one = trials[~others]
    row = of(claims(one), "framework")
    assert math.isnan(row["ratio_low"])
    assert row["reason"] == "fewer than two configurations of Flux reached the target in the race"
    assert "no interval, for fewer than two configurations of Flux" in verdict(one)


def test_nine_hits_that_beat_all_others_are_not_slower_for_one_miss() -> None:
    """One miss made it a ratio of means cut at the limit, and the sooner framework the slower one."""
    rows = [trial("pytorch", "search", 0, 2.0), trial("flux", "search", 0, 1.0)]
    for number in range(10):
        rows.append(trial("pytorch", "confirm", number, 2.0 + 0.01 * number, limit_s=60.0))
        rows.append(trial("flux", "confirm", number, None if number == 4 else 1.5 + 0.02 * number, limit_s=60.0))
    trials = study(rows).trials
    row = of(claims(trials), "configuration")
    assert row["verdict"] == "faster"
    assert row["missed"] == 1
    assert other_measures(trials).iloc[0]["means"] > 1  # which decides nothing
    assert other_measures(trials).iloc[0]["medians"] < 1


def test_one_miss_changes_the_interval_and_hardly_the_estimate() -> None:
    whole, missed = (of(claims(make(0.8, spread=0.1, flux_misses=misses).trials), "configuration") for misses in (0, 1))
    assert missed["ratio"] == pytest.approx(whole["ratio"], rel=0.02)
    assert math.isfinite(missed["ratio_high"])


@pytest.mark.parametrize(("misses", "ratio"), [(4, True), (5, False)])
def test_fewer_than_half_reached_leave_success_rates_only(misses: int, ratio: bool) -> None:
    trials = make(0.8, flux_misses=misses).trials
    assert claims(trials)["ratio"].notna().all() == ratio
    said = verdict(trials)
    assert (
        f"Flux reached 95 % validation accuracy on digits-lenet in {10 - misses} of 10 runs, PyTorch in 10 of 10"
        in said
    )
    assert "Fisher's exact test" in said
    assert ("Flux reached the target in no more than half of its runs" in said) != ratio
    assert successes(trials)["p_value"].iloc[0] < 0.1


def test_pairs_that_both_missed_say_nothing() -> None:
    rows = [trial("pytorch", "search", 0, 2.0), trial("flux", "search", 0, 2.0)]
    for number in range(12):
        missed = number < 3
        rows += [trial(name, "confirm", number, None if missed else 2.0) for name in ("pytorch", "flux")]
    row = of(claims(study(rows).trials), "configuration")
    assert row["pairs"] == 9
    assert row["missed"] == 0
    assert row["ratio"] == pytest.approx(1.0)


@pytest.mark.parametrize("runs", [3, 4])
def test_fewer_than_five_pairs_have_no_interval(runs: int) -> None:
    trials = raced(0.5, runs=runs)
    assert (claims(trials)["verdict"] == "").all()
    assert f"no interval, for an interval needs 5 pairs of runs, and there are {runs}" in verdict(trials)
    assert (claims(raced(0.5, runs=5))["verdict"] != "").all()


def test_a_claim_is_not_made_against_medians_and_log_rank() -> None:
    """Most pairs say one thing, all runs taken together the other: the order of the seeds decides nothing."""
    rows = [trial("pytorch", "search", 0, 2.0), trial("flux", "search", 0, 2.0)]
    flux = [1.0] * 9 + [50.0] * 2
    pytorch = [1.0 + 1e-9] * 4 + [40.0] * 7
    for number, (one, other) in enumerate(zip(flux, pytorch, strict=True)):
        rows += [trial("flux", "confirm", number, one), trial("pytorch", "confirm", number, other)]
    row = of(claims(study(rows).trials), "configuration")
    assert row["verdict"] in ("faster", "inconclusive")


def test_a_stalled_start_up_leaves_the_warm_claim_alone() -> None:
    """It was 1.00x [1.00, 1.00]: every warm time was cut at the 9.7 s that the stalled run had left."""
    cold = {"objective_clock": "cold", "limit_s": 100.0}
    rows = [trial("pytorch", "search", 0, 20.0, **cold), trial("flux", "search", 0, 30.0, **cold)]
    for number in range(10):
        rows.append(trial("pytorch", "confirm", number, 20.0 + 0.1 * number, **cold))
        stalled = {"train_s": 9.7, "startup_s": 90.3} if number == 0 else {}
        rows.append(trial("flux", "confirm", number, None if stalled else 30.0 + 0.1 * number, **cold, **stalled))
    row = of(claims(study(rows).trials), "configuration")
    assert row["ratio"] == pytest.approx(1.5, rel=0.01)
    assert row["verdict"] == "slower"


def test_every_run_is_a_dot() -> None:
    trials = raced(0.8)
    table = dots(trials)
    assert table.groupby(["scope", "clock"]).size().tolist() == [10, 10, 20, 20]
    assert np.log(table[(table["scope"] == "configuration") & (table["clock"] == "warm")]["ratio"]).mean() == (
        pytest.approx(math.log(of(claims(trials), "configuration")["ratio"]))
    )
    assert dots(make(0.8, flux_misses=2).trials)["missed"].tolist().count("flux") == 4  # on both clocks
