"""What a page is made of: sections with sentences, tables and figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from reports.knobs import is_text, is_whole, knob_title
from reports.sentences import Row, Sentence, rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Column:
    """How a page shows one column of a table."""

    key: str
    heading: str
    form: str = "number"  # of `reports.sentences.FORMS`
    interval: bool = False  # with the columns KEY_low and KEY_high
    of: str = ""  # another column: shown as "KEY of OF"

    @property
    def wordy(self) -> bool:
        """Whether it holds words, which stand on the left."""
        return self.form in ("text", "title")


def knob_column(knob: str, trials: pd.DataFrame) -> Column:
    """How a hyperparameter of these trials is shown."""
    form = "text" if is_text(trials[knob]) else "count" if is_whole(knob, trials[knob]) else "number"
    return Column(knob, knob_title(knob), form)


@dataclass(frozen=True)
class Table:
    """A table: all of it goes into a CSV file, its ``columns`` onto the page."""

    name: str  # of its file
    data: pd.DataFrame
    columns: tuple[Column, ...] = ()  # none: the file alone
    origin: str = ""  # which records it was computed from
    transposed: bool = False  # a column per row: what a reader compares stands in one line
    folded: bool = False  # opens on a click
    long: bool = False  # sortable, and with provenance by row and column instead of in every cell
    when_empty: str = "Nothing to show: no trial reached the target."

    @property
    def head(self) -> list[str]:
        """Headings of the shown table."""
        if self.transposed:
            first = self.columns[0]
            return [first.heading, *(row.say(first.key, first.form).text for row in self._rows)]
        return [column.heading for column in self.columns]

    @property
    def body(self) -> list[list[Sentence]]:
        """Cells of the shown table."""
        if self.transposed:
            return [[(column.heading,), *(_cell(row, column) for row in self._rows)] for column in self.columns[1:]]
        return [[_cell(row, column) for column in self.columns] for row in self._rows]

    @property
    def _rows(self) -> list[Row]:
        return rows(self.name, self.data)


@dataclass(frozen=True)
class Picture:
    """A figure: PNG and SVG files, and inline on the page."""

    name: str
    caption: str
    figure: Figure
    data: str = ""  # name of the table that it draws


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    name: str
    heading: str
    said: tuple[Sentence, ...] = ()  # sentences that matter
    cautions: tuple[Sentence, ...] = ()
    commands: tuple[tuple[str, Sentence], ...] = ()  # a label, and what to type
    note: str = ""  # how to read the tables
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = field(default=())  # file beside the report, what it is


def as_is(table: pd.DataFrame) -> tuple[Column, ...]:
    """Every column under its own name."""
    return tuple(Column(str(name), str(name)) for name in table.columns)


def _cell(row: Row, column: Column) -> Sentence:
    if column.of:
        return (row.say(column.key, column.form), " of ", row.say(column.of, column.form))
    return row.interval(column.key, column.form) if column.interval else (row.say(column.key, column.form),)
