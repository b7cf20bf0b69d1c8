"""What goes wrong in Julia, in a line with its cause."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from trainables.common.helpers import telling
from trainables.common.signals import held_back
from trainables.flux.seam import MESSAGE_CHARACTERS

_NESTED = re.compile(r"^( +)nested task error: ", re.MULTILINE)
_END = re.compile(r"^ *Stacktrace:|^\.\.\.and \d+ more", re.MULTILINE)
_MORE = re.compile(r"^\.\.\.(and \d+ more exceptions?)", re.MULTILINE)
_WHERE = re.compile(r"^(during initialization of module \S+|in expression starting at .+)$", re.MULTILINE)
_ERROR = re.compile(r"^ERROR: (.+)$", re.MULTILINE)


@contextmanager
def julia_errors() -> Iterator[None]:
    """Turn Julia's exceptions into RuntimeError: unpickling a JuliaError would start Julia in the driver."""
    try:
        with held_back():
            yield
    except Exception as error:
        if type(error).__name__ != "JuliaError":
            raise
        raise RuntimeError(f"Julia: {in_a_line(str(error))[:MESSAGE_CHARACTERS]}") from None


def in_a_line(said: str) -> str:
    """An exception as Julia shows it, without its stack; of one in a task, what was thrown there.

    A task's exception is shown indented below the stack of whoever waited for it, and may be that of a task again.
    """
    begin, indent, notes = 0, 0, []
    for nested in _NESTED.finditer(said):
        if len(nested[1]) <= indent:
            break  # of the next task
        begin, indent = nested.end(), len(nested[1])
    if begin:
        notes.append("in a task")
    end = _END.search(said, begin)
    notes += [found[1] for pattern in (_MORE, _WHERE) if (found := pattern.search(said))]
    message = " ".join(said[begin : end.start() if end else None].split())
    return f"{message} ({', '.join(notes)})" if notes else message


@contextmanager
def told_why_julia_does_not_start() -> Iterator[None]:
    """Around the start of Julia and the loading of packages; what these say on stderr is shown where they succeed.

    Raises
    ------
    RuntimeError
        Where they fail: one line, with what was said there.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as said:
        stderr = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            yield
        except Exception as error:
            why = _why(error, _read(said.fileno()))
            raise RuntimeError(f"Julia did not start: {why}; `tuneoff doctor` tells what to do") from None
        else:
            os.write(stderr, _read(said.fileno()).encode())
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _why(error: Exception, said: str) -> str:
    if isinstance(error, subprocess.CalledProcessError):  # Julia, asked by juliacall where its library is
        return f"{error.cmd[0]} failed ({telling(error.stderr or '') or f'exit code {error.returncode}'})"
    if isinstance(error, AssertionError):
        return "its library is not where it says"
    found = _ERROR.search(said)
    spoken = found[1] if found else telling(said)
    return " ".join(f"{error or type(error).__name__}{f' ({spoken})' if spoken else ''}".split())[:MESSAGE_CHARACTERS]


def _read(file: int) -> str:
    return os.pread(file, os.fstat(file).st_size, 0).decode("utf-8", errors="replace")
