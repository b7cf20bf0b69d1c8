from __future__ import annotations

import os
import signal
import sys

import pytest

from study.cluster.connection import connected
from study.interrupts import Interrupted, Interrupts, ray_exits_as_interruption


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
