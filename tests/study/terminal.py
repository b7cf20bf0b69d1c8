"""A terminal of any width that is not there."""

from __future__ import annotations

import io
import re

import pytest

from study.console import Screen, SteadyConsole

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x09\x0b-\x1f\x7f]")
_PLAIN = ("NO_COLOR", "CI", "FORCE_COLOR", "COLUMNS", "LINES")


class Tty(io.StringIO):
    """What is written there."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def able(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    """The environment of a terminal that can move lines, but for what is given."""
    for name in _PLAIN:
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)


def screen(width: int, height: int = 24) -> tuple[Screen, Tty]:
    """A screen on such a terminal, and what it writes there."""
    written = Tty()
    return Screen(SteadyConsole(file=written, width=width, height=height, soft_wrap=True, markup=False)), written


def lines(written: str) -> list[str]:
    """What a terminal without control characters would show."""
    return [line.rstrip() for line in CONTROL.sub("", written.replace("\r", "\n")).splitlines()]
