"""Where a user says that something lies: a path, never a store that only a URL names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from trainables.common.errors import UserError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def local_path(given: str | Path, what: str) -> Path:
    """The path that was given; ``file:///abs/path`` is the one it names.

    Taken for a path, ``s3://bucket/x`` is a folder ``s3:`` where the command happens to stand.

    Parameters
    ----------
    given
        As it was typed: a `Path` has lost one of a URL's slashes.
    what
        Where it was typed, for the message.

    Raises
    ------
    UserError
        When it is any other URL, empty, or has a control character.
    """
    if isinstance(given, str) and not given.strip():
        raise UserError(f"{what} is empty; give a path")
    text = str(given)
    found = _SCHEME.match(text)
    if found is None:
        return _printable(text, what)
    if found[1].lower() != "file":
        raise UserError(
            f"{what} {text} is a URL, and tuneoff reads and writes files alone (it locks, appends to and maps them); "
            "give a path, on a cluster one on storage that all nodes share"
        )
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise UserError(f"{what} {text} names no path of this machine; write file:///PATH, or the path alone")
    return _printable(unquote(parts.path), what)


def _printable(path: str, what: str) -> Path:
    """The path, which commands that are printed will have in them; the system takes none with a NUL."""
    if found := next((each for each in path if unicodedata.category(each) == "Cc"), None):
        raise UserError(f"{what} {path!r} has a control character (U+{ord(found):04X}); give another path")
    return Path(path)


def path_at(what: str) -> Callable[[str | Path], Path]:
    """`local_path` of what was typed there."""
    return lambda given: local_path(given, what)
