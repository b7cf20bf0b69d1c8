"""Reading a study's folder."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from reports.errors import ReportError
from reports.knobs import with_options
from reports.names import study_name
from reports.schema import CHAIN_HEAD, EVALUATIONS, TRIALS, Column

_REBUILD = "records.jsonl beside it holds the same rows, to build it from again"


@dataclass(frozen=True)
class StudyRecords:
    """What a report is made from.

    ``trials`` and ``evaluations`` have the columns of `reports.schema`, and one for every option of a model
    (`reports.knobs.with_options`); ``provenance`` is provenance.json,
    ``certificate`` what ``tuneoff verify`` wrote and ``plan`` the frozen plan, each empty where there is none.
    ``name`` is the one that the study was launched with; ``chain`` is the hash of the last line of the log that the
    records were built from, empty where an older version built them; ``files`` are the names of what lies in its
    folder.
    """

    trials: pd.DataFrame
    evaluations: pd.DataFrame
    provenance: dict[str, Any]
    certificate: dict[str, Any]
    plan: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    chain: str = ""
    files: frozenset[str] = frozenset()


def read_records(folder: str | Path) -> StudyRecords:
    """Read a study's records.

    Columns that an older version did not write are there, and empty. Whole numbers with empty cells come as floats.

    Raises
    ------
    ReportError
        When a file is missing or damaged; the message names it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ReportError(f"no folder {folder}")
    trials = with_options(_table(folder / "trials.parquet", TRIALS))
    return StudyRecords(
        trials=trials,
        evaluations=_table(folder / "evaluations.parquet", EVALUATIONS),
        provenance=_json(folder / "provenance.json"),
        certificate=_json(folder / "certificate.json"),
        plan=_toml(folder / "plan.toml"),
        name=str(trials["study"].iloc[0]) if len(trials) else study_name(folder.absolute().name),
        chain=chain_head(folder / "trials.parquet"),
        files=frozenset(path.name for path in folder.iterdir()),
    )


def _table(path: Path, columns: tuple[Column, ...]) -> pd.DataFrame:
    if not path.exists():
        raise ReportError(f"{path} is missing; {_REBUILD}")
    try:
        with path.open("rb") as file:  # by its handle: pyarrow takes no path that is not UTF-8
            table = pd.read_parquet(file)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ReportError(f"{path} is damaged ({_one_line(error)}); {_REBUILD}") from None
    return complete(table, columns)


def chain_head(path: Path) -> str:
    """What a Parquet file says of the log that it was built from; empty where it says nothing."""
    try:
        with path.open("rb") as file:
            kept = pq.read_schema(file).metadata or {}
    except (OSError, ValueError, pa.ArrowException):
        return ""
    return str(kept.get(CHAIN_HEAD.encode(), b"").decode("ascii", errors="replace"))


def complete(table: pd.DataFrame, columns: tuple[Column, ...]) -> pd.DataFrame:
    """The table with exactly these columns; what was not recorded is empty."""
    values = {}
    for column in columns:
        given = table[column.name] if column.name in table else pd.Series(None, index=table.index, dtype=object)
        if pa.types.is_string(column.type):
            values[column.name] = pd.Series(
                [None if pd.isna(value) else value for value in given], index=table.index, dtype=object
            )
        elif pa.types.is_boolean(column.type):
            values[column.name] = given.astype(object).where(given.notna(), False).astype(bool)
        elif pa.types.is_integer(column.type) and given.notna().all() and len(given):
            values[column.name] = given.astype("int64")
        else:
            values[column.name] = given.astype("float64")
    return pd.DataFrame(values, index=table.index)


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
    except (OSError, ValueError, TypeError) as error:
        raise ReportError(f"{path} is damaged ({_one_line(error)}); move it away to go on without it") from None


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise ReportError(f"{path} is damaged ({_one_line(error)}); put it back as `tuneoff launch` wrote it") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
