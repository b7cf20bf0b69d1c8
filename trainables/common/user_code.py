"""Python files that a user wrote: loaded as modules of their own, and what they raise told by file and line."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from trainables.common.house import HOUSE


class UserCodeError(RuntimeError):
    """What a user's file raised, in a line with file and line."""


_PREFIX = "tuneoff_"  # of the names of modules that are loaded here
_loaded: dict[tuple[Path, int, int], ModuleType] = {}
_preferred: Path | None = None  # the folder that imports find


def load(path: Path) -> ModuleType:
    """The module in a file, run once in a process; what lies beside it can be imported there, then and later.

    Raises
    ------
    Exception
        Whatever the file raises; `telling` makes a line of it.
    """
    path = path.resolve()
    state = path.stat()
    key = (path, state.st_mtime_ns, state.st_size)
    if key in _loaded:
        _prefer(path.parent)
        return _loaded[key]
    spec = importlib.util.spec_from_file_location(f"{_PREFIX}{path.stem}_{len(_loaded)}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    _prefer(path.parent)
    sys.modules[spec.name] = module  # dataclasses and pickle look there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    _loaded[key] = module
    return module


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Around a call of what a user's file has: what it raises there comes as a `UserCodeError`.

    What is raised without its taking part passes as it is.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        if (line := told(error, path.resolve().parent)) is None:
            raise
        raise UserCodeError(line) from error


def told(error: BaseException, folder: Path) -> str | None:
    """File, line and error; None where none of the files in the folder is to blame."""
    said = " ".join(str(error).split())
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    if isinstance(error, SyntaxError) and _lies_in(error.filename, folder):
        return f"{error.filename}, line {error.lineno}: {type(error).__name__}: {error.msg}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _lies_in(frame.filename, folder)]
    return f"{frames[-1].filename}, line {frames[-1].lineno}: {what}" if frames else None


def _lies_in(file: str | None, folder: Path) -> bool:
    if file is None or not file.startswith(f"{folder}{os.sep}"):
        return False
    return "site-packages" not in Path(file).relative_to(folder).parts  # of an environment that lies there, too


def _prefer(folder: Path) -> None:
    """Let imports find this folder, and forget the modules that the one before gave, perhaps under the same names."""
    global _preferred
    if _preferred == folder:
        return
    if _preferred is not None:
        sys.path[:] = [entry for entry in sys.path if entry != str(_preferred)]
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__dict__", {}).get("__file__")  # asking some for an attribute would import more
            if isinstance(file, str) and _lies_in(file, _preferred) and not name.startswith(_PREFIX):
                del sys.modules[name]
    _preferred = folder
    behind = sys.path.index(str(HOUSE)) + 1 if str(HOUSE) in sys.path else 0  # our own packages: names are anybody's
    sys.path.insert(behind, str(folder))
