from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from study.cluster.connection import connected
from study.interrupts import Interrupts, ray_exits_as_interruption
from study.signals import Interrupted


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_outside_of_tune_acts_at_once(signum: signal.Signals, code: int) -> None:
    with pytest.raises(Interrupted) as interrupted, Interrupts().handled():
        os.kill(os.getpid(), signum)
    assert interrupted.value.exit_code == code


def test_a_signal_before_tune_has_its_handler_does_not_kill() -> None:
    """SIGUSR1, by which Tune is told to stop, ends a process that has no handler for it."""
    with pytest.raises(Interrupted) as interrupted, Interrupts().handled() as interrupts, interrupts.during_fit():
        os.kill(os.getpid(), signal.SIGINT)
    assert interrupted.value.exit_code == 130


def test_an_error_of_tune_after_a_signal_is_the_interruption() -> None:
    def tune(*_: object) -> None:
        """Notes that it is to stop, as Tune's handler does."""

    def fit(interrupts: Interrupts) -> None:
        with interrupts.during_fit():
            signal.signal(signal.SIGUSR1, tune)
            os.kill(os.getpid(), signal.SIGTERM)
            raise RuntimeError("Tune stumbles over it")

    with Interrupts().handled() as interrupts, pytest.raises(Interrupted) as interrupted:
        fit(interrupts)
    assert interrupted.value.exit_code == 143


def test_the_former_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts().handled():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_a_signal_while_ray_starts_is_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        """Puts Ray's own handler in place of ours, as `ray.init` does, and is then hit."""
        signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(signum))
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("study.cluster.connection.ray.init", init)
    with pytest.raises(Interrupted) as interrupted, Interrupts().handled(), connected(None, on_death=lambda: None):
        pass
    assert interrupted.value.exit_code == 143


def test_ray_leaves_the_process_with_such_an_exit() -> None:
    with pytest.raises(Interrupted), ray_exits_as_interruption():
        sys.exit(15)


DEAF = """
import hashlib, os, sys, time
from contextlib import suppress
from study.interrupts import Interrupts
from study.signals import Interrupted
interrupts = Interrupts()
interrupts.means, interrupts.farewell = "all is safe", "go on with: tuneoff resume x"
with interrupts.handled():
    while True:  # inside C, where no Python handler runs, for a minute or more; a signal that comes before is lost
        with suppress(Interrupted):
            print("deaf", flush=True)
            hashlib.pbkdf2_hmac("sha256", b"x", b"y", 200_000_000)
"""


@contextmanager
def deaf() -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """Such a process, and what it says on stderr."""
    with subprocess.Popen([sys.executable, "-c", DEAF], stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "deaf\n"
        yield process, process.stderr


def test_a_signal_is_answered_while_the_main_thread_hears_nothing_and_a_second_ends() -> None:
    with deaf() as (process, said):
        process.send_signal(signal.SIGINT)
        answer = said.readline()
        assert answer == "tuneoff: Ctrl-C: stopping (all is safe); Ctrl-C again ends at once\n"
        process.send_signal(signal.SIGINT)
        assert said.read() == "tuneoff: Ctrl-C again: ended at once; go on with: tuneoff resume x\n"
    assert process.returncode == 130


def test_a_sigterm_that_comes_twice_at_once_is_one_and_a_later_one_ends() -> None:
    with deaf() as (process, said):
        process.send_signal(signal.SIGTERM)
        assert said.readline() == "tuneoff: SIGTERM: stopping (all is safe); a second one ends at once\n"
        process.send_signal(signal.SIGTERM)
        time.sleep(0.75)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert said.read() == "tuneoff: SIGTERM again: ended at once; go on with: tuneoff resume x\n"
    assert process.returncode == 143


@pytest.mark.parametrize(
    ("signum", "said", "end"),
    [
        (signal.SIGINT, "Ctrl-C: stopping (x); Ctrl-C again ends at once", "Ctrl-C; go on"),
        (signal.SIGTERM, "SIGTERM: stopping (x); a second one ends at once", "SIGTERM; go on"),
    ],
)
def test_the_answer_comes_first_and_then_how_to_go_on(signum: signal.Signals, said: str, end: str) -> None:
    told: list[str] = []
    interrupts = Interrupts(told.append)
    interrupts.means, interrupts.farewell = "x", "go on"
    with pytest.raises(Interrupted) as interrupted, interrupts.handled():
        os.kill(os.getpid(), signum)
    assert interrupts.last_words(interrupted.value) == end
    assert told == [said]


def test_one_that_cannot_be_told_stops_all_the_same() -> None:
    def fails(_: str) -> None:
        raise OSError("the terminal is gone")

    with pytest.raises(Interrupted) as interrupted, Interrupts(fails).handled() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
    assert interrupts.last_words(interrupted.value) == "Ctrl-C: stopped"


def test_handled_inside_handled_changes_nothing() -> None:
    before = signal.getsignal(signal.SIGINT)
    interrupts = Interrupts(lambda _: None)
    with interrupts.handled():
        ours = signal.getsignal(signal.SIGINT)
        with interrupts.handled():
            assert signal.getsignal(signal.SIGINT) == ours
        assert signal.getsignal(signal.SIGINT) == ours
    assert signal.getsignal(signal.SIGINT) == before


def test_a_signal_to_a_fork_is_not_ours() -> None:
    """Ctrl-C reaches every process at the terminal, loader workers too; each would count as one more."""
    told: list[str] = []
    with Interrupts(told.append).handled():
        child = os.fork()
        if child == 0:  # pragma: no cover
            os.kill(os.getpid(), signal.SIGINT)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    assert told == []


def test_other_signals_are_not_answered() -> None:
    told: list[str] = []
    former = signal.signal(signal.SIGUSR2, lambda *_: None)
    try:
        with Interrupts(told.append).handled():
            os.kill(os.getpid(), signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, former)
    assert told == []


def test_a_signal_that_a_destructor_swallows_comes_again_and_is_no_second_one() -> None:
    class Dying:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            len("")  # where the handler is run

    told: list[str] = []

    def work(interrupts: Interrupts) -> None:
        with interrupts.handled():
            Dying()
            time.sleep(10.0)

    with pytest.raises(Interrupted) as interrupted:
        work(Interrupts(told.append))
    assert interrupted.value.exit_code == 143
    assert told == ["SIGTERM: stopping; a second one ends at once"]
