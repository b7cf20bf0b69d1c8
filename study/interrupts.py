"""Ctrl-C and SIGTERM: stop with the study safe, and say how to go on.

Tune's `fit` ends cleanly, trials left as they are, on SIGUSR1 and returns as if nothing had happened. So both signals
become SIGUSR1 while it runs, and an exception afterwards; outside of it they become that exception at once. A second
signal never waits.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from study.processes import end_processes, living_children

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """The user, or the system, asked to stop. Not an Exception, so that nothing swallows it on the way."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


def leave_at_once(exit_code: int) -> NoReturn:
    """End this process and its children without Python's own way out.

    A second signal can stop Ray in the middle of its shutdown, and Ray's threads have crashed the interpreter's end
    then (exit code -11 where 130 was meant, measured on Ray 2.60).
    """
    end_processes(living_children())
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(exit_code)


@contextmanager
def ray_exits_as_interruption() -> Iterator[None]:
    """Around `ray.init`: in place of our handler for SIGTERM it puts one that ends the process with exit code 15."""
    try:
        yield
    except SystemExit:
        raise Interrupted(signal.SIGTERM) from None


class Interrupts:
    """Handlers for SIGINT and SIGTERM, for the time of a ``with`` block."""

    def __init__(self) -> None:
        self._received: int | None = None
        self._in_fit = False

    @contextmanager
    def handled(self) -> Iterator[Interrupts]:
        """Install the handlers; put the former ones back at the end."""
        former = {number: signal.getsignal(number) for number in _SIGNALS}
        self.install()
        try:
            yield self
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def install(self) -> None:
        """Install the handlers; to be called again after `ray.init`, which puts its own in their place."""
        for number in _SIGNALS:
            signal.signal(number, self._handle)

    @contextmanager
    def during_fit(self) -> Iterator[None]:
        """Around Tune's ``fit``: raises `Interrupted` after it, when it ended for a signal; by an error, too."""
        signal.signal(signal.SIGUSR1, self._before_tune)  # until Tune puts its own handler in its place
        self._in_fit = True
        try:
            yield
        except Exception:
            if self._received is None:
                raise
        finally:
            self._in_fit = False
        if self._received is not None:
            raise Interrupted(self._received)

    def _before_tune(self, signum: int, frame: FrameType | None) -> None:
        raise Interrupted(self._received or signal.SIGTERM)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        first = self._received is None
        self._received = signum
        if self._in_fit and first:
            os.kill(os.getpid(), signal.SIGUSR1)
        else:
            raise Interrupted(signum)
