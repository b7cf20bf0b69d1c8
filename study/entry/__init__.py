"""The import package ``tuneoff``, all of ours that lies beside other people's packages; never anything of a study.

The folders of the project have names that others use, too (``study``, ``reports``, ``julia``). A wheel keeps them
inside this package, in ``tuneoff/house``; of a checkout that is installed editable they lie where they are. The
``tuneoff`` command puts the house before everything else on ``sys.path``, so that no folder of the user's can stand in
for it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

# Everything else is imported inside functions: a json.py where the user stands must not be taken for Python's.
_PACKAGES = ("study", "trainables", "search_spaces", "reports")


def load(folder: str | Path) -> Any:
    """Read the records of a study: what `reports.load` returns.

    Raises
    ------
    ImportError
        When another package is called ``reports`` in this process.
    """
    house = str(_house())
    if house not in sys.path:
        sys.path.append(house)
    return _ours("reports").load(folder)


def main() -> None:
    """The ``tuneoff`` command."""
    _forget_where_the_user_stands()
    _hold_signals_back()
    try:
        house = str(_house())
        sys.path[:] = [house, *(path for path in sys.path if path != house)]
        for name in _PACKAGES:
            _ours(name)
    except ImportError as error:
        print(f"tuneoff: {error}", file=sys.stderr)
        sys.exit(2)
    _ours("study.cli.commands").main()


def _house() -> Path:
    """The folder that holds our packages: inside this one, or the checkout that was installed editable (PEP 610)."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from pathlib import Path
    from urllib.parse import unquote, urlparse

    inside = Path(__file__).resolve().parent / "house"
    if inside.is_dir():
        return inside
    try:
        told = json.loads(distribution("tuneoff").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        told = {}
    checkout = Path(unquote(urlparse(told.get("url", "")).path))
    if told.get("dir_info", {}).get("editable") and (checkout / "study").is_dir():
        return checkout
    raise ImportError(f"{inside} is missing; install tuneoff again")


def _ours(name: str) -> Any:
    """A module of ours, and none that happens to have its name."""
    from importlib import import_module
    from pathlib import Path

    module = import_module(name)
    found = Path(module.__file__ or "")
    if not found.is_relative_to(_house()):
        raise ImportError(f"'{name}' is {found} here, not tuneoff's own; rename that folder or take it off PYTHONPATH")
    return module


def _hold_signals_back() -> None:
    """Until the command has handlers of its own; threads that libraries start when they are imported never get any."""
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))


def _forget_where_the_user_stands() -> None:
    """Take the working folder and relative paths off ``sys.path`` and PYTHONPATH, for this process and its children.

    An empty entry of PYTHONPATH (a colon too many) means the working folder: modules there would be taken for those
    that are installed.
    """
    relative = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if not os.path.isabs(path)]
    there = {os.path.abspath(path) for path in relative}  # as Python itself has put them on sys.path
    sys.path[:] = [path for path in sys.path if path not in {"", *relative, *there}]
    if "PYTHONPATH" in os.environ:
        kept = [path for path in os.environ["PYTHONPATH"].split(os.pathsep) if os.path.isabs(path)]
        os.environ["PYTHONPATH"] = os.pathsep.join(kept)
        if not kept:
            del os.environ["PYTHONPATH"]
