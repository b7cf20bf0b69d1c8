"""The records of a study that is only read: another search begins with its best, or a replay takes its trainings."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from study.store.folder import StudyFolder
from study.store.log import Log, read_log
from trainables.common.errors import UserError


def records_of(folder: StudyFolder) -> Log:
    """All rows of a study, which may be running.

    Raises
    ------
    UserError
        Where there is no study; or where rows are damaged or gone: the best may be among them. The study's own driver
        mends them, and nobody else writes there.
    """
    if not (folder.plan.exists() or folder.log.exists()):
        raise UserError(f"{folder.path} is not a study's folder: it has no {folder.plan.name}")
    log = read_log(folder.log)
    if problem := _problem(folder, log):
        raise UserError(f"{folder.log} {problem}; `{folder.resume_command()}` mends it")
    return log


def _problem(folder: StudyFolder, log: Log) -> str:
    """What is wrong with a log; empty where nothing is."""
    if log.damaged:
        return f"is damaged in line {log.damaged[0]}{' and others' * (len(log.damaged) > 1)}"
    if not folder.log.exists():
        return "is gone" if folder.trials.exists() or folder.begun else ""
    return "was cut short" if _rows_built(folder) > len(log.rows()) else ""


def _rows_built(folder: StudyFolder) -> int:
    """How many trials the Parquet file has, which is built from the log; 0 where it cannot be read."""
    try:
        with folder.trials.open("rb") as file:
            return int(pq.ParquetFile(file).metadata.num_rows)
    except (pa.ArrowException, OSError, ValueError):
        return 0
