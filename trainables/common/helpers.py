"""Asking other programs: nvidia-smi, git, Julia. What they say is welcome; nothing may depend on their saying it."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from trainables.common.signals import held_back

SILENCE_S = 10.0
_KEPT_BYTES = 2**20  # of each output
_TOLD_CHARACTERS = 300
_LOOK_EVERY_S = 0.05
_END_S = 1.0  # a process that waits in a driver does not even die of SIGKILL
_ERROR = re.compile(r"(fatal|error|\S*(Error|Exception))\b.*", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """What a helper said, or why that is no answer."""

    out: str
    err: str
    problem: str | None  # continues a sentence that begins with the helper's name; None: exit code 0


def ask(command: Sequence[str], *, timeout_s: float, environment: Mapping[str, str | None] | None = None) -> Answer:
    """Run a helper; never raises for what it does, never waits longer.

    Helpers hang (nvidia-smi, where the driver does not answer), leave children behind that hold their output, ask for
    a password on the terminal, or are something else of that name. So one has no input and a session of its own, and
    whatever is left of it in the end is killed.

    Parameters
    ----------
    command
        The executable and its arguments.
    timeout_s
        Seconds after which it counts as hanging.
    environment
        Variables besides those of this process; None takes one away.

    Returns
    -------
    The last MiB of both outputs; undecodable bytes replaced.
    """
    try:
        with _started(command, environment, stderr=subprocess.PIPE) as process:
            out, err, code = _listen(process, time.monotonic() + timeout_s)
    except _NotStarted as error:
        return Answer("", "", str(error))
    if code is None:
        return Answer(out, err, f"gave no answer in {timeout_s:g} s")
    return Answer(out, err, _failure(code, telling(err) or telling(out)) if code else None)


def follow(
    command: Sequence[str],
    *,
    timeout_s: float,
    hear: Callable[[str | None], None],
    environment: Mapping[str, str | None] | None = None,
) -> Answer:
    """Run a helper that works for minutes, and hear what it says while it does.

    Parameters
    ----------
    command, timeout_s, environment
        As for `ask`; outputs are one.
    hear
        Called with each line, and with None when none has come for `SILENCE_S`.
    """
    said = bytearray()
    try:
        with _started(command, environment, stderr=subprocess.STDOUT) as process:
            code = _hear(process, time.monotonic() + timeout_s, said, hear)
    except _NotStarted as error:
        return Answer("", "", str(error))
    text = bytes(said).decode("utf-8", errors="replace")
    if code is None:
        return Answer(text, "", f"was not done in {timeout_s:.0f} s")
    return Answer(text, "", _failure(code, telling(text)) if code else None)


def telling(text: str) -> str:
    """The line of an output that tells what went wrong: the last that looks like an error, else the last."""
    printable = "".join(character if character.isprintable() or character == "\n" else " " for character in text)
    lines = [" ".join(line.split()) for line in printable.split("\n") if line.strip()]
    errors = [line for line in lines if _ERROR.match(line)]
    return (errors or lines or [""])[-1][:_TOLD_CHARACTERS]


class _NotStarted(Exception):
    """Why a helper could not be, to continue a sentence that begins with its name."""


@contextmanager
def _started(
    command: Sequence[str], environment: Mapping[str, str | None] | None, *, stderr: int
) -> Iterator[subprocess.Popen[bytes]]:
    """A helper for the time of the block; what is left of it is killed, whatever signal comes when."""
    process: subprocess.Popen[bytes] | None = None
    try:
        try:
            with held_back():  # else there may be a process that nobody knows of
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    env=_with(environment or {}),
                    start_new_session=True,
                )
        except FileNotFoundError:
            raise _NotStarted("is not there") from None
        except OSError as error:
            raise _NotStarted(f"cannot be started ({error.strerror})") from None
        yield process
    finally:
        if process is not None:
            _end(process)


def _hear(
    process: subprocess.Popen[bytes], deadline: float, said: bytearray, hear: Callable[[str | None], None]
) -> int | None:
    """Collect what a helper says, its last MiB; its exit code, None where it goes on."""
    assert process.stdout is not None
    rest = b""
    with process.stdout as pipe, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(min(left, SILENCE_S)):
                hear(None)
                continue
            chunk = os.read(pipe.fileno(), 2**16)
            if not chunk:
                break
            said.extend(chunk)
            del said[:-_KEPT_BYTES]
            *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
            for line in filter(None, (each.decode("utf-8", errors="replace").strip() for each in lines)):
                hear(line)
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, deadline - time.monotonic()))
    return process.poll()


def _with(changes: Mapping[str, str | None]) -> dict[str, str]:
    changed = {**os.environ, **changes}
    return {name: value for name, value in changed.items() if value is not None}


def _failure(code: int, line: str) -> str:
    try:
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"failed with exit code {code}"
    except ValueError:
        how = f"was ended by signal {-code}"
    return f"{how} ({line})" if line else how


def _listen(process: subprocess.Popen[bytes], deadline: float) -> tuple[str, str, int | None]:
    """Both outputs and the exit code, None where it goes on; children of its own that hold the pipes do not count."""
    assert process.stdout is not None
    assert process.stderr is not None
    heard = {pipe: bytearray() for pipe in (process.stdout, process.stderr)}
    with process.stdout, process.stderr, selectors.DefaultSelector() as selector:
        for pipe, said in heard.items():
            selector.register(pipe, selectors.EVENT_READ, said)
        while (left := deadline - time.monotonic()) > 0:
            ended = process.poll() is not None  # asked first, so that nothing said before is missed
            ready = selector.select(min(left, _LOOK_EVERY_S))
            for key, _ in ready:
                if chunk := os.read(key.fd, 2**16):
                    key.data.extend(chunk)
                    del key.data[:-_KEPT_BYTES]
                else:
                    selector.unregister(key.fileobj)
            if not selector.get_map():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, deadline - time.monotonic()))
                break
            if ended and not ready:
                break
        code = process.poll()  # before the pipes are closed, of which it might die
    out, err = (bytes(said).decode("utf-8", errors="replace") for said in heard.values())
    return out, err, code


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left: its descendants, where it still runs, and its process group."""
    left: list[psutil.Process] = []
    with suppress(psutil.Error):
        left = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for each in left:
        with suppress(psutil.Error):
            each.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_S)
