"""Legends hide nothing and name frameworks in one order; tick labels do not overlap."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from reports.figures.drawing import canvas, colour, label_ticks, nice_ticks
from reports.figures.runs import best_against_cost, reached_against_time
from reports.names import sides
from reports.page.report import build_page
from reports.tables.cost import best_so_far, incumbents, resampled
from reports.tables.trials import frameworks, reach_curves
from tests.reports.conftest import make, race, study, trial


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    rows = []
    for number in range(12):
        for name, base in (("flux", 2.0), ("pytorch", 3.0)):  # Flux first, so that records' order is not the legend's
            changes = {
                "learning_rate": 0.01 * 1.3**number,
                "batch_size": 2 ** (4 + number % 4),
                "num_workers": number % 3,
            }
            rows.append(trial(name, "search", number, base + 0.3 * (number % 5) if number else None, **changes))
    race(rows, lambda name, number, pair: 2.0 + 0.01 * pair)
    for number in range(6):
        rows += [trial(name, "confirm", number, 2.0 + 0.1 * number) for name in ("flux", "pytorch")]
    page = build_page(replace(study(rows), plan={}))
    drawn = {picture.name: picture.figure for picture in page.pictures}
    assert len(drawn) > 9
    for figure in drawn.values():
        FigureCanvasAgg(figure).draw()
    return drawn


def test_legends_name_frameworks_in_one_order(figures: dict[str, Figure]) -> None:
    told = 0
    for name, figure in figures.items():
        for legend in figure.legends:
            said = [text.get_text().split(",")[0] for text in legend.get_texts()]
            order = list(dict.fromkeys(each for each in said if each in ("PyTorch", "Flux")))
            assert order in ([], ["PyTorch", "Flux"]), name
            told += bool(order)
    assert told > 6


def test_legends_lie_outside_of_all_axes(figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        boxes = [legend.get_window_extent() for legend in figure.legends]
        assert all(axes.get_legend() is None for axes in figure.axes), name
        for box, axes in itertools.product(boxes, figure.axes):
            assert box.y0 >= axes.get_window_extent().y1 - 1, name
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes), name


def overlapping(labels: list[Text]) -> list[tuple[str, str]]:
    boxes = [(label.get_text(), label.get_window_extent()) for label in labels if label.get_text()]
    return [(one, other) for (one, a), (other, b) in itertools.pairwise(boxes) if a.overlaps(b)]


def test_tick_labels_do_not_overlap(figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        for axes in figure.axes:
            assert overlapping(axes.get_xticklabels()) == [], name
            assert overlapping(axes.get_yticklabels()) == [], name


@pytest.mark.parametrize(
    ("scale", "values"),
    [
        ("log", [32, 48, 64, 100, 128, 512, 2048, 8192, 8196]),
        ("linear", [0, 1, 2, 4, 8, 16, 32, 33, 64]),
        ("log", [0.001, 0.0011, 0.0012, 0.01, 0.02, 0.05]),
        ("linear", list(range(40))),
        ("linear", [4]),
    ],
)
def test_many_values_keep_their_ticks_and_as_many_labels_as_have_room(scale: str, values: list[float]) -> None:
    figure, axes = canvas()
    axes.set_xscale(scale)
    axes.set_xlim(min(values) * 0.9 if scale == "log" else min(values) - 1, max(values) * 1.1 + 1)
    label_ticks(axes, values)
    FigureCanvasAgg(figure).draw()
    labels = axes.get_xticklabels()
    assert len(axes.get_xticks()) == len(values)
    assert overlapping(labels) == []
    assert labels[0].get_text() == f"{values[0]:g}"
    assert labels[-1].get_text() == f"{values[-1]:g}"


def test_lines_and_labels_of_parallel_coordinates_do_not_cross(figures: dict[str, Figure]) -> None:
    axes = figures["parallel_coordinates"].axes[0]
    lines = [line for line in axes.get_lines() if len(line.get_xdata()) == 2]  # type: ignore[arg-type]
    assert len(lines) == 4
    boxes = [text.get_window_extent() for text in axes.texts]
    for line in lines:
        assert not any(box.overlaps(line.get_window_extent().padded(0.1)) for box in boxes)


@pytest.mark.parametrize("ends", [(0.9, 1.1), (0.02, 60.0), (2.0, 9.0), (0.31, 0.34), (1.0, 1e6), (3.1, 4.7)])
def test_a_logarithmic_axis_always_has_ticks(ends: tuple[float, float]) -> None:
    found = nice_ticks(*ends)
    assert 3 <= len(found) <= 12
    assert all(ends[0] <= each <= ends[1] for each in found)


def test_the_confirmed_value_is_marked_at_the_whole_cost_of_the_search() -> None:
    trials = make(0.5).trials
    found = incumbents(trials)
    axes = best_against_cost(best_so_far(trials), resampled(trials), found).axes[0]
    diamonds = [line for line in axes.get_lines() if line.get_marker() == "D"]
    places = [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in diamonds]  # type: ignore[index]
    assert places == list(zip(found["search_slice_s"], found["best_s"], strict=True))
    assert axes.get_legend_handles_labels()[1] == ["PyTorch", "Flux", "PyTorch, confirmed", "Flux, confirmed"]


@pytest.mark.parametrize(("runs", "bands"), [(3, 0), (4, 0), (5, 2)])
def test_bands_come_from_five_runs_on(runs: int, bands: int) -> None:
    curves = reach_curves(make(0.5, runs=runs).trials)
    assert curves.groupby("framework")["low"].any().sum() == bands
    axes = reached_against_time(curves, clock="warm").axes[0]
    assert sum(len(each.get_paths()[0].vertices) > 1 for each in axes.collections if each.get_paths()) == bands
    assert resampled(make(0.5).trials).empty  # of four trials


def test_sides_have_an_order_and_colours_of_their_own() -> None:
    table = study([trial(name, "search", 0, 2.0) for name in ("b", "a", "c")]).trials
    assert frameworks(table) == ["a", "b", "c"]
    with sides(["c", "b", "a"]):
        assert frameworks(table) == ["c", "b", "a"]
        assert len({colour(name) for name in "abc"}) == 3
    assert len({colour(name) for name in "abc"}) == 1
