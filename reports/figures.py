"""The report's figures: DataFrame in, matplotlib Figure out."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from reports.tables import title

# Okabe and Ito's palette: tells apart for all kinds of colour vision.
COLOURS = {"pytorch": "#D55E00", "flux": "#0072B2", "simulated": "#009E73"}
_OTHER_COLOUR = "#666666"
_SIZE = (7.0, 4.0)  # inches


def accuracy_against_time(curves: pd.DataFrame, *, target: float) -> Figure:
    """Validation accuracy against seconds of training, a line per run.

    Parameters
    ----------
    curves
        `reports.tables.accuracy_curves`.
    target
        Drawn as a horizontal line; a fraction.
    """
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    for name, runs in curves.groupby("framework", sort=False):
        for index, (_, run) in enumerate(runs.groupby("trial_id")):
            axes.plot(
                run["train_s"],
                run["validation_accuracy"],
                color=_colour(str(name)),
                alpha=0.75,
                linewidth=1.3,
                label=title(str(name)) if index == 0 else None,
            )
    axes.axhline(target, color="black", linestyle="--", linewidth=1, label=f"target {target:.4g}")
    axes.set_xlabel("seconds of training (warm clock)")
    axes.set_ylabel("validation accuracy")
    axes.set_xlim(left=0)
    axes.set_ylim(max(0.0, target - 3 * (1 - target)), min(1.0, target + (1 - target) * 0.75))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    return _finished(figure)


def best_against_cost(incumbents: pd.DataFrame) -> Figure:
    """Best time to accuracy so far against what the search had cost by then.

    Parameters
    ----------
    incumbents
        `reports.tables.best_so_far`.
    """
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    for name, search in incumbents.groupby("framework", sort=False):
        axes.step(
            search["slice_s"],
            search["best_s"],
            where="post",
            color=_colour(str(name)),
            marker="o",
            markersize=3,
            label=title(str(name)),
        )
    axes.set_xlabel("search cost so far (slice-seconds)")
    axes.set_ylabel("best time to accuracy so far (s)")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    return _finished(figure)


def _finished(figure: Figure) -> Figure:
    axes = figure.axes[0]
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    return figure


def _colour(framework: str) -> str:
    return COLOURS.get(framework, _OTHER_COLOUR)
