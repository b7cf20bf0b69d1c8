"""The forest plot: every claim with its interval and the runs behind it."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.figures.drawing import INK, SIZE, canvas, colour, drawn, label_ticks, nice_ticks
from reports.names import compared, title
from reports.tables.claims import CONFIGURATION, FASTER, FRAMEWORK, SLOWER

_SCOPES = (FRAMEWORK, CONFIGURATION)
_ROW = 0.52  # inches
_NARROWEST = 1.25  # factor to either side of 1 that is always seen


@drawn
def forest(claims: pd.DataFrame, dots: pd.DataFrame) -> Figure:
    """How two frameworks' times compare: a row per clock and claim, with its interval; every pair of runs a dot.

    An arrow at an edge is a pair of which one missed the target. An interval that leaves out 1 has the colour of the
    faster framework.

    Parameters
    ----------
    claims, dots
        `reports.tables.claims.claims` and `dots` of one pair of frameworks.
    """
    shown = _order(claims)
    figure, axes = canvas((SIZE[0], 0.95 + _ROW * len(shown)))
    low, high = _ends(shown, dots)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(len(shown) - 0.45, -0.55)
    for place, claim in enumerate(shown.to_dict("records")):
        mine = dots[(dots["clock"] == claim["clock"]) & (dots["scope"] == claim["scope"])]
        _draw_dots(axes, place, mine, str(claim["framework"]))
        _draw_interval(axes, place, claim)
    axes.axvline(1.0, color=INK, linewidth=1)
    _label(axes, shown)
    label_ticks(axes, sorted({1.0, *(each for each in nice_ticks(low, high) if not 0.95 < each < 1.05)}))
    return figure


def _order(claims: pd.DataFrame) -> pd.DataFrame:
    """By clock, and of each the claim about frameworks first."""
    clocks = list(dict.fromkeys(claims["clock"]))
    places = claims["clock"].map(clocks.index) * 2 + claims["scope"].map(_SCOPES.index)
    return claims.assign(place=places).sort_values("place").reset_index(drop=True)


def _ends(claims: pd.DataFrame, dots: pd.DataFrame) -> tuple[float, float]:
    """Of the axis: everything finite, 1 in it, and room for arrows."""
    values = np.concatenate([claims[["ratio", "ratio_low", "ratio_high"]].to_numpy(float).ravel(), dots["ratio"]])
    known = values[np.isfinite(values) & (values > 0)]
    low, high = min([1 / _NARROWEST, *known]), max([_NARROWEST, *known])
    room = (high / low) ** 0.06
    return low / room, high * room


def _draw_dots(axes: Axes, place: int, dots: pd.DataFrame, framework: str) -> None:
    rows = np.full(len(dots), place + 0.24) + 0.07 * (np.arange(len(dots)) % 3 - 1)
    there = dots["ratio"].notna().to_numpy()
    axes.plot(dots["ratio"][there], rows[there], "o", color=INK, alpha=0.4, markersize=3.5, markeredgewidth=0)
    ends = axes.get_xlim()
    for row, missed in zip(rows[~there], dots["missed"][~there], strict=True):
        right = missed == framework
        axes.plot(ends[right], row, ">" if right else "<", color=INK, alpha=0.6, markersize=5, clip_on=False)


def _draw_interval(axes: Axes, place: int, claim: dict[Hashable, Any]) -> None:
    ratio, low, high = (float(claim[f"ratio{end}"]) for end in ("", "_low", "_high"))
    if math.isnan(ratio):
        return
    faster = {FASTER: claim["framework"], SLOWER: claim["against"]}.get(str(claim["verdict"]))
    its_colour = colour(str(faster)) if faster is not None else INK
    wide = claim["scope"] == FRAMEWORK
    if not (math.isnan(low) or math.isnan(high)):
        ends = np.clip([low, high], *axes.get_xlim())
        axes.plot(ends, [place] * 2, color=its_colour, linewidth=3 if wide else 1.5, solid_capstyle="butt")
    axes.plot(ratio, place, "D" if wide else "s", color=its_colour, markersize=7 if wide else 5)


def _label(axes: Axes, claims: pd.DataFrame) -> None:
    first = claims.iloc[0]
    name, against = title(first["framework"]), title(first["against"])
    rows = zip(claims["clock"], claims["scope"], strict=True)
    about = {FRAMEWORK: compared(), CONFIGURATION: "these two\nconfigurations"}
    axes.set_yticks(range(len(claims)), [f"{clock}: {about[scope]}" for clock, scope in rows])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    for place, align, text in (
        (0, "left", f"\N{LEFTWARDS ARROW} {name} faster"),
        (1, "right", f"{name} slower \N{RIGHTWARDS ARROW}"),
    ):
        axes.text(place, 1.02, text, transform=axes.transAxes, ha=align, va="bottom")
    axes.set_xlabel(f"{name}'s time over {against}'s (1: as fast)")
