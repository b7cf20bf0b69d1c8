"""Where the command speaks: output that cannot be written ends no study.

Neither on a full disk, nor into a closed pipe, nor in letters that the terminal's encoding does not have.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Any

from rich.console import Console


def speak_in_any_encoding() -> None:
    """From now on stdout and stderr spell out what their encoding lacks, where Python would raise an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class SteadyConsole(Console):
    """Prints what it can. After an error the text waits in Python's buffer, where there is one, for the next line."""

    lost: OSError | None = None  # the last error, if any

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except OSError as error:
            self.lost = error

    def on_broken_pipe(self) -> None:
        """Nobody reads any more: go on in silence, where rich would end the process."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def complain(message: str) -> None:
    """One line on stderr."""
    with suppress(OSError):
        print(f"tuneoff: {' '.join(message.split())}", file=sys.stderr, flush=True)
