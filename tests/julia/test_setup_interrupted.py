"""Ctrl-C and SIGTERM while juliapkg is at work: it is the real one, and what it waits for never comes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from trainables.flux.environment import EXE, PROJECT

ROOT = Path(__file__).parents[2]
LIMIT_S = 60.0
FAKE_JULIA = """#!/bin/sh
case "$*" in
  *--version*) [ {stage} = version ] || { echo julia version 1.10.8; exit; };;
  *dlpath*) printf '/lib/libjulia.so \\0 /bin'; exit;;
esac
touch {here}
sleep 600 & wait
"""


def until(condition: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < LIMIT_S
        time.sleep(0.02)


def left_by(session: str) -> list[psutil.Process]:
    """Processes that have the mark of this test in their environment."""
    found = []
    for each in psutil.process_iter():
        try:
            if each.environ().get("TUNEOFF_TEST") == session and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize(
    ("stage", "sent"),
    [
        ("download", signal.SIGINT),
        ("download", signal.SIGTERM),
        ("version", signal.SIGTERM),
        ("packages", signal.SIGINT),
    ],
)
def test_a_signal_while_juliapkg_works(tmp_path: Path, stage: str, sent: signal.Signals) -> None:
    project, here = tmp_path / "julia_env", tmp_path / "here"
    environment = {key: value for key, value in os.environ.items() if key not in (EXE, PROJECT)}
    environment |= {"PYTHON_JULIAPKG_PROJECT": str(project), "TUNEOFF_TEST": str(tmp_path)}
    environment |= {"TUNEOFF_CACHE": str(tmp_path / "cache"), "JULIA_DEPOT_PATH": str(tmp_path / "depot")}
    with ExitStack() as held:
        mute = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        if stage == "download":  # from a proxy that takes the question, and never answers
            environment |= {"https_proxy": f"http://127.0.0.1:{mute.getsockname()[1]}", "PATH": str(tmp_path)}
        else:
            julia = tmp_path / "julia"
            julia.write_text(FAKE_JULIA.replace("{stage}", stage).replace("{here}", str(here)))
            julia.chmod(0o755)
            environment["PYTHON_JULIAPKG_EXE"] = str(julia)
        command = [sys.executable, "-m", "study", "setup-julia", "--no-gpu"]
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            if stage == "download":
                mute.settimeout(LIMIT_S)
                held.enter_context(mute.accept()[0])
            else:
                until(here.exists)
            with pytest.raises(TimeoutError), FileLock(project / "lock.pid").acquire(timeout=0):
                pass  # it is at work
            process.send_signal(sent)
            _, said = process.communicate(timeout=LIMIT_S)
            assert left_by(str(tmp_path)) == []
        finally:
            for each in left_by(str(tmp_path)):
                each.kill()
            process.wait()
    assert process.returncode == 128 + sent
    assert said == f"tuneoff: ended by {'Ctrl-C' if sent == signal.SIGINT else 'SIGTERM'}\n"
    with FileLock(project / "lock.pid").acquire(timeout=0):
        pass
    assert not (tmp_path / "cache" / "setup-julia.json").exists()  # it has not failed
