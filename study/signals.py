"""Ctrl-C, SIGTERM and SIGHUP: what is common to all that answer them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from study.console import end_movement
from study.processes import end_processes, living_children

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last: the terminal was closed
_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}
_OVER = 0  # no signal has this number
_LAST_WORDS_S = 1.0
_AGAIN_S = 0.05


class Interrupted(BaseException):
    """The user, or the system, asked to stop. Not an Exception, so that nothing swallows it on the way."""

    def __init__(self, signum: int) -> None:
        super().__init__(_NAMES[signal.Signals(signum)])
        self.signum = signum
        self.exit_code = 128 + signum


def interrupt(signum: int) -> NoReturn:
    """Raise `Interrupted`."""
    raise Interrupted(signum)


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


class Listener:
    """Hears signals in two ways: on the main thread, between two steps of Python, and at once in a thread of its own.

    The main thread may be inside Ray, a framework or a long import, for seconds or for ever; Python wakes the thread
    all the same.

    Parameters
    ----------
    hear
        Called in the thread with the number of every signal that comes.
    first
        Called on the main thread with the first one's; the others change nothing there.
    lost
        Told when `Interrupted` was raised where nobody gets it, in a destructor or while a process is forked: the
        signal comes again, as the first.
    """

    def __init__(
        self,
        hear: Callable[[int], None],
        *,
        first: Callable[[int], None] = interrupt,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._hear = hear
        self._first = first
        self._lost = lost
        self.handled: list[signal.Signals] = []
        self.received: int | None = None  # what the first was

    def begin(self) -> None:
        """Listen. What is ignored already, under nohup or in a shell's background, stays ignored."""
        self.received = None
        self.handled = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        self._former = {number: signal.getsignal(number) for number in self.handled}
        ear, self._mouth = os.pipe()
        os.set_blocking(self._mouth, False)
        self._woken = signal.set_wakeup_fd(self._mouth, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, args=(ear,), name="signals", daemon=True)
        self._thread.start()
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraised
        _listening.append(self)
        self.install()

    def install(self) -> None:
        """Install the handlers; to be called again after `ray.init`, which puts its own in their place."""
        for number in self.handled:
            signal.signal(number, self._handle)

    def end(self) -> None:
        """Put back what was there before `begin`."""
        if self not in _listening:  # in a fork, where the thread is not
            return
        for number, handler in self._former.items():
            signal.signal(number, handler)
        _listening.remove(self)
        sys.unraisablehook = self._hook
        signal.set_wakeup_fd(self._woken)
        os.write(self._mouth, bytes([_OVER]))
        self._thread.join(_LAST_WORDS_S)
        os.close(self._mouth)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = signum
            self._first(signum)

    def _unraised(self, what: sys.UnraisableHookArgs) -> None:
        if not isinstance(what.exc_value, Interrupted):
            self._hook(what)
            return
        self._lost()
        self.received = None
        threading.Timer(_AGAIN_S, os.kill, (os.getpid(), what.exc_value.signum)).start()

    def _listen(self, ear: int) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # which are the main thread's
        with open(ear, "rb", buffering=0) as told:
            while (number := told.read(1)[0]) != _OVER:
                if number in SIGNALS:
                    self._hear(number)


_listening: list[Listener] = []  # the outermost first


def _leave_to_parent() -> None:
    """In a fork, a loader worker for instance: Ctrl-C reaches it, too, and is its parent's to answer."""
    if _listening:
        signal.set_wakeup_fd(-1)
        for number in _listening[0].handled:
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
        _listening.clear()


os.register_at_fork(after_in_child=_leave_to_parent)
