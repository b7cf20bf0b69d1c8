"""What a user means by a recording: a shipped table's name, a table's folder, or a finished study's."""

from __future__ import annotations

from collections.abc import Sequence

from study.replay.dense import read_study
from study.replay.recording import Recording
from study.replay.shelf import ABOUT, SHELF, is_table, shipped_tables
from study.replay.table import read_table
from study.store.folder import meant
from trainables.common.errors import UserError
from trainables.common.places import local_path
from trainables.common.suggest import nearest


def recording_at(source: str, settings: Sequence[str] = ()) -> Recording:
    """Read it.

    Parameters
    ----------
    settings
        As of `study.replay.plans.replayed`.

    Raises
    ------
    UserError
        Where there is none, or it is none that can be replayed.
    """
    if source in shipped_tables():
        return read_table(SHELF / source, settings)
    path = local_path(source, "TABLE")
    if is_table(path):
        return read_table(path, settings)
    if (path / "plan.toml").is_file():
        return read_study(path, settings)
    if path.is_dir():
        raise UserError(f"{source} is neither a recorded table nor a study: it has no {ABOUT} and no plan.toml")
    if path.exists():
        raise UserError(f"{source} is a file; give the folder of a recorded table or of a study")
    valid = nearest(source, shipped_tables()) if shipped_tables() else "; no table comes with this package"
    if hint := meant(path):
        valid = f"; {hint}"
    raise UserError(f"unknown table '{source}', and no such folder{valid}")
