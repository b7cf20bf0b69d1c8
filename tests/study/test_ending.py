"""How commands that run no study end at a signal; each in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent, indent

import pytest

ROOT = Path(__file__).parents[2]


def ended(body: str, *, before: str = "") -> subprocess.CompletedProcess[str]:
    """How a process ends that does this as a command."""
    code = f"""
import os, signal, sys, time
from study import ending, interrupts
from study.signals import Interrupted
ending.GRACE_S = 0.2
{before}
with ending.ending_the_command():
{indent(dedent(body), "    ")}
print("went on")
"""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_command_that_does_not_end_is_ended() -> None:
    """Whatever it is in the middle of; a second signal does not stop the first one's work."""
    body = """
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except Interrupted:
        os.kill(os.getpid(), signal.SIGINT)
        print("on its way out", flush=True)
        time.sleep(60)
    """
    answer = ended(body)
    assert (answer.returncode, answer.stdout) == (143, "on its way out\n")
    assert answer.stderr == "tuneoff: ended by SIGTERM, in the middle of its work\n"


def test_what_was_ignored_stays_ignored() -> None:
    """As nohup, and a shell for what it runs in its background, want it; a study, too."""
    body = """
    os.kill(os.getpid(), signal.SIGHUP)
    with interrupts.Interrupts().handled():
        os.kill(os.getpid(), signal.SIGHUP)
    """
    answer = ended(body, before="signal.signal(signal.SIGHUP, signal.SIG_IGN)")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "went on\n", "")


def test_what_was_ignored_stays_ignored_in_a_fork() -> None:
    body = """
    with interrupts.Interrupts().handled():
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGHUP)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    answer = ended(body, before="signal.signal(signal.SIGHUP, signal.SIG_IGN)")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "0\nwent on\n", "")


def test_a_study_takes_the_time_that_it_needs() -> None:
    body = """
    with interrupts.Interrupts().handled():
        try:
            os.kill(os.getpid(), signal.SIGHUP)
        except Interrupted as interrupted:
            time.sleep(0.5)
            print(interrupted, interrupted.exit_code)
    """
    answer = ended(body)
    assert (answer.returncode, answer.stdout) == (0, "SIGHUP 129\nwent on\n")


def test_a_signal_in_a_destructor_is_not_lost() -> None:
    """Python ignores what is raised there; the same while a process is forked."""
    body = """
    class Dying:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)
    try:
        Dying()
        time.sleep(60)
    except Interrupted as interrupted:
        print(interrupted, flush=True)
        os._exit(0)
    """
    answer = ended(body, before="ending.GRACE_S = 60.0")
    assert (answer.stdout, answer.stderr) == ("SIGTERM\n", "")


def test_a_forked_process_leaves_signals_to_its_parent() -> None:
    body = """
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    time.sleep(0.5)
    """
    answer = ended(body)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "-15\nwent on\n", "")


@pytest.mark.parametrize(("sent", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_while_the_command_is_imported_is_a_line(sent: signal.Signals, name: str) -> None:
    code = f"""
import os, sys
from study import entry as tuneoff
ours = tuneoff._ours
def importing(name):
    if name.endswith("commands"):
        os.kill(os.getpid(), {int(sent)})
    return ours(name)
tuneoff._ours = importing
tuneoff._house = lambda: {str(ROOT)!r}
sys.argv = ["tuneoff", "doctor"]
tuneoff.main()
"""
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout, answer.stderr) == (128 + sent, "", f"tuneoff: ended by {name}\n")
