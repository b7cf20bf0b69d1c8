"""What the Parquet files of a recorded table must hold, column by column, so that a replay need not doubt it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.common.digits import plain
from trainables.common.errors import UserError


class Column(NamedTuple):
    """One that holds numbers, or texts where ``least`` is None.

    Parameters
    ----------
    above
        Whether numbers must be above the least one.
    optional
        Whether it may be missing, or say nothing in a row.
    """

    least: float | None = 0.0
    above: bool = False
    whole: bool = False
    optional: bool = False

    @property
    def takes(self) -> str:
        """What it holds, in words."""
        if self.least is None:
            return "texts"
        bound = f"above {plain(self.least)}" if self.above else f"{plain(self.least)} or more"
        return f"{'whole ' * self.whole}numbers, {bound}"

    def holds(self, values: pa.ChunkedArray) -> bool:
        """Whether all values are such."""
        if self.least is None:
            kind = getattr(values.type, "value_type", values.type)  # of a dictionary that of its values
            return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
        if not pa.types.is_integer(values.type) and (self.whole or not pa.types.is_floating(values.type)):
            return False
        numbers = values.drop_null().to_numpy().astype(float)
        low = numbers > self.least if self.above else numbers >= self.least
        return bool(np.all(np.isfinite(numbers) & low))


NAME, COUNT = Column(least=None), Column(least=1, whole=True)
SECONDS = Column()


def read(path: Path, columns: Mapping[str, Column]) -> pa.Table:
    """A file, all of whose columns hold what they must.

    Raises
    ------
    UserError
        Naming the file, and the column that is missing or wrong.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise UserError(f"{path.parent} is no whole table: it has no {path.name}") from None
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path} is damaged or no Parquet file: {str(error).splitlines()[0]}") from None
    there = set(table.column_names)
    if missing := sorted(name for name, column in columns.items() if name not in there and not column.optional):
        raise UserError(f"{path} has no column {missing[0]}")
    for name, column in columns.items():
        if name not in there:
            continue
        values = table.column(name)
        if values.null_count and not column.optional:
            raise UserError(f"{path}: column {name} says nothing in {values.null_count} of {len(values)} rows")
        if values.null_count < len(values) and not column.holds(values):
            raise UserError(f"{path}: column {name} takes {column.takes}, and has others")
    if not len(table):
        raise UserError(f"{path} is empty")
    return table
