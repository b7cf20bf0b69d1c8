"""Signals that must not act in the midst of something: what their handlers raise there would be lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_HELD_BACK = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def held_back() -> Iterator[None]:
    """Let the handler of a signal that comes meanwhile act afterwards.

    Around a call into Julia that may call Python back, what it raises would become an error of Julia's; while a process
    is started, nobody would know of that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        came.append(signum)

    former = {number: handler for number in _HELD_BACK if callable(handler := signal.getsignal(number))}
    for number in former:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        if came:  # not raised again: whoever counts signals would count two
            former[signal.Signals(came[0])](came[0], None)
