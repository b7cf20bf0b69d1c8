"""Ctrl-C and SIGTERM in a process that runs Julia: they stay Python's.

Julia blocks them on the thread that starts it, and a thread of its own waits for them. That one prints where every
thread stands, and ends the process from whatever the main thread is doing, which hangs for good where that waits for a
garbage collection. Linux gives a signal to the main thread where that does not block it, and else to the oldest thread
that will have it. So the main thread stops blocking them once Julia runs, and threads that are older than Julia's take
them while it cannot. Either way Python's handlers are called, between two calls into Julia.
"""

from __future__ import annotations

import atexit
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from trainables.common.signals import held_back

_JULIAS = {signal.SIGINT, signal.SIGTERM, signal.SIGQUIT}  # SIGUSR1, too, but that is its profiler's
_taker: threading.Thread | None = None


@contextmanager
def kept_from_julia() -> Iterator[None]:
    """Around the start of Julia, on the main thread; a signal that comes meanwhile is raised afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    for number in _JULIAS & blocked:  # Ray blocks SIGINT in its workers
        signal.signal(number, signal.SIG_IGN)
    first = _FirstSignal()
    _take_signals()

    def take_back() -> None:
        handler = signal.getsignal(signal.SIGINT)  # Python's, although Julia has put its own in its place
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked - _JULIAS)

    with held_back(), _at_the_first_registration(take_back):
        try:
            yield
        finally:
            take_back()
            if (came := first.number()) is not None:
                signal.raise_signal(came)


@contextmanager
def _at_the_first_registration(then: Callable[[], None]) -> Iterator[None]:
    """Do something when a function for the process's end is registered.

    juliacall does that as soon as Julia has started, and loads PythonCall after it, for seconds: a SIGINT would go to
    Julia's handler, which forgets it.
    """
    register = atexit.register

    def registering(*arguments: Any, **keywords: Any) -> Any:
        then()
        return register(*arguments, **keywords)

    atexit.register = registering
    try:
        yield
    finally:
        atexit.register = register


class _FirstSignal:
    """A thread that waits for a signal while Julia starts.

    For half a second Julia's own handler for SIGINT is in place, which forgets it; whoever waits needs none.
    """

    def __init__(self) -> None:
        self._came: list[int] = []
        ready = threading.Event()
        self._thread = threading.Thread(target=self._wait, args=(ready,), name="waits for a signal", daemon=True)
        self._thread.start()
        ready.wait()

    def number(self) -> int | None:
        """What has come, if anything; ends the waiting."""
        if self._thread.is_alive():
            signal.pthread_kill(cast(int, self._thread.ident), signal.SIGURG)
        self._thread.join()
        return next((number for number in self._came if number != signal.SIGURG), None)

    def _wait(self, ready: threading.Event) -> None:
        awaited = {signal.SIGINT, signal.SIGTERM, signal.SIGURG}
        signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
        ready.set()
        self._came.append(signal.sigwait(awaited))


def _take_signals() -> None:
    """Start a thread that takes signals where the main thread cannot; it does nothing else, to the process's end."""
    global _taker
    if _taker is not None:
        return
    ready = threading.Event()

    def wait() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _JULIAS)
        ready.set()
        threading.Event().wait()

    _taker = threading.Thread(target=wait, name="takes signals", daemon=True)
    _taker.start()
    ready.wait()
