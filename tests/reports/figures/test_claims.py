"""The forest plot: what is claimed, and every run behind it."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from reports.figures.claims import forest
from reports.figures.drawing import INK, colour
from reports.tables.claims import claims, dots
from reports.tables.survival import CLOCKS
from tests.reports.conftest import make, race, study


def draw(ratio: float, *, raced: bool = True, misses: int = 0, spread: float = 0.1) -> Axes:
    trials = make(ratio, spread=spread, flux_misses=misses).trials
    if raced:
        rows = [{str(key): value for key, value in row.items()} for row in trials.to_dict("records")]
        race(
            rows, lambda name, number, pair: (2.0 if name == "pytorch" else 2.0 * ratio) * (1 + 0.01 * (number + pair))
        )
        trials = study(rows).trials
    return forest(claims(trials), dots(trials)).axes[0]


def marks(axes: Axes, *kinds: str) -> list[Line2D]:
    return [line for line in axes.get_lines() if line.get_marker() in kinds]


def count(lines: list[Line2D]) -> int:
    return sum(np.size(line.get_xdata()) for line in lines)


def test_a_row_per_clock_and_claim_and_every_pair_of_runs_a_dot() -> None:
    axes = draw(0.5)
    rows = [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]
    assert rows == [f"{clock}: {what}" for clock in CLOCKS for what in ("frameworks", "these two configurations")]
    assert count(marks(axes, "D")) == count(marks(axes, "s")) == 2
    assert count(marks(axes, "o")) == 2 * (10 + 16)  # the runs that confirm, and the race's: on both clocks
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.texts] == ["\u2190 Flux faster", "Flux slower \u2192"]
    assert any(np.array_equal(line.get_xdata(), [1.0, 1.0]) for line in axes.get_lines())  # where both are as fast
    assert "1" in [label.get_text() for label in axes.get_xticklabels()]


def test_without_a_race_only_the_configurations_are_compared() -> None:
    axes = draw(0.5, raced=False)
    assert len(axes.get_yticklabels()) == 2
    assert not marks(axes, "D")


def test_a_run_that_missed_is_an_arrow_at_the_side_of_the_slower() -> None:
    axes = draw(0.9, raced=False, misses=2)
    assert count(marks(axes, "o")) == 2 * 8
    arrows = marks(axes, ">", "<")
    assert [line.get_marker() for line in arrows] == [">"] * 4
    assert {float(np.ravel(line.get_xdata())[0]) for line in arrows} == {axes.get_xlim()[1]}


@pytest.mark.parametrize(("ratio", "whose"), [(0.5, "flux"), (2.0, "pytorch"), (1.0, "")])
def test_an_interval_has_the_colour_of_the_faster(ratio: float, whose: str) -> None:
    (first, *_) = marks(draw(ratio, raced=False, spread=1.0 if not whose else 0.1), "s")
    assert to_hex(first.get_color()) == (colour(whose) if whose else INK)  # type: ignore[arg-type]


@pytest.mark.parametrize("ratio", [0.05, 0.98, 1.0, 30.0])
def test_everything_is_inside_and_1_too(ratio: float) -> None:
    axes = draw(ratio)
    low, high = axes.get_xlim()
    known = np.concatenate([np.ravel(line.get_xdata()).astype(float) for line in axes.get_lines()])
    assert low < min(1.0, known.min()) or np.isclose(low, known.min())
    assert high > max(1.0, known.max()) or np.isclose(high, known.max())
