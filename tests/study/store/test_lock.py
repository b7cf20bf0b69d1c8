from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from study.store.folder import StudyFolder
from study.store.lock import STALE_S, is_running, locked
from trainables.common.errors import UserError
from trainables.common.lease import Lease


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path)


def beat_elsewhere(folder: StudyFolder, *, ago_s: float, ended: bool = False) -> None:
    owner = {"host": "another-host", "pid": 4711, "run": "theirs", "beat_at": time.time() - ago_s, "ended": ended}
    folder.owner.write_text(json.dumps(owner))
    folder.lock.touch()
    then = time.time() - ago_s
    os.utime(folder.owner, (then, then))


def test_a_driver_that_beats_on_another_host_is_respected(folder: StudyFolder) -> None:
    beat_elsewhere(folder, ago_s=3.0)
    assert is_running(folder)
    with (
        pytest.raises(UserError, match=r"run by process 4711 on another-host, alive 3 s ago; .* try again in 27 s"),
        locked(folder),
    ):
        pass
    assert json.loads(folder.owner.read_text())["run"] == "theirs"


@pytest.mark.parametrize(("ago_s", "ended"), [(STALE_S + 1.0, False), (3.0, True)])
def test_a_dead_or_ended_driver_on_another_host_is_not(folder: StudyFolder, ago_s: float, ended: bool) -> None:
    beat_elsewhere(folder, ago_s=ago_s, ended=ended)
    assert not is_running(folder)
    with locked(folder) as hold:
        assert hold.seen_at == pytest.approx(time.time() - ago_s, abs=1.0)


@pytest.fixture(params=[errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Storage without locks of the operating system."""

    def refuse(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)


OTHER_DRIVER = """
import errno, fcntl, os, sys
from pathlib import Path
def refuse(*_):
    raise OSError(int(sys.argv[2]), "refused")
fcntl.flock = refuse
from study.store.folder import StudyFolder
from study.store.lock import locked
with locked(StudyFolder(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_storage_without_locks_has_the_heartbeat(folder: StudyFolder, no_locks: None) -> None:
    assert not is_running(folder)
    for _ in range(2):  # one that has ended is no obstacle to the next
        with locked(folder):
            assert json.loads(folder.owner.read_text())["pid"] == os.getpid()
    assert not is_running(folder)


def test_a_second_driver_is_kept_out_where_there_are_no_locks(
    folder: StudyFolder, no_locks: None, request: pytest.FixtureRequest
) -> None:
    number = request.node.callspec.params["no_locks"]
    command = [sys.executable, "-c", OTHER_DRIVER, str(folder.path), str(number)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        assert is_running(folder)
        with pytest.raises(UserError, match=f"is being run by process {first.pid} on"), locked(folder):
            pass
        first.kill()
        first.wait()
        assert not is_running(folder)
        with locked(folder):  # at once: it is known to be dead
            pass


def test_the_heart_beats_while_the_study_is_held(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.store.lock.BEAT_S", 0.05)
    with locked(folder) as hold:
        first = json.loads(folder.owner.read_text())
        assert not hold.lease.taken_over()
        deadline = time.monotonic() + 10.0
        while json.loads(folder.owner.read_text())["beat_at"] == first["beat_at"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not first["ended"]
    last = json.loads(folder.owner.read_text())
    assert last["ended"]
    assert last["run"] == hold.lease.run


def test_a_trial_knows_when_another_driver_has_its_study(folder: StudyFolder) -> None:
    with locked(folder) as first:
        pass
    with locked(folder):
        assert first.lease.taken_over()
    assert not Lease(path=str(folder.path / "gone"), run="mine").taken_over()  # storage that is away says nothing


def test_a_damaged_owner_file_is_no_obstacle(folder: StudyFolder) -> None:
    folder.owner.write_text("{")
    with locked(folder) as hold:
        assert hold.seen_at is None


def test_what_a_killed_driver_left_running_is_ended(folder: StudyFolder) -> None:
    left, innocent = (subprocess.Popen(["sleep", "60"]) for _ in range(2))
    created = psutil.Process(left.pid).create_time()
    family = [[left.pid, created], [innocent.pid, created - 100.0]]  # the second number was given to another since
    owner = {"host": socket.gethostname(), "pid": 1, "run": "dead", "beat_at": time.time(), "family": family}
    folder.owner.write_text(json.dumps(owner))
    try:
        with locked(folder):
            assert left.wait(timeout=10) < 0
            assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


def test_the_copy_of_a_running_study_ends_nothing(folder: StudyFolder) -> None:
    child = subprocess.Popen(["sleep", "60"])
    me, it = psutil.Process(), psutil.Process(child.pid)
    owner = {"host": socket.gethostname(), "pid": me.pid, "created": me.create_time(), "run": "alive"}
    folder.owner.write_text(json.dumps({**owner, "family": [[it.pid, it.create_time()]]}))
    try:
        with locked(folder):
            assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_the_family_is_written_down(folder: StudyFolder) -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        with locked(folder) as hold:
            hold.note_family()
            family = json.loads(folder.owner.read_text())["family"]
        assert child.pid in [pid for pid, _ in family]
    finally:
        child.kill()
        child.wait()
