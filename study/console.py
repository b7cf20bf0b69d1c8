"""Where the command speaks: output that cannot be written, on a full disk or into a closed pipe, ends no study."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

from rich.console import Console


class SteadyConsole(Console):
    """Prints what it can. After an error the text waits in Python's buffer and comes with the next line."""

    def print(self, *objects: Any, **options: Any) -> None:
        with suppress(OSError):
            super().print(*objects, **options)

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
