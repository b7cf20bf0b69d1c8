"""Helpers that hang, are missing or answer nonsense: bounded, caught, told; here they are shell scripts."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest

from trainables.common.helpers import Answer, ask, follow, telling
from trainables.common.signals import held_back

Helper = Callable[..., Answer]


@pytest.fixture
def helper(tmp_path: Path) -> Helper:
    """Ask a shell script."""

    def run(script: str, *, timeout_s: float = 20.0) -> Answer:
        path = tmp_path / "helper"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return ask([str(path), str(tmp_path)], timeout_s=timeout_s)

    return run


def gone(pid: int) -> bool:
    """Whether a process has ended; it may take a moment to be seen."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_an_answer(helper: Helper) -> None:
    assert helper("echo yes; echo but >&2") == Answer("yes\n", "but\n", None)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("exit 1", "failed with exit code 1"),
        ("echo; echo 'fatal: dubious ownership' >&2; echo 'To add an exception, call:' >&2; exit 128", "(fatal: dub"),
        ("kill -SEGV $$", "was ended by SIGSEGV"),
        ("printf '\\377\\376\\001x' >&2; exit 3", "failed with exit code 3 (\N{REPLACEMENT CHARACTER}"),
        ("read answer || exit 7", "failed with exit code 7"),
        ("exec 3</dev/tty || exit 6", "failed with exit code"),
    ],
    ids=["exit code", "telling line", "signal", "binary", "question", "question on the terminal"],
)
def test_what_is_no_answer_is_told(helper: Helper, script: str, problem: str) -> None:
    found = helper(script).problem
    assert found is not None
    assert problem in found
    assert found.isprintable()


@pytest.mark.parametrize(
    "script",
    [
        "sleep 60",
        "trap '' TERM INT HUP; echo $$ > $1/pid; while true; do sleep 1; done",
        "sleep 60 & echo $! > $1/pid; wait",
        "setsid sleep 60 & echo $! > $1/pid; wait",
        "exec >&- 2>&-; sleep 60",
    ],
    ids=["sleeps", "ignores SIGTERM", "has a child", "has a child in another session", "closed its outputs"],
)
def test_one_that_hangs_is_ended_with_its_children(helper: Helper, tmp_path: Path, script: str) -> None:
    began = psutil.Process().children(recursive=True)
    answer = helper(script, timeout_s=0.5)
    assert answer.problem == "gave no answer in 0.5 s"
    assert set(psutil.Process().children(recursive=True)) <= set(began)
    if (tmp_path / "pid").exists():
        assert gone(int((tmp_path / "pid").read_text()))


def test_a_child_that_holds_the_pipe_is_not_waited_for(helper: Helper, tmp_path: Path) -> None:
    answer = helper("sleep 60 & echo $! > $1/pid; echo done", timeout_s=30.0)
    assert answer == Answer("done\n", "", None)
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_flood_is_bounded(helper: Helper) -> None:
    answer = helper("yes | head -c 20000000; echo; echo last")
    assert answer.problem is None
    assert answer.out.endswith("\nlast\n")
    assert len(answer.out) <= 2**20
    endless = helper("yes", timeout_s=0.5)
    assert endless.problem == "gave no answer in 0.5 s"
    assert len(endless.out) <= 2**20


def test_nothing_that_could_be_started(tmp_path: Path) -> None:
    assert ask([str(tmp_path / "none")], timeout_s=5).problem == "is not there"
    assert ask([str(tmp_path)], timeout_s=5).problem == "cannot be started (Permission denied)"
    plain = tmp_path / "plain"
    plain.write_text("no program")
    assert ask([str(plain)], timeout_s=5).problem == "cannot be started (Permission denied)"
    plain.chmod(0o755)
    assert ask([str(plain)], timeout_s=5).problem == "cannot be started (Exec format error)"


def test_it_gets_the_variables_it_is_given(helper: Helper, tmp_path: Path) -> None:
    answer = ask(["/bin/sh", "-c", "echo $SAID $HOME"], timeout_s=20, environment={"SAID": "so"})
    assert answer.out.split() == ["so", os.environ["HOME"]]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("\n \n", ""),
        ("a\nb\n", "b"),
        ("Traceback\n  x\nurllib.error.HTTPError: HTTP 403\n", "urllib.error.HTTPError: HTTP 403"),
        ("ERROR: no package\nStacktrace:\n [1] f\n", "ERROR: no package"),
        ("x" * 1000, "x" * 300),
    ],
)
def test_the_telling_line(text: str, line: str) -> None:
    assert telling(text) == line


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("asking", [ask, partial(follow, hear=print)], ids=["ask", "follow"])
def test_a_signal_while_it_is_started_leaves_no_process(
    asking: Callable[..., Answer], sent: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    class Interrupted(Exception):
        pass

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self.pid)
            os.kill(os.getpid(), sent)  # nobody has it yet
            time.sleep(0.01)

    def handle(signum: int, frame: object) -> NoReturn:
        raise Interrupted(signum)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    former = signal.signal(sent, handle)
    try:
        with pytest.raises(Interrupted):
            asking(["/bin/sleep", "600"], timeout_s=600.0)
        assert signal.getsignal(sent) is handle
    finally:
        signal.signal(sent, former)
    assert gone(started[0])


def test_a_signal_that_is_held_back_counts_once() -> None:
    """Who listens by Python's wake-up would take a second one for the user's."""
    came: list[int] = []
    ear, mouth = os.pipe()
    os.set_blocking(mouth, False)
    woken, former = signal.set_wakeup_fd(mouth), signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        with held_back():
            signal.raise_signal(signal.SIGTERM)
            assert came == []
    finally:
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGTERM, former)
        os.close(mouth)
    assert came == [signal.SIGTERM]
    with open(ear, "rb") as heard:
        assert heard.read() == bytes([signal.SIGTERM])
