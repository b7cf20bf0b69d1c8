"""Plots of a sweep, as the benchmark this project grew from drew them."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from reports.figures.drawing import by_framework, canvas, colour, drawn
from reports.figures.knob_axis import KnobAxis
from reports.knobs import sweep_title
from reports.names import title
from reports.tables.statistics import FEWEST
from reports.tables.sweeps import SEED_COLUMNS

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
    axis = KnobAxis(knob, pd.concat([table[knob], published[knob]]) if len(published) else table[knob])
    for place, (name, rows) in enumerate(groups):
        aside = ScaledTranslation((place - (len(groups) - 1) / 2) * _APART, 0, figure.dpi_scale_trans)
        moved, its_colour = axes.transData + aside, colour(name)
        there = rows[rows[column].notna()]
        x = axis.places(there[knob])
        axes.plot(x, there[column], color=its_colour, linewidth=1.2, label=title(name), transform=moved)
        many = (there["finished"] >= FEWEST).to_numpy()
        spread = [(there[column] - there[f"{column}_low"])[many], (there[f"{column}_high"] - there[column])[many]]
        axes.errorbar(
            x[many], there[column][many], yerr=spread, fmt="none", ecolor=its_colour, capsize=3, transform=moved
        )
        mine = repeats[repeats["framework"] == name]
        x = axis.places(mine[knob])
        axes.plot(x, mine[column], "o", color=its_colour, markersize=3.5, alpha=0.6, transform=moved)
        never = axis.places(rows.loc[rows[column].isna(), knob])
        axes.plot(
            never, [0.0] * len(never), "x", color=its_colour, markersize=6, clip_on=False,
            transform=axes.get_xaxis_transform() + aside,
        )  # fmt: skip
    for name, rows in by_framework(published):
        x, label = axis.places(rows[knob]), f"{title(name)}, as published"
        axes.plot(x, rows[column], color=colour(name), linestyle=":", alpha=0.7, label=label)
    axis.set(axes, every=True)
    highest = max((each[column].max() for each in (table, repeats, published) if each[column].notna().any()), default=1)
    axes.set_ylim(0, 1.08 * float(highest))
    axes.set_xlabel(sweep_title(knob))
    axes.set_ylabel(SEED_COLUMNS[column])
    return figure
