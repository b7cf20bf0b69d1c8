"""Figures of the search: DataFrame in, matplotlib Figure out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from reports.figures.drawing import (
    INK,
    RASTERISED_ABOVE,
    SIZE,
    by_framework,
    canvas,
    colour,
    drawn,
    nice_ticks,
)
from reports.figures.knob_axis import KnobAxis
from reports.knobs import knob_title, searched_knobs
from reports.names import title
from reports.tables.trials import phase

_MOST_SLOTS_LABELLED = 12
_PALER = {"search": 0.9, "race": 0.55, "confirm": 0.3, "sweep": 0.9}  # opacity by phase, in a study's order
MOST_LINES = 300  # more hide one another


@drawn
def knob_against_time(trials: pd.DataFrame, knob: str) -> Figure:
    """Objective of every trial of the search against one hyperparameter; crosses missed the target, ticks were capped.

    Parameters
    ----------
    trials
        The trial records.
    knob
        A column of `reports.knobs.searched_knobs`.
    """
    figure, axes = canvas()
    search = phase(trials, "search").dropna(subset=["objective", knob])
    axis = KnobAxis(knob, search[knob])
    spread = np.random.default_rng(0)
    for place, (name, group) in enumerate(by_framework(search)):
        reached = group["reached"].astype(bool)
        x = pd.Series(axis.places(group[knob]), index=group.index)
        if axis.whole:  # side by side, so that frameworks do not hide one another
            x = x + 0.16 * (place - 0.5) + spread.uniform(-0.05, 0.05, len(x))
        many = len(group) > RASTERISED_ABOVE
        size, alpha = (4, 0.3) if many else (18, 0.75)
        axes.plot([], [], "o", color=colour(name), markersize=4, label=title(name))  # a legend without faint marks
        axes.scatter(
            x[reached], group["objective"][reached], s=size, alpha=alpha, color=colour(name), linewidths=0,
            rasterized=many,
        )  # fmt: skip
        capped = group["outcome"] == "capped"
        for which, marker, scale in ((~reached & ~capped, "x", 1), (capped, "|", 2)):
            axes.scatter(
                x[which], group["objective"][which], s=scale * size, alpha=alpha * 0.8, color=colour(name),
                marker=marker, linewidths=1, rasterized=many,
            )  # fmt: skip
    if len(search):
        axis.set(axes)
        axes.set_yscale("log")
        ends = search["objective"].astype(float)
        low, high = float(ends.min()) / 1.12, float(ends.max()) * 1.12
        axes.set_ylim(low, high)
        axes.set_yticks(ticks := nice_ticks(low, high), [f"{each:g}" for each in ticks])
        axes.yaxis.set_minor_formatter(NullFormatter())
    capped = search["outcome"] == "capped"
    if not (search["reached"] | capped).all():
        axes.plot([], [], "x", color=INK, markersize=4, label="missed the target")
    if capped.any():
        axes.plot([], [], "|", color=INK, markersize=5, label="capped")
    axes.set_xlabel(knob_title(knob))
    axes.set_ylabel("objective (s)")
    return figure


@drawn
def parallel_coordinates(trials: pd.DataFrame) -> Figure:
    """Every trial of the search as a line over its hyperparameters and its objective; the better, the stronger.

    Of more than `MOST_LINES` trials, so many are drawn, spread evenly over their ranks.
    """
    knobs = searched_knobs(trials)
    search = phase(trials, "search").dropna(subset=["objective"]).sort_values("objective")
    search = search.iloc[np.unique(np.linspace(0, len(search) - 1, MOST_LINES).astype(int))]
    figure, axes = canvas()
    axes.grid(visible=False)
    columns = [*(knob for knob in knobs if search[knob].notna().any()), "objective"]
    heights = np.empty((len(search), len(columns)))
    for place, column in enumerate(columns):
        axis = KnobAxis(column, search[column])
        heights[:, place] = np.nan_to_num(axis.heights(search[column]), nan=-0.1)  # what the model does not take: below
        axes.plot([place] * 2, [0, 1], color=INK, linewidth=0.8)
        for text, height, align in zip(axis.ends(), (-0.03, 1.03), ("top", "bottom"), strict=True):
            axes.text(place, height, text, ha="center", va=align, fontsize=8)
    rank = search["objective"].rank(pct=True).to_numpy()
    for name, _ in by_framework(search):
        mine = (search["framework"] == name).to_numpy()
        order = np.argsort(-rank[mine])
        lines = [list(enumerate(row)) for row in heights[mine][order]]
        opacity = np.clip(1.15 - 1.2 * rank[mine][order], 0.08, 1.0)
        axes.plot([], [], color=colour(name), label=title(name))
        axes.add_collection(LineCollection(lines, colors=colour(name), alpha=list(opacity), linewidths=1.2))
    axes.set_xlim(-0.25, len(columns) - 0.75)
    axes.set_ylim(-0.12, 1.14)
    axes.set_xticks(range(len(columns)), [*map(knob_title, columns[:-1]), "objective (s)"])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return figure


@drawn
def importance_bars(importances: pd.DataFrame) -> Figure:
    """How much of the objective's variance each hyperparameter explains.

    Parameters
    ----------
    importances
        `reports.tables.importance.importances`.
    """
    groups = list(by_framework(importances))
    knobs = list(dict.fromkeys(importances["hyperparameter"]))
    figure, axes = canvas((SIZE[0], max(2.6, 0.9 + 0.5 * len(knobs))))
    height = 0.8 / max(1, len(groups))
    for place, (name, rows) in enumerate(groups):
        mine = rows.set_index("hyperparameter")["importance"].reindex(knobs)
        y = np.arange(len(knobs)) + (place - (len(groups) - 1) / 2) * height
        axes.barh(y, mine.fillna(0.0), height=height * 0.9, color=colour(name), label=title(name))
    axes.set_yticks(range(len(knobs)), list(map(knob_title, knobs)))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1)
    axes.set_xlabel("importance (fANOVA)")
    return figure


@drawn
def timeline(slots: pd.DataFrame) -> Figure:
    """When every trial ran, and on which slot; race and confirmation runs are paler, failed trials hatched.

    Parameters
    ----------
    slots
        `reports.tables.cost.slots`.
    """
    count = int(slots["slot"].max()) + 1
    figure, axes = canvas((SIZE[0], min(4.5, 1.5 + 0.3 * count)))
    many = len(slots) > RASTERISED_ABOVE
    for (name, rows), phase_name, failed in product(by_framework(slots), _PALER, (False, True)):
        group = rows[(rows["phase"] == phase_name) & ((rows["outcome"] == "failed") == failed)]
        if group.empty:
            continue
        left, right, slot = (group[column].to_numpy(float) for column in ("began_s", "ended_s", "slot"))
        corners = [(left, slot - 0.4), (left, slot + 0.4), (right, slot + 0.4), (right, slot - 0.4)]
        bars = np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)
        axes.add_collection(
            PolyCollection(
                list(bars), facecolors=colour(name), alpha=_PALER[phase_name],
                hatch="///" if failed else None, edgecolors=INK, linewidths=0 if many else 0.3, rasterized=many,
                label=f"{title(name)}, {phase_name}" + ", failed" * failed,
            )
        )  # fmt: skip
    axes.set_xlim(0, float(slots["ended_s"].max()) * 1.01)
    if count <= _MOST_SLOTS_LABELLED:
        axes.set_yticks(range(count), [str(slot + 1) for slot in range(count)])
    axes.set_ylim(count - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("seconds since the first trial began")
    axes.set_ylabel("slot")
    return figure
