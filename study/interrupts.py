"""Ctrl-C, SIGTERM and SIGHUP: answered at once, stopped with the study safe, and told how to go on.

Tune's `fit` ends cleanly, trials left as they are, on SIGUSR1 and returns as if nothing had happened. So they
become SIGUSR1 while it runs, and an exception afterwards; outside of it they become that exception at once.

Python runs its handlers on the main thread, and that may be inside Ray, a framework or a long import, for seconds or
for ever. So the thread of a `Listener` answers the first and ends the process at the second.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from study.console import complain
from study.signals import Interrupted, Listener, leave_at_once

_ANSWER_S = 1.0
_ONE_REQUEST_S = 0.5  # `timeout` sends SIGTERM to its child and then to its whole group; so do some schedulers


@contextmanager
def ray_exits_as_interruption() -> Iterator[None]:
    """Around `ray.init`: in place of our handler for SIGTERM it puts one that ends the process with exit code 15."""
    try:
        yield
    except SystemExit:
        raise Interrupted(signal.SIGTERM) from None


class Interrupts:
    """Handlers for these signals, for the time of a ``with`` block.

    Parameters
    ----------
    say
        Told in a line what a first signal does.
    """

    def __init__(self, say: Callable[[str], None] = complain) -> None:
        self._say = say
        self.means = ""  # what is lost by stopping now, to be told at the first signal
        self.farewell = ""  # how to go on, to be told at the end
        self._in_fit = False
        self._depth = 0
        self._answered = threading.Event()
        self._answered_at = 0.0  # on the clock of ``time.monotonic``
        self._lost = threading.Event()  # whether the signal was lost on its way, and comes again
        self._listener = Listener(self._hear, first=self._stop, lost=self._lost.set)

    @contextmanager
    def handled(self) -> Iterator[Interrupts]:
        """Install the handlers; put the former ones back at the end. Inside another such block it changes nothing."""
        self._depth += 1
        try:
            if self._depth > 1:
                yield self
                return
            self._answered.clear()
            try:
                self._listener.begin()
                yield self
            finally:
                self._listener.end()
        finally:
            self._depth -= 1

    def install(self) -> None:
        """Install the handlers; to be called again after `ray.init`, which puts its own in their place."""
        self._listener.install()

    @contextmanager
    def during_fit(self) -> Iterator[None]:
        """Around Tune's ``fit``: raises `Interrupted` after it, when it ended for a signal; by an error, too."""
        signal.signal(signal.SIGUSR1, self._before_tune)  # until Tune puts its own handler in its place
        self._in_fit = True
        try:
            yield
        except Exception:
            if self._listener.received is None:
                raise
        finally:
            self._in_fit = False
        if self._listener.received is not None:
            raise Interrupted(self._listener.received)

    def last_words(self, interrupted: Interrupted) -> str:
        """What there is to say at the end; not before the first signal has been answered."""
        self._answered.wait(_ANSWER_S)
        return f"{interrupted}{f'; {self.farewell}' if self.farewell else ': stopped'}"

    def _before_tune(self, signum: int, frame: FrameType | None) -> None:
        raise Interrupted(self._listener.received or signal.SIGTERM)

    def _stop(self, signum: int) -> None:
        if self._in_fit:
            os.kill(os.getpid(), signal.SIGUSR1)
        else:
            raise Interrupted(signum)

    def _hear(self, number: int) -> None:
        if not self._answered.is_set():
            self._answer(number)
        elif self._lost.is_set():  # the same once more
            self._lost.clear()
        elif number != signal.SIGINT and time.monotonic() - self._answered_at < _ONE_REQUEST_S:
            return  # nobody pressed anything twice
        else:
            self._end(number)

    def _answer(self, number: int) -> None:
        name = Interrupted(number)
        means = f" ({self.means})" if self.means else ""
        again = f"{name} again" if number == signal.SIGINT else "a second one"
        with suppress(Exception):  # of a terminal that is gone; stopping matters more
            self._say(f"{name}: stopping{means}; {again} ends at once")
        self._answered_at = time.monotonic()
        self._answered.set()

    def _end(self, number: int) -> None:
        with suppress(Exception):
            farewell = f"; {self.farewell}" if self.farewell else ""
            complain(f"{Interrupted(number)} again: ended at once{farewell}")
        leave_at_once(128 + number)
