"""A driver as a user runs it, in a process of its own, and the processes that belong to it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

TIMEOUT_S = 180.0


class Driver:
    """One run of ``tuneoff``."""

    def __init__(self, *arguments: str, cwd: Path, env: dict[str, str]) -> None:
        self.output = cwd / f"driver-{time.monotonic_ns()}.log"
        with self.output.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "study", *arguments],
                cwd=cwd,
                env={**os.environ, **env},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that nothing sent to it reaches the harness
            )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def family(self) -> list[psutil.Process]:
        """Its processes: the driver last."""
        try:
            driver = psutil.Process(self.process.pid)
            return [*driver.children(recursive=True), driver]
        except psutil.Error:
            return []

    def named(self, part: str) -> list[psutil.Process]:
        """Those of its processes whose command line has this part; Ray names a trial's process after its class."""
        found = []
        for process in self.family():
            try:
                if part in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:  # gone meanwhile
                continue
        return found

    def kill_family(self) -> None:
        """Everything at once, the driver first, so that it cannot react."""
        for process in reversed(self.family()):
            kill(process)
        self.process.wait()

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """Its exit code."""
        try:
            return self.process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.kill_family()
            raise AssertionError(f"the driver hung; it said\n{self.said()[-3000:]}") from None

    def said(self) -> str:
        return self.output.read_text(errors="replace")


def kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.Error:  # gone meanwhile
        return


def wait_until(condition: Callable[[], object], timeout_s: float = TIMEOUT_S) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
