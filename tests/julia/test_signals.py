"""Signals where Julia runs; `make signals` tries every stage many times."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.julia.signals import SIGNALS, Cell, attempt

ROOT = Path(__file__).parents[2]
LIKE_JULIA = """
import atexit, ctypes, os, signal, threading, time
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
from study.ending import ending_the_command
from study.signals import Interrupted
from trainables.common.signals import held_back
from trainables.flux.signals import kept_from_julia

JULIAS = {signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1}

def julias_thread():
    while True:
        number = signal.sigwait(JULIAS)
        print("Julia has", signal.Signals(number).name, flush=True)
        os._exit(99)

def send(at):
    if at == MOMENT:
        for number in SENT:
            os.kill(os.getpid(), number)
        time.sleep(0.1)

def julia_starts():
    send("before")
    signal.pthread_sigmask(signal.SIG_SETMASK, JULIAS)
    threading.Thread(target=julias_thread, daemon=True).start()
    time.sleep(0.1)  # until it waits
    ctypes.PyDLL(None).signal(int(signal.SIGINT), NOTHING)  # which Python does not know of
    send("while Julia's handler is there")
    atexit.register(print, end="")
    send("while PythonCall is loaded")
    print("started", flush=True)

NOTHING = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: None)

with ending_the_command():
    try:
        with kept_from_julia():
            julia_starts()
        send("later")
        with held_back():
            send("in a call")
            print("called", flush=True)
        print("lost", flush=True)
    except Interrupted as interrupted:
        print(interrupted, flush=True)
        os._exit(0)
"""
MOMENTS = ("before", "while Julia's handler is there", "while PythonCall is loaded", "later", "in a call")


@pytest.mark.parametrize("sent", [["SIGINT"], ["SIGTERM"], ["SIGINT", "SIGTERM"]], ids=" ".join)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_is_pythons_whenever_it_comes(moment: str, sent: list[str]) -> None:
    """Of what Julia does, here Python does the same."""
    numbers = [int(signal.Signals[name]) for name in sent]
    code = f"MOMENT, SENT = {moment!r}, {numbers}\n{LIKE_JULIA}"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
    *before, last = answer.stdout.splitlines()
    assert last.replace("Ctrl-C", "SIGINT") in sent
    assert before == ["started", "called"][: 2 if moment == "in a call" else 1]


def check(cell: Cell) -> None:
    ending = attempt(cell, random.Random(0))
    assert ending.problem(cell) is None


@pytest.mark.parametrize("signals", ["Ctrl-C", "SIGTERM"])
def test_a_signal_while_pytorch_trains(signals: str) -> None:
    check(Cell("pytorch", "training", signals, 1))


@pytest.mark.julia
@pytest.mark.parametrize(("stage", "signals", "threads"), [("starting", "Ctrl-C", 1), ("training", "SIGTERM", 2)])
def test_a_signal_while_flux_works(stage: str, signals: str, threads: int) -> None:
    check(Cell("flux", stage, signals, threads))


def test_every_signal_has_its_exit_code() -> None:
    assert {name: 128 + numbers[0] for name, numbers in SIGNALS.items() if len(numbers) == 1} == {
        "Ctrl-C": 130,
        "SIGTERM": 143,
        "SIGHUP": 129,
    }
