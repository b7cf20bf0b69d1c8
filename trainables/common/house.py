"""Where this code lies, and which code it is.

Every process that the product starts finds our modules here and nowhere else: not where the user stands, and not where
PYTHONPATH leads.
"""

from __future__ import annotations

import hashlib
import sys
from functools import lru_cache
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[2]  # the checkout, or the folder of an installed wheel that holds the packages
PACKAGES = ("study", "trainables", "search_spaces", "reports")
_RUN = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules in a process of its own, as ``python -m`` would.

    ``-P`` keeps the working folder off the child's ``sys.path``.
    """
    return [sys.executable, "-P", "-c", _RUN, str(HOUSE), module, *arguments]


@lru_cache
def code_digest() -> str:
    """SHA-256 over the sources of a trial, so that another checkout, or a changed one, does not pass for this one."""
    return digest(HOUSE / "trainables", ".py")


def digest(folder: Path, *suffixes: str) -> str:
    """SHA-256 over names and contents of the files below a folder that end so."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in suffixes):
        found.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()
