"""Writing files so that a reader, or a crash at any moment, never sees half of one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it becomes ``path`` in one step.

    The bytes are flushed to the disk before the rename, so that a power cut leaves the old file or the new one. The
    folder must exist: where storage has gone away, nothing may grow in its place.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        with suppress(OSError):  # FAT and its like have no modes and refuse to change them
            temporary.chmod(0o644)  # mkstemp's 0600 would hide results from the rest of a team
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` with this text in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
