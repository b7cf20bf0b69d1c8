from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from reports import figures, tables
from reports.load import StudyRecords
from reports.winners import winners
from tests.reports.conftest import TARGET, study, trial

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
    cost = tables.search_cost(records.trials)
    assert cost["slice_s"].sum() == pytest.approx(records.trials["slice_s"].sum())
    assert cost["cpu_s"].sum() == pytest.approx(2 * records.trials["slice_s"].sum())
    assert cost["gpu_s"].sum() == 0
    assert cost["trials"].sum() == len(records.trials)
    searched = tables.cost_per_framework(records.trials).set_index("framework")
    assert searched.loc["flux", "slice_s"] == pytest.approx(4 * (4.0 + 4.0))


def test_best_so_far_never_rises() -> None:
    objectives = [None, 5.0, 7.0, 3.0, None, 4.0]
    curve = tables.best_so_far(study([trial("pytorch", "search", i, tta) for i, tta in enumerate(objectives)]).trials)
    assert np.isnan(curve["best_s"].iloc[0])
    assert curve["best_s"].tolist()[1:] == [5.0, 5.0, 3.0, 3.0, 3.0]
    assert curve["slice_s"].is_monotonic_increasing
    assert curve["slice_s"].iloc[-1] == pytest.approx(14 + 9 + 11 + 7 + 14 + 8)


def test_curves_are_of_confirmation_runs_or_else_of_winners(two_frameworks: Make) -> None:
    records = two_frameworks(0.8)
    curves = tables.accuracy_curves(records.trials, records.evaluations)
    assert curves["trial_id"].str.startswith("confirm-").all()
    assert curves["trial_id"].nunique() == 20
    alone = study([trial("pytorch", "search", 0, 3.0), trial("pytorch", "search", 1, 2.0)])
    curves = tables.accuracy_curves(alone.trials, alone.evaluations)
    assert curves["trial_id"].unique().tolist() == ["search-pytorch-00001"]


def test_figures_draw_what_the_tables_hold(two_frameworks: Make) -> None:
    records = two_frameworks(0.8)
    curves = tables.accuracy_curves(records.trials, records.evaluations)
    axes = figures.accuracy_against_time(curves, target=TARGET).axes[0]
    assert len(axes.lines) == 20 + 1
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["Flux", "PyTorch", "target 0.95"]
    incumbents = tables.best_so_far(records.trials)
    axes = figures.best_against_cost(incumbents).axes[0]
    drawn = {line.get_label(): line.get_ydata() for line in axes.lines}
    for name, title in (("pytorch", "PyTorch"), ("flux", "Flux")):
        assert np.allclose(drawn[title], incumbents.loc[incumbents["framework"] == name, "best_s"])


def test_tables_of_no_trials() -> None:
    empty: pd.DataFrame = study([]).trials
    assert tables.best_configurations(empty).empty
    assert tables.best_so_far(empty).empty
