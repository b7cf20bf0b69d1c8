"""What all figures share: sizes, colours that also work on a dark page, and how they become PNG and SVG."""

from __future__ import annotations

import functools
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, ParamSpec

import matplotlib as mpl
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.names import place_among_sides
from reports.tables.trials import frameworks
from trainables.frameworks import FRAMEWORKS

DRAWN_BY = mpl.__version__
OTHER_COLOUR = "#7a7a7a"
_SIDES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9")  # Okabe and Ito's, yellow darkened
INK = "#111213"  # no other part of a figure has this colour, so that the page can put its own text colour there
SIZE = (5.2, 3.4)  # inches; text of 9 points is still readable when a phone shows this 360 pixels wide
_CHARACTERS_PER_INCH = 14.0  # of a legend's text; of ticks' text, which is a point larger, somewhat fewer
_AXES_SHARE = 0.85  # of a figure's width that its axes take; all figures are equally wide
_HANDLE_CHARACTERS = 8  # the width of a legend's mark and of the space around it
RASTERISED_ABOVE = 1500  # marks in one figure; an SVG of more of them makes the page slow

# Every setting is stated, so that nothing of the user's is left: matplotlib's own defaults, and over them the house's.
# The backend is no part of it; figures without pyplot have none.
_DEFAULTS = {name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"}
_STYLE: dict[Any, Any] = {
    **_DEFAULTS,
    "font.size": 9,
    "axes.titlesize": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.dpi": 144,
    "svg.hashsalt": "tuneoff",  # with no date, the same records give the same bytes
    "svg.fonttype": "path",
}

_Arguments = ParamSpec("_Arguments")


def drawn(function: Callable[_Arguments, Figure]) -> Callable[_Arguments, Figure]:
    """Draw in the house's style, whatever the caller's matplotlib is set to; what it is set to stays as it is."""

    @functools.wraps(function)
    def in_style(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> Figure:
        with _house_style():
            figure = function(*args, **kwargs)
            _add_legend(figure)
            return figure

    return in_style


def _add_legend(figure: Figure) -> None:
    """One legend above the axes, where it hides nothing."""
    shown: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, handle)
    if shown:
        room = figure.get_figwidth() * _CHARACTERS_PER_INCH
        widest = max(map(len, shown)) + _HANDLE_CHARACTERS
        columns = max(1, min(len(shown), int(room / widest)))
        figure.legend(shown.values(), shown.keys(), loc="outside upper center", ncols=columns, frameon=False)


def _house_style() -> AbstractContextManager[None]:
    """Around making artists and around drawing them: some settings are read at the one time, some at the other."""
    return mpl.rc_context(_STYLE)


def canvas(size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.2, color=INK)
    axes.set_axisbelow(True)
    return figure, axes


def colour(framework: str) -> str:
    """A framework's colour, the same in every figure; that of a side where sides are compared."""
    place = place_among_sides(framework)
    if place is not None:
        return _SIDES[place % len(_SIDES)]
    return FRAMEWORKS[framework].colour if framework in FRAMEWORKS else OTHER_COLOUR


def by_framework(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """A table's rows by framework, in the one order that every legend has."""
    for name in frameworks(table):
        yield str(name), table[table["framework"] == name]


def label_ticks(axes: Axes, values: Sequence[float]) -> None:
    """Ticks at these values, below the axes, and labels at as many of them as do not touch; call it when limits stand.

    The first and the last are always labelled.
    """
    into_axes = axes.get_xaxis_transform() - axes.transAxes
    inches = SIZE[0] * _AXES_SHARE
    ordered = sorted(values)
    places = [float(into_axes.transform((each, 0.0))[0]) * inches for each in ordered]
    texts = [f"{each:g}" for each in ordered]
    halves = [(len(text) + 1.5) / _CHARACTERS_PER_INCH / 2 for text in texts]
    shown, last = [0], len(ordered) - 1
    for index in range(1, last + 1):
        fits = places[index] - halves[index] >= places[shown[-1]] + halves[shown[-1]]
        spares_last = index == last or places[index] + halves[index] <= places[last] - halves[last]
        if fits and spares_last:
            shown.append(index)
    axes.set_xticks(ordered, [text if index in shown else "" for index, text in enumerate(texts)])
    axes.minorticks_off()


def nice_ticks(low: float, high: float) -> list[float]:
    """Round values on a logarithmic axis, three or more of them wherever it is not very short.

    Parameters
    ----------
    low, high
        Its ends, above 0.
    """
    for digits in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)):
        found = [each for each in _multiples(digits, low, high) if low <= each <= high]
        if len(found) >= 3:
            return found
    step = 10 ** math.floor(math.log10(max(high - low, 1e-12)))
    for part in (1.0, 0.5, 0.2, 0.1):
        first, last = math.ceil(low / (step * part)), math.floor(high / (step * part))
        if last - first >= 2:
            return [float(f"{index * step * part:.6g}") for index in range(first, last + 1)]
    return found


def _multiples(digits: Sequence[float], low: float, high: float) -> Iterator[float]:
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        yield from (float(f"{digit}e{power}") for digit in digits)


def render(figure: Figure, suffix: str) -> bytes:
    """A figure as ``svg`` or ``png``, on white; laid out once for both, which takes as long as drawing it."""
    with _house_style():
        if figure.get_layout_engine() is not None:
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
        buffer = io.BytesIO()
        metadata = {"Date": None} if suffix == "svg" else None
        figure.savefig(buffer, format=suffix, metadata=metadata, facecolor="white")
    return buffer.getvalue()


def inline(svg: bytes, name: str, description: str) -> Markup:
    """A figure's SVG for inside HTML: in the page's colours and with ids of its own.

    Our own drawing, so nothing but the description needs escaping: matplotlib escapes the text in it.
    """
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<g id="patch_1">\s*<path d="[^"]*"\s*style="fill: )#ffffff', r"\1none", text, count=1)
    text = text.replace('id="', f'id="{name}-').replace("url(#", f"url(#{name}-")
    text = text.replace('xlink:href="#', f'xlink:href="#{name}-').replace(INK, "currentColor")
    for name, framework in FRAMEWORKS.items():
        text = text.replace(framework.colour, f"var(--{name})")
    label = Markup('<svg role="img" aria-label="{}" ').format(description)
    return label + Markup(text.removeprefix("<svg "))
