"""What all figures share: sizes, colours that also work on a dark page, and how they become PNG and SVG."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, ParamSpec

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainables.frameworks import FRAMEWORKS

DRAWN_BY = mpl.__version__
OTHER_COLOUR = "#7a7a7a"
INK = "#111213"  # no other part of a figure has this colour, so that the page can put its own text colour there
SIZE = (5.2, 3.4)  # inches; text of 9 points is still readable when a phone shows this 360 pixels wide
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
            for axes in figure.axes:
                if axes.get_legend_handles_labels()[0] and axes.get_legend() is None:
                    axes.legend()
            return figure

    return in_style


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
    """A framework's colour, the same in every figure."""
    return FRAMEWORKS[framework].colour if framework in FRAMEWORKS else OTHER_COLOUR


def render(figure: Figure, suffix: str) -> bytes:
    """A figure as ``svg`` or ``png``, on white."""
    with _house_style():
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
