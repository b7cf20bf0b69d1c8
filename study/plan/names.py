"""What a study may be called: a name, which is one folder's, part of commands that are printed, and no path."""

from __future__ import annotations

import unicodedata

from trainables.common.errors import UserError
from trainables.common.places import local_path

LONGEST_BYTES = 200  # file systems take 255, and files of ours are named after it
_SHOWN = 40  # characters of it in a message
RESERVED = {"comparison": "`tuneoff compare` writes its page there"}
_UNSEEN = {"Cc": "a control character", "Cf": "a character that is not seen", "Zl": "a line end", "Zp": "a line end"}


def check_name(given: str, what: str = "--name") -> str:
    """The name, where it is one.

    Parameters
    ----------
    what
        Where it was given, for messages.

    Raises
    ------
    UserError
        Saying what is wrong with it.
    """
    problem = _unreadable(given)
    if problem is None:
        local_path(given, what)  # which refuses URLs
        problem = _problem(given)
    if problem is not None:
        shown = given if len(given) <= _SHOWN else f"{given[:_SHOWN]}..."
        raise UserError(f"{what} {shown!r} {problem}; choose another with --name, as in --name adam-2")
    return given


def _unreadable(name: str) -> str | None:
    if not name.strip():
        return "is empty"
    for character in name:
        if unseen := _UNSEEN.get(unicodedata.category(character)):
            return f"has {unseen} (U+{ord(character):04X})"
    return None


def _problem(name: str) -> str | None:
    if "/" in name:
        return "has a slash: a name is no path, --out says in which folder"
    if name.startswith("."):
        return "begins with a dot"
    if name.startswith("-"):
        return "begins with a dash: commands would take it for an option"
    if name != name.strip():
        return "begins or ends with a space"
    if name in RESERVED:
        return f"is reserved: {RESERVED[name]}"
    length = len(name.encode(errors="surrogatepass"))
    return f"is {length} bytes long, more than {LONGEST_BYTES}" if length > LONGEST_BYTES else None
