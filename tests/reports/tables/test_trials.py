from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from reports.figures import runs as figures
from reports.goals import ACCURACY
from reports.page.sections import cost_section
from reports.records import StudyRecords
from reports.sentences import plain
from reports.tables import cost
from reports.tables import trials as tables
from reports.tables.cost import Price
from reports.winners import winners
from tests.reports.conftest import TARGET, race, study, trial

Make = Callable[..., StudyRecords]


def test_the_winner_is_the_lowest_objective_that_was_reached() -> None:
    rows = [
        trial("pytorch", "search", 0, 2.0),
        trial("pytorch", "search", 1, 1.0),
        trial("pytorch", "search", 2, 1.0),
        trial("pytorch", "search", 3, None, objective=0.1),
        trial("pytorch", "confirm", 0, 0.5),
        trial("flux", "search", 0, None),
    ]
    best = winners(rows)
    assert list(best) == ["pytorch"]
    assert best["pytorch"]["number"] == 1  # of equals, the earlier


def test_claims_rest_on_confirmation_runs(two_frameworks: Make) -> None:
    best = tables.best_configurations(two_frameworks(0.8).trials).set_index("framework")
    assert best.loc["pytorch", "search_s"] == pytest.approx(1.8)  # the search's best
    assert best.loc["pytorch", "warm_s"] == pytest.approx(2.0, rel=0.1)  # the truth
    assert best.loc["flux", "warm_s"] == pytest.approx(1.6, rel=0.1)
    assert (best["warm_s_low"] < best["warm_s"]).all()
    assert (best["cold_s"] - best["warm_s"]).to_numpy() == pytest.approx(3.0)
    assert best["reached"].tolist() == best["runs"].tolist() == [10, 10]
    assert best.loc["pytorch", "learning_rate"] == pytest.approx(0.025)


def test_every_second_is_charged_once(two_frameworks: Make) -> None:
    records = two_frameworks(0.8, flux_misses=2)
    records.trials.loc[0, "lost_s"] = 1.5
    table = cost.search_cost(records.trials)
    parts = table[table["fate"] != "search in all"]
    assert parts["slice_s"].sum() == pytest.approx(records.trials["slice_s"].sum())
    assert parts["cpu_s"].sum() == pytest.approx(2 * records.trials["slice_s"].sum())
    assert parts["gpu_s"].sum() == 0
    assert parts.loc[parts["fate"] != "lost", "trials"].sum() == len(records.trials)
    assert parts.loc[parts["fate"] == "lost", "slice_s"].tolist() == [1.5]
    whole = table[table["fate"] == "search in all"].set_index("framework")
    assert whole.loc["flux", "slice_s"] == pytest.approx(4 * (4.0 + 4.0))
    assert whole["trials"].tolist() == [4, 4]
    assert whole.loc["flux", "overhead"] == pytest.approx(4 * 3.0 / 32.0)


def test_money_is_hours_times_price(two_frameworks: Make) -> None:
    table = cost.search_cost(two_frameworks(0.8).trials, Price(cpu_hour=0.5))
    assert table["money"].to_numpy() == pytest.approx(0.5 * table["cpu_s"].to_numpy() / 3600)


def test_when_the_search_has_paid_for_itself() -> None:
    rows = [trial("pytorch", "search", number, tta) for number, tta in enumerate([6.0, 5.0, 2.0, None, 5.0])]
    rows += [trial("pytorch", "confirm", number, 3.0) for number in range(3)]
    found = cost.incumbents(study(rows).trials).iloc[0]
    assert found["trial_id"] == "search-pytorch-00002"
    assert found["search_trials"] == 5
    assert found["saved_s"] == pytest.approx(5.0 - 3.0)  # the median trial against the confirmed winner
    assert found["pays_after"] == np.ceil((10 + 9 + 6 + 14 + 9) / 2.0)
    assert found["median_reached"]
    assert np.isnan(found["pays_after_low"])  # three runs are too few


def test_trials_that_shared_a_machine_are_not_compared_with_runs_alone() -> None:
    """At the same configuration a sample took 1.25 times as long in the search: the median trial is slower by that."""
    rows = [trial("pytorch", "search", number, 5.0 + number, samples=1000) for number in range(9)]
    rows += [trial("pytorch", "confirm", number, 4.0, samples=1000) for number in range(6)]
    found = cost.incumbents(study(rows).trials).iloc[0]
    assert found["contention"] == pytest.approx(1.25)
    assert found["median_s"] == pytest.approx(9.0 / 1.25)
    assert found["saved_s"] == pytest.approx(9.0 / 1.25 - 4.0)
    assert found["saved_s_low"] < found["saved_s"] < found["saved_s_high"]
    assert found["pays_after_low"] < found["pays_after"] < found["pays_after_high"]
    assert found["pays_after_low"] == np.ceil(found["search_slice_s"] / found["saved_s_high"])


def test_where_nothing_may_be_saved_there_is_no_bound() -> None:
    rows = [trial("pytorch", "search", number, 4.0 + number) for number in range(6)]
    rows += [trial("pytorch", "confirm", number, 4.0 + number) for number in range(5)]
    found = cost.incumbents(study(rows).trials).iloc[0]
    assert found["saved_s"] == pytest.approx(0.5)
    assert found["pays_after_high"] == np.inf


def test_a_race_is_part_of_what_the_search_cost() -> None:
    rows = [trial("pytorch", "search", number, 2.0 + number) for number in range(3)]
    race(rows, lambda name, number, pair: 2.0, k=2, runs=2)
    trials = study(rows).trials
    table = cost.search_cost(trials).set_index("fate")["slice_s"]
    assert table["race"] == pytest.approx(4 * 6.0)
    assert table["search in all"] == pytest.approx(6 + 7 + 8 + 4 * 6.0)
    counted = cost.search_cost(trials).set_index("fate")["trials"]
    assert counted["search in all"] == 3 + 4  # as its fresh processes and its seconds do, with the race's runs
    found = cost.incumbents(trials).iloc[0]
    assert found["search_slice_s"] == table["search in all"]
    assert found["race_slice_s"] == table["race"]


def test_what_was_capped_is_told_apart_and_bounds_the_median() -> None:
    """A trial that was capped after 3 s of a limit of 10 counts with 3 s, and never as a miss after 10."""
    rows = [trial("pytorch", "search", 0, 2.0), trial("pytorch", "search", 1, 4.0), trial("pytorch", "search", 2, None)]
    rows += [
        trial(
            "pytorch", "search", number, None, outcome="capped", capped_by="time", cap_s=3.0, train_s=3.0, slice_s=7.0
        )
        for number in (3, 4)
    ]
    trials = study(rows).trials
    table = cost.search_cost(trials).set_index("fate")
    assert table["trials"].to_dict() == {"finished": 2, "capped": 2, "missed": 1, "search in all": 5}
    assert table.loc["capped", "slice_s"] == 14.0
    found = cost.incumbents(trials).iloc[0]
    assert (found["capped"], found["median_s"], found["median_reached"]) == (2, 3.0, False)
    only_hits = cost.incumbents(study([*rows[:2], trial("pytorch", "search", 2, 3.0)]).trials).iloc[0]
    assert (only_hits["capped"], only_hits["median_s"], only_hits["median_reached"]) == (0, 3.0, True)


def searched(*, cap_s: float) -> StudyRecords:
    """A search of which the curve stopped most, each after half a second, and its winner's runs."""
    capped = {"outcome": "capped", "capped_by": "curve", "cap_s": cap_s, "train_s": 0.5}
    rows = [trial("pytorch", "search", 0, 2.0), trial("pytorch", "search", 1, 4.0)]
    rows += [trial("pytorch", "search", number, None, **capped) for number in range(2, 9)]
    return study(rows + [trial("pytorch", "confirm", number, 2.0, confirms=0) for number in range(5)])


def test_trials_that_were_stopped_soon_do_not_make_the_median_trial_a_quick_one() -> None:
    found = cost.incumbents(searched(cap_s=2.5).trials).iloc[0]
    assert (found["median_s"], found["saved_s"], found["median_reached"]) == (2.5, 0.5, False)
    said = " ".join(map(plain, cost_section(searched(cap_s=2.5).trials, None).said))
    assert "in which a trial that was capped or missed counts with its cap or limit, PyTorch's best saves 0.5" in said


def test_where_the_median_trial_is_but_a_bound_it_is_not_said_that_nothing_is_saved() -> None:
    found = cost.incumbents(searched(cap_s=2.0).trials).iloc[0]
    assert np.isnan(found["pays_after"])
    said = " ".join(map(plain, cost_section(searched(cap_s=2.0).trials, None).said))
    assert "PyTorch's search may or may not pay for itself: its median trial" in said
    assert "takes at least 2.00 s, no more than its best configuration" in said


def test_draws_with_replacement_surround_the_search() -> None:
    times = [None, 5.0, 7.0, 3.0, None, 4.0, 6.0, 2.5]
    trials = study([trial("pytorch", "search", i, tta) for i, tta in enumerate(times)]).trials
    band = cost.resampled(trials)
    low, high = band[["low_s", "high_s"]].iloc[-1]
    assert low == 2.5
    assert high > 2.5  # another search of as many trials need not find it; another order of the same ones must
    known = band.dropna()
    assert (known["low_s"] <= known["high_s"]).all()
    assert known["high_s"].is_monotonic_decreasing
    assert band["slice_s"].iloc[-1] == pytest.approx(cost.best_so_far(trials)["slice_s"].iloc[-1])


def test_trials_at_the_same_time_are_on_slots_of_their_own() -> None:
    spans = [(0, 10), (1, 5), (6, 12), (10.2, 20)]
    rows = [
        trial("pytorch", "search", number, 2.0, began_at=1000.0 + began, ended_at=1000.0 + ended)
        for number, (began, ended) in enumerate(spans)
    ]
    occupied = cost.slots(study(rows).trials)
    assert occupied["slot"].tolist() == [0, 1, 1, 0]
    assert occupied["began_s"].tolist() == pytest.approx([0, 1, 6, 10.2])


def test_best_so_far_never_rises() -> None:
    objectives = [None, 5.0, 7.0, 3.0, None, 4.0]
    curve = cost.best_so_far(study([trial("pytorch", "search", i, tta) for i, tta in enumerate(objectives)]).trials)
    assert np.isnan(curve["best_s"].iloc[0])
    assert curve["best_s"].tolist()[1:] == [5.0, 5.0, 3.0, 3.0, 3.0]
    assert curve["slice_s"].is_monotonic_increasing
    assert curve["slice_s"].iloc[-1] == pytest.approx(14 + 9 + 11 + 7 + 14 + 8)


def test_curves_are_of_confirmation_runs_or_else_of_winners(two_frameworks: Make) -> None:
    records = two_frameworks(0.8)
    curves = tables.metric_curves(records.trials, records.evaluations)
    assert curves["trial_id"].str.startswith("confirm-").all()
    assert curves["trial_id"].nunique() == 20
    alone = study([trial("pytorch", "search", 0, 3.0), trial("pytorch", "search", 1, 2.0)])
    curves = tables.metric_curves(alone.trials, alone.evaluations)
    assert curves["trial_id"].unique().tolist() == ["search-pytorch-00001"]


def test_figures_draw_what_the_tables_hold(two_frameworks: Make) -> None:
    records = two_frameworks(0.8)
    curves = tables.metric_curves(records.trials, records.evaluations)
    figure = figures.metric_against_time(curves, goal=ACCURACY, target=TARGET)
    assert len(figure.axes[0].lines) == 20 + 1
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"Flux", "PyTorch", "target 0.95"}
    incumbents = cost.best_so_far(records.trials)
    found = cost.incumbents(records.trials)
    axes = figures.best_against_cost(incumbents, cost.resampled(records.trials), found).axes[0]
    drawn = {line.get_label(): line.get_ydata() for line in axes.lines}
    for name, title in (("pytorch", "PyTorch"), ("flux", "Flux")):
        assert np.allclose(drawn[title], incumbents.loc[incumbents["framework"] == name, "best_s"])
    marked = [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "D"]
    assert sorted(marked) == pytest.approx(sorted(found["best_s"]))


def test_tables_of_no_trials() -> None:
    empty: pd.DataFrame = study([]).trials
    assert tables.best_configurations(empty).empty
    assert cost.best_so_far(empty).empty


def test_a_winner_that_mostly_misses_does_not_pay() -> None:
    rows = [trial("flux", "search", number, 2.0 + number) for number in range(3)]
    rows += [trial("flux", "confirm", number, 2.0 if number == 0 else None) for number in range(10)]
    found = cost.incumbents(study(rows).trials).iloc[0]
    assert found["best_s"] == 10.0  # the limit
    assert np.isnan(found["pays_after"])


def test_the_command_repeats_the_options_that_are_not_the_usual_ones() -> None:
    usual = {"precision": "float32", "memory_format": "contiguous", "data_on_device": False}
    others = {"precision": "bf16", "memory_format": "channels_last", "data_on_device": True}
    options = ("--precision bf16", "--memory-format channels_last", "--data-on-device")
    for changes in ({}, usual):  # an older version recorded none
        said = tables.command(trial("pytorch", "search", 0, 2.0, **changes))
        assert not [each for each in options if each.split()[0] in said]
    said = tables.command(trial("pytorch", "search", 0, 2.0, **others))
    assert all(each in said for each in options)
