"""The two Parquet files of a study: built from the log of its records, and compared with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from reports.schema import CHAIN_HEAD, EVALUATIONS, TRIALS, Column, arrow_schema
from study.store.folder import StudyFolder
from study.store.log import Log, read_log
from trainables.common.files import replacing
from trainables.contract import Record


def build_parquet(log: Log, folder: StudyFolder) -> None:
    """Write both Parquet files, each in one step."""
    _write_parquet(folder.evaluations, list(log.evaluations.values()), EVALUATIONS, log.head)
    _write_parquet(folder.trials, log.rows(), TRIALS, log.head)


def refresh_parquet(folder: StudyFolder, *, say: Callable[[str], None]) -> None:
    """Build the Parquet files from the log where they are damaged or older; a running study does it by itself.

    Parameters
    ----------
    say
        Told of damage.
    """
    if not folder.log.exists():
        return
    bad = [path for path in (folder.trials, folder.evaluations) if path.exists() and not _readable(path)]
    for path in bad:
        say(f"{path} was damaged; it is built anew from {folder.log.name}")
    newest = folder.log.stat().st_mtime
    if bad or any(not path.exists() or path.stat().st_mtime < newest for path in (folder.trials, folder.evaluations)):
        build_parquet(read_log(folder.log), folder)


def parquet_differences(folder: StudyFolder) -> list[str]:
    """Where the Parquet files say something else than the log that they are built from.

    Returns
    -------
    One line per cell that differs and per row that only one of them has: file, row, column, both values. None: they
    agree, or there is no log.
    """
    if not folder.log.exists():
        return []
    log = read_log(folder.log)
    found: list[str] = []
    for path, rows, columns in (
        (folder.trials, log.rows(), TRIALS),
        (folder.evaluations, list(log.evaluations.values()), EVALUATIONS),
    ):
        ours = _by_key(_table(path)) if path.exists() and _readable(path) else {}
        theirs = _by_key(pa.Table.from_pylist(rows, schema=arrow_schema(columns)))
        for key in dict.fromkeys([*theirs, *ours]):
            found += _different_cells(f"{path.name}, {key}", ours.get(key), theirs.get(key))
    return found


def _by_key(table: pa.Table) -> dict[str, Record]:
    keys = [name for name in ("trial_id", "evaluation") if name in table.column_names]
    return {" ".join(str(row[key]) for key in keys): row for row in table.to_pylist()}


def _different_cells(where: str, ours: Record | None, theirs: Record | None) -> list[str]:
    if ours is None or theirs is None:
        return [f"{where}: only {'the log' if ours is None else 'the Parquet file'} has this row"]
    return [
        f"{where}, {name}: the Parquet file says {ours.get(name)!r}, the log {theirs.get(name)!r}"
        for name in dict.fromkeys([*theirs, *ours])
        if not _same(ours.get(name), theirs.get(name))
    ]


def _same(ours: object, theirs: object) -> bool:
    """As an older version's whole number is the same real one; by their text NaN is itself."""
    return ours == theirs or repr(ours) == repr(theirs)


def _readable(path: Path) -> bool:
    try:
        _table(path)
    except (pa.ArrowException, OSError, ValueError):
        return False
    return True


def _table(path: Path) -> pa.Table:
    with path.open("rb") as file:  # by its handle: pyarrow takes no path that is not UTF-8
        return pq.read_table(file, page_checksum_verification=True)


def _write_parquet(path: Path, rows: list[Record], columns: tuple[Column, ...], head: str) -> None:
    schema = arrow_schema(columns).with_metadata({CHAIN_HEAD: head})
    table = pa.Table.from_pylist(rows, schema=schema)
    with replacing(path) as temporary, temporary.open("wb") as file:
        pq.write_table(table, file, write_page_checksum=True)
