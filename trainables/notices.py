"""What a trial must tell at once: a file in its folder, which the driver takes away.

Tune hears of a trial with its results alone, and the first comes after an evaluation, which may take minutes.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from trainables.common.files import write_text

_FILE = "notices.txt"
LOADER_WORKERS = "loader workers"  # how a notice of too few of them begins: what is so for all trials of a framework


def leave(folder: Path, notice: str) -> None:
    """Tell a line from a trial; where its folder cannot be written it is told with the next result alone.

    Parameters
    ----------
    folder
        The trial's; made where it does not exist, but not its parent.
    """
    path = folder / _FILE
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        write_text(path, "".join(f"{each}\n" for each in (*_read(path), notice)))


def take(folder: Path) -> list[str]:
    """What a trial has told since it was last asked."""
    path = folder / _FILE
    if told := _read(path):
        with suppress(OSError):
            path.unlink()
    return told


def _read(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
