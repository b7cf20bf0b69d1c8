"""Numbers that know where they come from, and the sentences and cells made of them.

Every number that a report shows is a cell of one of its tables, which lie beside it as CSV files. The page carries
for each number its table, row and column, and `reports.page.checking` finds out by them whether the number is right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from reports.names import title

NOTHING, UNBOUNDED = "\N{EN DASH}", "\N{INFINITY}"


@dataclass(frozen=True)
class Number:
    """A value as people read it, with the cell it was read from."""

    text: str
    value: str  # in full
    table: str
    row: int  # of the CSV file, from 1; its heading is not counted
    column: str

    @property
    def source(self) -> str:
        """The cell in words."""
        return f"{self.table}.csv, row {self.row}, {self.column}"


Sentence = tuple["str | Number", ...]


@dataclass(frozen=True)
class Row:
    """A row of a table, whose values become `Number`."""

    table: str
    index: int
    values: dict[str, Any]

    def __getitem__(self, column: str) -> Any:
        return self.values[column]

    def has(self, column: str) -> bool:
        """Whether the cell holds a value."""
        return not is_nothing(self.values[column])

    def say(self, column: str, form: str = "number") -> Number:
        """The cell for people, in one of `FORMS`."""
        value = self.values[column]
        text = NOTHING if is_nothing(value) else FORMS[form](value)
        return Number(text, "" if is_nothing(value) else str(value), self.table, self.index + 1, column)

    def bounds(self, column: str, form: str = "number", *, turned: bool = False) -> Sentence:
        """The cell's interval in brackets, where it has one; ``turned`` from high to low."""
        if not (self.has(f"{column}_low") and self.has(f"{column}_high")):
            return ()
        ends = [self.say(f"{column}_{end}", form) for end in ("low", "high")]
        return (" [", ends[turned], ", ", ends[not turned], "]")

    def interval(self, column: str, form: str = "number") -> Sentence:
        """The cell with its interval in brackets, where it has one."""
        plain_form = {"seconds": "bare seconds", "times": "ratio"}.get(form, form)
        return (self.say(column, form), *self.bounds(column, plain_form))


def rows(name: str, table: pd.DataFrame) -> list[Row]:
    """A table's rows."""
    return [
        Row(name, index, {str(key): value for key, value in row.items()})
        for index, row in enumerate(table.to_dict("records"))
    ]


def is_nothing(value: Any) -> bool:
    """Whether a cell is empty; without a bound is not."""
    return value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def number(value: Any) -> str:
    """A value for people: four significant digits, a dash for nothing."""
    if is_nothing(value) or value is pd.NA:
        return NOTHING
    if isinstance(value, float):
        if math.isinf(value):
            return UNBOUNDED
        return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"
    return str(value)


def seconds(value: float) -> str:
    """Seconds for people, three digits or so."""
    if math.isinf(value):
        return UNBOUNDED
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def ratio(value: float) -> str:
    """A ratio for people: two decimals, one from ten on, or two digits where it is small."""
    if math.isinf(value):
        return UNBOUNDED
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def inverse(value: float) -> str:
    """A ratio seen from the other side."""
    return ratio(1 / value if value else math.inf)


def change(value: float) -> str:
    """What a ratio of times means: how much faster or slower."""
    if value < 1:
        return f"{100 * (1 - value):.0f} % faster"
    return f"{100 * (value - 1):.0f} % slower" if value < 2 else f"{ratio(value)}x slower"


def percent(value: float) -> str:
    """A fraction as a percentage."""
    return f"{100 * value:.2f} %"


FORMS: dict[str, Callable[[Any], str]] = {
    "number": number,
    "count": lambda value: f"{int(value):,}",
    "seconds": lambda value: f"{seconds(value)} s",
    "bare seconds": seconds,
    "ratio": ratio,
    "times": lambda value: f"{ratio(value)}x",
    "inverse": inverse,
    "inverse times": lambda value: f"{inverse(value)}x",
    "change": change,
    "percent": percent,
    "aim": lambda value: f"{100 * value:.4g} %",
    "percentage": lambda value: f"{100 * value:.3f}",
    "share": lambda value: f"{100 * value:.0f} %",
    "probability": lambda value: f"{value:.2g}",
    "text": str,
    "title": title,
}


def plain(sentence: Iterable[str | Number]) -> str:
    """A sentence as text."""
    return "".join(part if isinstance(part, str) else part.text for part in sentence)


def prose(text: str) -> Markup:
    """Text as HTML: escaped, with what stands in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def html(sentence: Iterable[str | Number]) -> Markup:
    """A sentence as HTML: everything escaped, every number in a ``data`` element that names its cell."""
    return Markup("").join(
        prose(part)
        if isinstance(part, str)
        else Markup('<data value="{}" data-from="{}" title="{}">{}</data>').format(
            part.value, f"{part.table}/{part.row}/{part.column}", part.source, _unbroken(part.text)
        )
        for part in sentence
    )


def _unbroken(text: str) -> Markup:
    """Text that a browser breaks nowhere between a number and its unit, and a command only before its flags."""
    first, *flags = re.sub(r"(?<=[\d\N{INFINITY}]) (?=%|s$)", "\N{NO-BREAK SPACE}", text).split(" --")
    return Markup("").join([escape(first), *(Markup(' <span class="flag">--{}</span>').format(flag) for flag in flags)])
