"""The records of a study that is only read: another search begins with its best, or a replay takes its trainings."""

from __future__ import annotations

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
    lost = folder.trials.exists() or folder.begun
    if log.damaged or (not folder.log.exists() and lost):
        problem = f"is damaged in line {log.damaged[0]}" if log.damaged else "is gone"
        others = " and others" * (len(log.damaged) > 1)
        raise UserError(f"{folder.log} {problem}{others}; `{folder.resume_command()}` mends it")
    return log
