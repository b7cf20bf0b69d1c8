"""What things are called on a page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from trainables.frameworks import FRAMEWORKS

_sides: ContextVar[tuple[str, ...]] = ContextVar("sides", default=())


@contextmanager
def sides(names: Sequence[str]) -> Iterator[None]:
    """While a page compares sides that are no frameworks: their names, in the order in which they are shown."""
    token = _sides.set(tuple(names))
    try:
        yield
    finally:
        _sides.reset(token)


def place_among_sides(name: str) -> int | None:
    """The place of a side, from 0; None for what is no side."""
    known = _sides.get()
    return known.index(name) if name in known else None


def title(framework: str) -> str:
    """A framework's name as its authors write it."""
    return FRAMEWORKS[framework].title if framework in FRAMEWORKS else framework


def compared() -> str:
    """What a page compares: frameworks, or sides."""
    return "sides" if _sides.get() else "frameworks"


def study_name(path: str) -> str:
    """A study's name from its path, or a part of one, in letters that every file can hold.

    A path is bytes: they need not be UTF-8, nor anything in the locale's encoding.
    """
    return os.fsencode(path).decode("utf-8", errors="replace")
