"""Where the command speaks: output that cannot be written ends no study.

Neither on a full disk, nor into a closed pipe, nor in letters that the terminal's encoding does not have. On a terminal
lines pass above one that moves; elsewhere there are plain lines, without a single control character.
"""

from __future__ import annotations

import io
import os
import re
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

REFRESHES_PER_SECOND = 4  # each takes milliseconds of a CPU on which a training may be running
_LEFT_WIDTH = len("about 90 min left")  # kept free, that the bar keeps its length
_ECHO_WIDTH = len("^C^C")  # kept free at the end of each line: one that it breaks could not be drawn again
_END_S = 0.5  # for which the end of the process waits for the terminal to be put in order
_WHOLE = re.compile(r"\s+|(?:(?<=with: )tuneoff .*)|`[^`]*`\S*|\S+")  # words, and commands, which are to be copied
_SHOW_CURSOR = "\r\x1b[?25h"


def speak_in_any_encoding() -> None:
    """From now on stdout and stderr spell out what their encoding lacks, where Python would raise an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def can_move(stream: IO[str]) -> bool:
    """Whether a stream leads to a terminal on which lines can be drawn again; NO_COLOR and CI ask for plain ones."""
    with suppress(OSError, ValueError, AttributeError):
        if not stream.isatty():
            return False
        plain = os.environ.get("NO_COLOR") or os.environ.get("CI") or os.environ.get("TERM", "dumb") in _UNABLE
        return not plain
    return False


_UNABLE = ("", "dumb", "unknown")


class SteadyConsole(Console):
    """Prints what it can. After an error the text waits in Python's buffer, where there is one, for the next line.

    On a terminal lines break between words, and never inside a command.
    """

    lost: OSError | None = None  # the last error, if any

    @property
    def is_terminal(self) -> bool:
        """Whether control characters may be written; rich would also do so where FORCE_COLOR is set and no terminal."""
        return can_move(self.file)

    def print(self, *objects: Any, **options: Any) -> None:
        if self.is_terminal and "soft_wrap" not in options and all(isinstance(each, str) for each in objects):
            objects = (folded(" ".join(objects), self.width),)
        if any(each.console is not self and each.console.file is self.file for each in _moving):
            end_movement()  # what a command was asked for comes after all else
        try:
            super().print(*objects, **options)
        except OSError as error:
            self.lost = error

    def __exit__(self, *failure: Any) -> None:
        try:
            with _writing:
                super().__exit__(*failure)
        except OSError as error:  # also of a line that is drawn again, on a terminal that is gone
            self.lost = error

    def on_broken_pipe(self) -> None:
        """Nobody reads any more: go on in silence, where rich would end the process."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class _Words(textwrap.TextWrapper):
    def _split(self, text: str) -> list[str]:
        return _WHOLE.findall(text)


def folded(text: str, width: int, *, indent: int = 0) -> str:
    """A text in lines of a width; what is longer and has no gap, or is a command, stays whole.

    Parameters
    ----------
    indent
        By how much all lines but the first are.
    """
    words = _Words(
        width, subsequent_indent=" " * indent, break_long_words=False, replace_whitespace=False, drop_whitespace=True
    )
    return "\n".join("\n".join(words.wrap(line)) for line in text.split("\n"))


def listed(said: Mapping[str, str], width: int, *, indent: int | None = None) -> list[str]:
    """Names, which are never cut, and what there is to say of each, in as many lines as it needs.

    Parameters
    ----------
    indent
        Of all lines of one but its first; as far as the names go, if not given.
    """
    longest = max(map(len, said), default=0)
    depth = longest + 2 if indent is None else indent
    lines = (folded(f"{name:{longest}}  {each}", width, indent=depth) for name, each in said.items())
    return [line for each in lines for line in each.split("\n")]


def complain(message: str) -> None:
    """One line on stderr. It ends what moves on the terminal."""
    end_movement()
    said = f"tuneoff: {' '.join(message.split())}"
    with suppress(OSError):
        stream = getattr(sys.stderr, "rich_proxied_file", sys.stderr)  # itself, where the terminal was not given back
        if can_move(stream):
            said = folded(said, Console(stderr=True).width)
        print(said, file=stream, flush=True)


@dataclass(frozen=True)
class Measure:
    """How far something is."""

    done: int
    total: int
    left: str = ""  # the time, in words; empty where nothing is known of it


class Screen:
    """What goes on now: beside a spinner at the bottom of the terminal, above which lines pass; nothing elsewhere.

    Parameters
    ----------
    console
        On which it is shown.
    """

    def __init__(self, console: SteadyConsole) -> None:
        self.console = console
        self._live: Live | None = None
        self._lock = threading.RLock()  # a line from one thread while another gives the terminal back would stay there
        self._doing = ""
        self._measure: Callable[[], Measure | None] = lambda: None
        self._below: Callable[[int, int], Sequence[str]] = lambda *_: ()
        self._spinner: Spinner | None = None

    @property
    def moves(self) -> bool:
        """Whether something moves; else what is worth a line must be told as one."""
        return self._live is not None

    @contextmanager
    def moving(self, what: str) -> Iterator[None]:
        """Show what goes on for the time of the block; inside another such block, from now on."""
        self._doing = what
        if self.moves or self.console.quiet or not self.console.is_terminal:
            yield
            return
        self._spinner = Spinner("dots" if self.console.encoding.startswith("utf") else "line")
        self._live = Live(
            get_renderable=self._picture,
            console=self.console,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
        )
        with suppress(OSError):
            self._live.start(refresh=True)
        _moving.append(self)
        try:
            yield
        finally:
            self.end()

    def doing(self, what: str) -> None:
        """From now on something else goes on."""
        self._doing = what

    def showing(
        self,
        measure: Callable[[], Measure | None] = lambda: None,
        below: Callable[[int, int], Sequence[str]] = lambda *_: (),
    ) -> None:
        """From now on show a bar, and more lines below it.

        Parameters
        ----------
        measure
            Tells how far it is.
        below
            Makes the lines; given how wide they may be, and how many there is room for.
        """
        self._measure, self._below = measure, below

    def say(self, message: str) -> None:
        """One line, above what moves."""
        with self._lock:
            self.console.print(message, highlight=False)

    def show(self, table: Table) -> None:
        """A table of facts, once."""
        with self._lock:
            self.console.print(table, soft_wrap=False)

    def end(self) -> None:
        """Give the terminal back."""
        with self._lock:
            if self._live is not None:
                live, self._live = self._live, None
                with suppress(OSError):
                    live.stop()
                _moving.remove(self)
        self.showing()

    def _picture(self) -> RenderableType:
        line = Table.grid(padding=(0, 1), expand=True)
        cells: list[RenderableType] = [self._spinner or "", Text(self._doing, overflow="ellipsis", no_wrap=True)]
        line.add_column(no_wrap=True)
        measure = self._measure()
        if measure is None:
            line.add_column(ratio=1)
        else:
            line.add_column(no_wrap=True)
            line.add_column(ratio=1, min_width=8)
            line.add_column(no_wrap=True, justify="right", min_width=len(f"{measure.total} of {measure.total}"))
            line.add_column(no_wrap=True, min_width=_LEFT_WIDTH)
            cells += [ProgressBar(max(1, measure.total), measure.done), f"{measure.done} of {measure.total}"]
            cells.append(measure.left)
        line.add_row(*cells)
        width = self.console.width - _ECHO_WIDTH
        below = self._below(width, self.console.height - 2)
        return Constrain(Group(line, *(Text(each, no_wrap=True) for each in below)), width)


_moving: list[Screen] = []  # at most one: there is one terminal
_writing = threading.RLock()  # held during a fork: its child would inherit the lock of a stream amid a line


def _leave_to_parent() -> None:
    """In a fork, a loader worker for instance, nothing moves."""
    _writing.release()
    _moving.clear()
    sys.stdout = getattr(sys.stdout, "rich_proxied_file", sys.stdout)
    sys.stderr = getattr(sys.stderr, "rich_proxied_file", sys.stderr)


os.register_at_fork(before=_writing.acquire, after_in_parent=_writing.release, after_in_child=_leave_to_parent)


def end_movement() -> None:
    """Give the terminal back, whatever holds it; to be called before a line on stderr, from any thread."""
    for screen in list(_moving):
        end = threading.Thread(target=screen.end, daemon=True)  # the lock may be held by one who will not come back
        end.start()
        end.join(_END_S)
        if end.is_alive():
            with suppress(OSError, ValueError):
                os.write(screen.console.file.fileno(), f"{_SHOW_CURSOR}\n".encode())
