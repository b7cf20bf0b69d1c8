"""The report's main figures: DataFrame in, matplotlib Figure out; the search's are in `reports.figures.search`."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from reports.figures.drawing import INK, SIZE, by_framework, canvas, colour, drawn
from reports.goals import Goal
from reports.names import title
from reports.tables.why import ACCOUNTS

_ACCOUNT_COLOURS = ("#8c8c8c", "#cc79a7", "#e69f00", "#2ca089", "#56b4e9", "#a0a040")
ACCOUNT_NAMES = ("start-up", "compilation", "waiting for data", "training steps", "evaluation", "checkpoints")


@drawn
def metric_against_time(curves: pd.DataFrame, *, goal: Goal, target: float) -> Figure:
    """What the target is about, on the validation split, against seconds of training, a line per run.

    Parameters
    ----------
    curves
        `reports.tables.trials.metric_curves`.
    target
        Drawn as a horizontal line.
    """
    figure, axes = canvas()
    for name, runs in by_framework(curves):
        for index, (_, run) in enumerate(runs.groupby("trial_id")):
            axes.plot(
                run["train_s"],
                run[goal.validation],
                color=colour(name),
                alpha=0.75,
                linewidth=1.2,
                label=title(name) if index == 0 else None,
            )
    axes.axhline(target, color=INK, linestyle="--", linewidth=1, label=f"target {target:.4g}")
    axes.set_xlabel("seconds of training (warm clock)")
    axes.set_ylabel(f"validation {goal.name}")
    axes.set_xlim(left=0)
    if not goal.rises:
        known = curves[goal.validation].dropna()
        axes.set_ylim(0, max(3 * target, float(known.quantile(0.75)) if len(known) else 0.0))
        return figure
    axes.set_ylim(max(0.0, target - 3 * (1 - target)), min(1.0, target + (1 - target) * 0.75) if target < 1 else 1.01)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
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
    for name, curve in by_framework(curves[curves["clock"] == clock]):
        its_colour = colour(name)
        axes.step(curve["seconds"], curve["share"], where="post", color=its_colour, label=title(name))
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
    """Best time to the target so far against what the search had cost by then; a diamond is what its winner takes.

    The diamond stands at the search's whole cost, its race included; its bar is the 95 % interval of the median.

    Parameters
    ----------
    curves, bands, found
        `reports.tables.cost.best_so_far`, `reports.tables.cost.resampled` and `reports.tables.cost.incumbents`.
    """
    figure, axes = canvas()
    for name, band in by_framework(bands):
        axes.fill_between(band["slice_s"], band["low_s"], band["high_s"], color=colour(name), alpha=0.15, linewidth=0)
    for name, search in by_framework(curves):
        marks = "o" if len(search) <= 60 else None
        axes.step(
            search["slice_s"], search["best_s"], where="post", color=colour(name), marker=marks, markersize=3,
            label=title(name),
        )  # fmt: skip
    for name, own in by_framework(found[found["confirmed"]]):
        ends = curves[curves["framework"] == name].iloc[-1]
        winner = own.iloc[0]
        at = [ends["slice_s"], winner["search_slice_s"]]  # the race between them
        axes.plot(at, [ends["best_s"], winner["best_s"]], ":", color=colour(name), linewidth=1)
        spread = [
            [max(0.0, winner["best_s"] - winner["best_s_low"])],
            [max(0.0, winner["best_s_high"] - winner["best_s"])],
        ]
        axes.errorbar(
            at[1:], [winner["best_s"]], yerr=spread if np.isfinite(spread).all() else None, fmt="D",
            color=colour(name), markersize=7, markeredgecolor=INK, ecolor=colour(name), capsize=3,
            label=f"{title(name)}, confirmed",
        )  # fmt: skip
    axes.set_xlabel("search cost so far (slice-seconds)")
    axes.set_ylabel("best time to the target (s)")
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
    return figure
