"""Reading a study's records."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class StudyRecords:
    """What a report is made from.

    ``trials`` and ``evaluations`` have the columns of `reports.schema`; ``provenance`` is provenance.json and
    ``certificate`` what ``tuneoff verify`` wrote, empty where there is none.
    """

    trials: pd.DataFrame
    evaluations: pd.DataFrame
    provenance: dict[str, Any]
    certificate: dict[str, Any]


def load(folder: str | Path) -> StudyRecords:
    """Read the records of a study.

    Raises
    ------
    FileNotFoundError
        When the folder has no records.
    """
    folder = Path(folder)
    return StudyRecords(
        trials=pd.read_parquet(folder / "trials.parquet"),
        evaluations=pd.read_parquet(folder / "evaluations.parquet"),
        provenance=_read(folder / "provenance.json"),
        certificate=_read(folder / "certificate.json"),
    )


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
