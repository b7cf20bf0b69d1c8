"""The report's main figures: DataFrame in, matplotlib Figure out; the search's are in `reports.figures.search`."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from reports.figures.drawing import INK, SIZE, canvas, colour, drawn
from reports.names import title
from reports.tables.why import ACCOUNTS

_ACCOUNT_COLOURS = ("#8c8c8c", "#cc79a7", "#e69f00", "#2ca089", "#56b4e9", "#a0a040")
ACCOUNT_NAMES = ("start-up", "compilation", "waiting for data", "training steps", "evaluation", "checkpoints")


@drawn
def accuracy_against_time(curves: pd.DataFrame, *, target: float) -> Figure:
    """Validation accuracy against seconds of training, a line per run.

    Parameters
    ----------
    curves
        `reports.tables.trials.accuracy_curves`.
    target
        Drawn as a horizontal line; a fraction.
    """
    figure, axes = canvas()
    for name, runs in curves.groupby("framework", sort=False):
        for index, (_, run) in enumerate(runs.groupby("trial_id")):
            axes.plot(
                run["train_s"],
                run["validation_accuracy"],
                color=colour(str(name)),
                alpha=0.75,
                linewidth=1.2,
                label=title(str(name)) if index == 0 else None,
            )
    axes.axhline(target, color=INK, linestyle="--", linewidth=1, label=f"target {target:.4g}")
    axes.set_xlabel("seconds of training (warm clock)")
    axes.set_ylabel("validation accuracy")
    axes.set_xlim(left=0)
    axes.set_ylim(max(0.0, target - 3 * (1 - target)), min(1.0, target + (1 - target) * 0.75) if target < 1 else 1.01)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    axes.legend(loc="lower right")
    return figure


@drawn
def reached_against_time(curves: pd.DataFrame, *, clock: str) -> Figure:
    """Share of confirmation runs that have reached the target (Kaplan-Meier), with 95 % bands; ticks are censored runs.

    Parameters
    ----------
    curves
        `reports.tables.trials.reach_curves`.
    clock
        ``warm`` or ``cold``.
    """
    figure, axes = canvas()
    for name, curve in curves[curves["clock"] == clock].groupby("framework", sort=False):
        its_colour = colour(str(name))
        axes.step(curve["seconds"], curve["share"], where="post", color=its_colour, label=title(str(name)))
        axes.fill_between(
            curve["seconds"], curve["low"], curve["high"], step="post", color=its_colour, alpha=0.15, linewidth=0
        )
        censored = curve[curve["censored"] > 0]
        axes.plot(censored["seconds"], censored["share"], "|", color=its_colour, markersize=9, markeredgewidth=1.5)
    axes.set_xlabel(f"seconds on the {clock} clock")
    axes.set_ylabel("runs that reached the target")
    axes.set_xlim(left=0)
    axes.set_ylim(-0.02, 1.04)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    return figure


@drawn
def best_against_cost(curves: pd.DataFrame, bands: pd.DataFrame, found: pd.DataFrame) -> Figure:
    """Best time to accuracy so far against what the search had cost by then; a diamond is what its winner really takes.

    Parameters
    ----------
    curves, bands, found
        `reports.tables.cost.best_so_far`, `reports.tables.cost.resampled` and `reports.tables.cost.incumbents`.
    """
    figure, axes = canvas()
    for name, band in bands.groupby("framework", sort=False):
        axes.fill_between(
            band["slice_s"], band["low_s"], band["high_s"], color=colour(str(name)), alpha=0.15, linewidth=0
        )
    for name, search in curves.groupby("framework", sort=False):
        marks = "o" if len(search) <= 60 else None
        axes.step(
            search["slice_s"],
            search["best_s"],
            where="post",
            color=colour(str(name)),
            marker=marks,
            markersize=3,
            label=title(str(name)),
        )
        own = found[(found["framework"] == name) & found["confirmed"]]
        axes.plot(
            [search["slice_s"].max()] * len(own), own["best_s"], "D", color=colour(str(name)), markersize=7,
            markeredgecolor=INK, clip_on=False,
        )  # fmt: skip
    axes.set_xlabel("search cost so far (slice-seconds)")
    axes.set_ylabel("best time to accuracy (s)")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    return figure


@drawn
def time_ledger(ledger: pd.DataFrame) -> Figure:
    """Where a confirmation run's time goes, a stacked bar per framework.

    Parameters
    ----------
    ledger
        `reports.tables.why.ledger`.
    """
    figure, axes = canvas((SIZE[0], 1.5 + 0.55 * len(ledger)))
    names = [title(name) for name in ledger["framework"]]
    left = pd.Series(0.0, index=ledger.index)
    for account, label, its_colour in zip(ACCOUNTS, ACCOUNT_NAMES, _ACCOUNT_COLOURS, strict=True):
        seconds = ledger[f"{account}_s"]
        axes.barh(names, seconds, left=left, color=its_colour, label=label, height=0.6)
        left = left + seconds
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("seconds, mean over the confirmation runs")
    axes.set_xlim(0, max(float(left.max()), 1e-9) * 1.02)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    axes.legend().set_visible(False)
    return figure
