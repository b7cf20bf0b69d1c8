"""Tables, figures and the page, made from a study's records and nothing else.

`load` reads a study; tables (`reports.tables`) and figures (`reports.figures`) take what it returns.
Never here: a study that runs. Importing this package loads no framework, no Ray and no Optuna.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.records import StudyRecords

__all__ = ["load"]


def load(folder: str | Path) -> StudyRecords:
    """Read the records of a study: see `reports.records.read_records`."""
    from reports.records import read_records  # pandas takes half a second, which `tuneoff --help` should not

    return read_records(folder)
