"""How a command ends at Ctrl-C, SIGTERM or SIGHUP: by an exception, with its children and temporary files, in a line.

Commands that run a study have `study.interrupts` besides, inside of this.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from study.console import complain
from study.signals import SIGNALS, Interrupted, Listener, leave_at_once

GRACE_S = 5.0  # between two calls into a framework lie at most two, as a rule


@contextmanager
def ending_the_command() -> Iterator[None]:
    """Around a whole command: a signal raises `Interrupted`, wherever it is, and none waits for longer than `GRACE_S`.

    Handlers are called between two steps of Python. Where a call into a framework goes on for minutes, or the way out
    hangs, a thread ends the process. A second signal changes nothing. All stays as it is after an `Interrupted`:
    nothing shall disturb the process on its way out.
    """
    over = threading.Event()
    listener = Listener(lambda number: _end_in_time(number, over))
    listener.begin()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # see `study.__main__`
    try:
        yield
    finally:
        if listener.received is None:
            over.set()
            listener.end()


def _end_in_time(number: int, over: threading.Event) -> None:
    """End the process where the command goes on for too long after a signal."""
    if not over.wait(GRACE_S):
        complain(f"ended by {Interrupted(number)}, in the middle of its work")
        leave_at_once(128 + number)
