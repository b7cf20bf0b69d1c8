"""Plots of a sweep, as the benchmark this project grew from drew them."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from reports.figures.drawing import canvas, colour, drawn
from reports.names import title
from reports.tables.sweeps import HEADINGS, SEED_COLUMNS, published


@drawn
def sweep_plot(table: pd.DataFrame, knob: str, column: str) -> Figure:
    """One of the benchmark's plots: a time against the swept setting, with its published line dotted.

    Bars reach from the fastest to the slowest repeat; a cross on the axis is a value of which no repeat finished.

    Parameters
    ----------
    table
        `seed_table`.
    column
        ``epoch_train_s`` or ``train_s``.
    """
    figure, axes = canvas()
    for name, rows in table.groupby("framework", sort=False):
        there = rows[rows[column].notna()]
        spread = [there[column] - there[f"{column}_low"], there[f"{column}_high"] - there[column]]
        look: dict[str, Any] = {"color": colour(str(name)), "markersize": 4}
        axes.errorbar(there[knob], there[column], yerr=spread, marker="o", capsize=3, label=title(str(name)), **look)
        never = rows.loc[rows[column].isna(), knob]
        axes.plot(never, [0.0] * len(never), linestyle="", marker="x", clip_on=False, **look)
    for name, rows in published(knob).groupby("framework", sort=False):
        axes.plot(
            rows[knob],
            rows[column],
            color=colour(str(name)),
            linestyle=":",
            alpha=0.6,
            label=f"{title(str(name))}, as published",
        )
    if knob != "num_workers":
        axes.set_xscale("log", base=2 if knob == "batch_size" else 10)
    ticks = sorted({*table[knob], *published(knob)[knob]})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], rotation=0 if len(ticks) < 9 else 45)
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel(HEADINGS[knob])
    axes.set_ylabel(SEED_COLUMNS[column])
    return figure
