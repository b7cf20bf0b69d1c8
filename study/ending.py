"""How a command ends at Ctrl-C, SIGTERM or SIGHUP: by an exception, with its children and temporary files, in a line.

Commands that run a study have `study.interrupts` besides, inside of this.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from study.console import complain
from study.interrupts import SIGNALS, Interrupted, come_again, heard, leave_at_once

GRACE_S = 5.0  # between two calls into a framework lie at most two, as a rule


@contextmanager
def ending_the_command() -> Iterator[None]:
    """Around a whole command: a signal raises `Interrupted`, wherever it is, and none waits for longer than `GRACE_S`.

    Handlers are called between two steps of Python. Where a call into a framework goes on for minutes, or the way out
    hangs, a thread ends the process. A second signal changes nothing. All stays as it is after an `Interrupted`:
    nothing shall disturb the process on its way out.
    """
    ending = _Ending()
    ending.begin()
    try:
        yield
    finally:
        if not ending.received:
            ending.put_back()


class _Ending:
    """Handlers that raise once, a thread that looks after them, and what was in their place."""

    def __init__(self) -> None:
        self.received = False
        self._over = threading.Event()
        self._ear, self._mouth = os.pipe()
        os.set_blocking(self._mouth, False)

    def begin(self) -> None:
        self._heard = heard()
        self._former = {number: signal.signal(number, self._handle) for number in self._heard}
        self._hook, sys.unraisablehook = sys.unraisablehook, self._ignored
        self._woken = signal.set_wakeup_fd(self._mouth, warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=self._forked)
        threading.Thread(target=self._end_in_time, name="ends the command", daemon=True).start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # see `study.__main__`

    def put_back(self) -> None:
        self._over.set()
        sys.unraisablehook = self._hook
        signal.set_wakeup_fd(self._woken)
        for number, handler in self._former.items():
            signal.signal(number, handler)
        os.close(self._mouth)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if not self.received:
            self.received = True
            raise Interrupted(signum)

    def _ignored(self, what: sys.UnraisableHookArgs) -> None:
        """What is raised in a destructor or while a process is forked goes nowhere; so the signal comes again."""
        if isinstance(what.exc_value, Interrupted):
            self.received = False
            come_again(what.exc_value)
        else:
            self._hook(what)

    def _forked(self) -> None:
        """A loader's process is ended by the one that it works for, whom Ctrl-C tells as well."""
        if not self._over.is_set():
            self._over.set()
            signal.set_wakeup_fd(-1)
            for number in self._heard:
                signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)

    def _end_in_time(self) -> None:
        """Wait for a signal; end the process where the command goes on for too long after it."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        with open(self._ear, "rb", buffering=0) as told:
            while number := told.read(1):
                if number[0] in SIGNALS and not self._over.wait(GRACE_S):
                    complain(f"ended by {Interrupted(number[0])}, in the middle of its work")
                    leave_at_once(128 + number[0])
