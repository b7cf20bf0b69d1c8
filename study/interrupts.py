"""Ctrl-C, SIGTERM and SIGHUP: answered at once, stopped with the study safe, and told how to go on.

Tune's `fit` ends cleanly, trials left as they are, on SIGUSR1 and returns as if nothing had happened. So they
become SIGUSR1 while it runs, and an exception afterwards; outside of it they become that exception at once.

Python runs its handlers on the main thread, and that may be inside Ray, a framework or a long import, for seconds or
for ever. So a thread of its own, which Python wakes when a signal comes, answers the first and ends the process at the
second.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from study.console import complain, end_movement
from study.processes import end_processes, living_children

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last: the terminal was closed
_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}
_OVER = 0  # no signal has this number
_ANSWER_S = 1.0
_AGAIN_S = 0.05


class Interrupted(BaseException):
    """The user, or the system, asked to stop. Not an Exception, so that nothing swallows it on the way."""

    def __init__(self, signum: int) -> None:
        super().__init__(_NAMES[signal.Signals(signum)])
        self.signum = signum
        self.exit_code = 128 + signum


def come_again(lost: Interrupted) -> None:
    """Send a signal once more whose exception was raised where nobody gets it: in a destructor, or at a fork."""
    threading.Timer(_AGAIN_S, os.kill, (os.getpid(), lost.signum)).start()


def heard() -> list[signal.Signals]:
    """Those that are not ignored already, under nohup or in a shell's background: these stay ignored."""
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def leave_at_once(exit_code: int) -> NoReturn:
    """End this process and its children without Python's own way out.

    A second signal can stop Ray in the middle of its shutdown, and Ray's threads have crashed the interpreter's end
    then (exit code -11 where 130 was meant, measured on Ray 2.60).
    """
    end_movement()
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
        self._heard: list[signal.Signals] = []
        self._received: int | None = None
        self._in_fit = False
        self._depth = 0
        self._answered = threading.Event()
        self._lost = threading.Event()  # whether the signal was lost on its way, and comes again

    @contextmanager
    def handled(self) -> Iterator[Interrupts]:
        """Install the handlers; put the former ones back at the end. Inside another such block it changes nothing."""
        self._depth += 1
        try:
            if self._depth > 1:
                yield self
                return
            self._received = None
            self._answered.clear()
            self._heard = heard()
            former = {number: signal.getsignal(number) for number in self._heard}
            with self._listening():
                self.install()
                try:
                    yield self
                finally:
                    for number, handler in former.items():
                        signal.signal(number, handler)
        finally:
            self._depth -= 1

    def install(self) -> None:
        """Install the handlers; to be called again after `ray.init`, which puts its own in their place."""
        for number in self._heard:
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

    def last_words(self, interrupted: Interrupted) -> str:
        """What there is to say at the end; not before the first signal has been answered."""
        self._answered.wait(_ANSWER_S)
        return f"{interrupted}{f'; {self.farewell}' if self.farewell else ': stopped'}"

    def _before_tune(self, signum: int, frame: FrameType | None) -> None:
        raise Interrupted(self._received or signal.SIGTERM)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self._received is not None:
            return  # the listener ends the process
        self._received = signum
        if self._in_fit:
            os.kill(os.getpid(), signal.SIGUSR1)
        else:
            raise Interrupted(signum)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """A thread that Python tells of every signal, whatever the main thread is doing."""
        ear, mouth = os.pipe()
        os.set_blocking(mouth, False)
        former = signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
        listener = threading.Thread(target=self._listen, args=(ear,), name="signals", daemon=True)
        listener.start()
        _forked.add(self)
        hook, sys.unraisablehook = sys.unraisablehook, lambda what: self._unraised(what, hook)
        try:
            yield
        finally:
            sys.unraisablehook = hook
            _forked.discard(self)
            signal.set_wakeup_fd(former)
            os.write(mouth, bytes([_OVER]))
            listener.join(_ANSWER_S)
            for end in (ear, mouth):
                os.close(end)

    def _listen(self, ear: int) -> None:
        first = True
        while (number := os.read(ear, 1)[0]) != _OVER:
            if number not in SIGNALS:
                continue
            if not first:
                self._end(number)
            first = False
            self._answer(number)

    def _unraised(self, what: sys.UnraisableHookArgs, others: Callable[[sys.UnraisableHookArgs], object]) -> None:
        """What a handler raises inside a destructor goes nowhere; so the signal comes again, and is not the second."""
        if not isinstance(what.exc_value, Interrupted):
            others(what)
            return
        self._lost.set()
        self._received = None
        come_again(what.exc_value)

    def _answer(self, number: int) -> None:
        if self._answered.is_set():
            return
        name = _NAMES[signal.Signals(number)]
        means = f" ({self.means})" if self.means else ""
        again = f"{name} again" if number == signal.SIGINT else "a second one"
        with suppress(Exception):  # of a terminal that is gone; stopping matters more
            self._say(f"{name}: stopping{means}; {again} ends at once")
        self._answered.set()

    def _end(self, number: int) -> None:
        if self._lost.is_set():
            self._lost.clear()
            return
        with suppress(Exception):
            farewell = f"; {self.farewell}" if self.farewell else ""
            complain(f"{_NAMES[signal.Signals(number)]} again: ended at once{farewell}")
        leave_at_once(128 + number)


_forked: set[Interrupts] = set()  # those whose pipe a fork of this process would share


def _leave_to_parent() -> None:
    """In a fork, a loader worker for instance: Ctrl-C reaches it, too, and is its parent's to answer."""
    if _forked:
        _forked.clear()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)


os.register_at_fork(after_in_child=_leave_to_parent)
