"""Plots of a sweep, as the benchmark this project grew from drew them."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from reports.figures.drawing import by_framework, canvas, colour, drawn, label_ticks
from reports.names import title
from reports.tables.statistics import FEWEST
from reports.tables.sweeps import HEADINGS, SEED_COLUMNS

_APART = 5 / 72  # inches between two frameworks at the same value, so that neither hides the other


@drawn
def sweep_plot(table: pd.DataFrame, repeats: pd.DataFrame, published: pd.DataFrame, knob: str, column: str) -> Figure:
    """One of the benchmark's plots: a time against the swept setting, with its published line dotted.

    A dot is a repeat, the line runs through their medians. Of five repeats and more a bar reaches from the fastest to
    the slowest; a cross on the axis is a value of which no repeat finished.

    Parameters
    ----------
    table, repeats, published
        `reports.tables.sweeps.seed_table`, `finished_repeats` and `published`.
    column
        ``epoch_train_s`` or ``train_s``.
    """
    figure, axes = canvas()
    groups = list(by_framework(table))
    for place, (name, rows) in enumerate(groups):
        aside = ScaledTranslation((place - (len(groups) - 1) / 2) * _APART, 0, figure.dpi_scale_trans)
        moved, its_colour = axes.transData + aside, colour(name)
        there = rows[rows[column].notna()]
        axes.plot(there[knob], there[column], color=its_colour, linewidth=1.2, label=title(name), transform=moved)
        many = there[there["finished"] >= FEWEST]
        spread = [many[column] - many[f"{column}_low"], many[f"{column}_high"] - many[column]]
        axes.errorbar(many[knob], many[column], yerr=spread, fmt="none", ecolor=its_colour, capsize=3, transform=moved)
        mine = repeats[repeats["framework"] == name]
        axes.plot(mine[knob], mine[column], "o", color=its_colour, markersize=3.5, alpha=0.6, transform=moved)
        never = rows.loc[rows[column].isna(), knob]
        axes.plot(
            never, [0.0] * len(never), "x", color=its_colour, markersize=6, clip_on=False,
            transform=axes.get_xaxis_transform() + aside,
        )  # fmt: skip
    for name, rows in by_framework(published):
        axes.plot(
            rows[knob], rows[column], color=colour(name), linestyle=":", alpha=0.7, label=f"{title(name)}, as published"
        )
    values = sorted({*table[knob].astype(float), *published[knob].astype(float)})
    if knob == "num_workers":
        room = max(1.0, values[-1] - values[0]) * 0.08
        axes.set_xlim(values[0] - room, values[-1] + room)
    else:
        axes.set_xscale("log", base=2 if knob == "batch_size" else 10)
        room = max(1.2, (values[-1] / values[0]) ** 0.08)
        axes.set_xlim(values[0] / room, values[-1] * room)
    label_ticks(axes, values)
    highest = max((each[column].max() for each in (table, repeats, published) if each[column].notna().any()), default=1)
    axes.set_ylim(0, 1.08 * float(highest))
    axes.set_xlabel(HEADINGS[knob])
    axes.set_ylabel(SEED_COLUMNS[column])
    return figure
