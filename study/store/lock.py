"""The one driver that may change a study at a time.

A lock of the operating system goes when its process dies, on this host or on another that shares the storage. Where a
file system does not carry locks between hosts, the owner's heartbeat in driver.json keeps a second driver out: a file
that its owner writes again every few seconds. It also tells the next driver when this one died.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from filelock import BaseFileLock, FileLock, Timeout

from study.console import complain
from study.processes import end_processes, living_children
from study.store.folder import StudyFolder
from trainables.common.errors import UserError
from trainables.common.files import write_text
from trainables.common.lease import Lease

BEAT_S = 2.0
STALE_S = 30.0  # without a beat for so long, a driver on another host is dead
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK})


@dataclass(frozen=True)
class Hold:
    """A study that is held."""

    lease: Lease
    note_family: Callable[[], None]  # to be called when the driver has started its servers
    seen_at: float | None  # an earlier driver's last sign of life, seconds since 1970; None where it is not known


@contextmanager
def locked(folder: StudyFolder) -> Iterator[Hold]:
    """Hold the study for one driver; the operating system lets go of it when the driver dies.

    Raises
    ------
    UserError
        When another driver holds it, or the folder cannot be written.
    """
    lock = FileLock(folder.lock)
    before = _read(folder.owner)
    try:
        locks = _acquire(lock)
    except Timeout:
        raise UserError(f"{folder.path} is being run by {_told(before)}; wait for it or stop it") from None
    except OSError as error:
        where = "resume a copy of it where you can write"
        raise UserError(f"cannot write {folder.path} ({error.strerror}); {where}") from None
    try:
        alive_s = _alive_unlocked(folder, before, locks=locks)
        if alive_s is not None:
            raise UserError(
                f"{folder.path} is being run by {_told(before)}, alive {alive_s:.0f} s ago; stop it, or if it has died "
                f"try again in {STALE_S - alive_s:.0f} s"
            )
        _end_family(before)
        heart = _Heart(folder)
        heart.start()
        try:
            yield Hold(heart.lease, heart.note_family, before.get("beat_at"))
        finally:
            heart.stop()
    finally:
        lock.release()


def is_running(folder: StudyFolder) -> bool:
    """Whether a driver holds the study now."""
    lock, owner = FileLock(folder.lock), _read(folder.owner)
    if not folder.lock.exists():
        return False
    try:
        locks = _acquire(lock)
        return _alive_unlocked(folder, owner, locks=locks) is not None
    except Timeout:
        return True
    except OSError:  # a folder one can only read
        return bool(owner) and not owner.get("ended") and time.time() - owner.get("beat_at", 0.0) < STALE_S
    finally:
        lock.release()


def _acquire(lock: BaseFileLock) -> bool:
    """Take the operating system's lock, or raise `filelock.Timeout`.

    Returns
    -------
    False on storage that has no such locks, as some of FUSE and SMB: the heartbeat alone keeps a second driver out.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where there are none, filelock takes a lock of its own and says so
            lock.acquire(timeout=0)
    except NotImplementedError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


class _Heart(threading.Thread):
    """Writes driver.json again and again; ends the process if another driver has taken the study."""

    def __init__(self, folder: StudyFolder) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.lease = Lease(path=str(folder.owner), run=uuid.uuid4().hex)
        self._folder = folder
        self._stopping = threading.Event()
        self._owner: dict[str, Any] = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "created": psutil.Process().create_time(),
            "run": self.lease.run,
        }
        self._write()  # here, so that a folder that cannot be written is told to the user

    def note_family(self) -> None:
        """Write down the processes that this one has started: the next driver ends those that outlive it."""
        self._owner["family"] = [[child.pid, child.create_time()] for child in living_children()]
        self._write()

    def run(self) -> None:
        while not self._stopping.wait(BEAT_S):
            if self.lease.taken_over():  # possible only after a pause longer than STALE_S, as a machine's sleep
                complain(f"{self._folder.path} was taken over by {_told(_read(self._folder.owner))}")
                os._exit(1)
            try:
                self._write()
            except OSError:  # storage that is away for a while
                continue

    def stop(self) -> None:
        self._stopping.set()
        self.join()
        if self._folder.path.is_dir():
            with suppress(OSError):  # storage that is away; the beat has stopped, too
                self._write(ended=True)

    def _write(self, *, ended: bool = False) -> None:
        write_text(self._folder.owner, json.dumps({**self._owner, "beat_at": time.time(), "ended": ended}) + "\n")


def _end_family(owner: dict[str, Any]) -> None:
    """End the servers of a driver that was killed on this host; Ray's agents live on for minutes, with their ports."""
    if owner.get("host") != socket.gethostname() or _process(owner.get("pid"), owner.get("created")):
        return  # alive: this folder is a copy of one that it runs
    for pid, created in owner.get("family", []):
        end_processes(filter(None, [_process(pid, created)]))


def _process(pid: int | None, created: float | None) -> psutil.Process | None:
    """A living process; None where the number was given to another since."""
    try:
        process = psutil.Process(pid)
        return process if pid is not None and process.create_time() == created else None
    except psutil.Error:
        return None


def _alive_unlocked(folder: StudyFolder, owner: dict[str, Any], *, locks: bool) -> float | None:
    """Seconds since the last beat of a living owner that no lock keeps apart from this process.

    Parameters
    ----------
    locks
        Whether the storage has locks and this process holds this one; they tell of owners on this host.
    """
    if not owner or owner.get("ended"):
        return None
    if owner.get("host") == socket.gethostname() and (locks or not _process(owner.get("pid"), owner.get("created"))):
        return None
    folder.lock.touch()  # both times by the clock of the storage: hosts' clocks may differ
    age_s = folder.lock.stat().st_mtime - folder.owner.stat().st_mtime
    return max(age_s, 0.0) if age_s < STALE_S else None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _told(owner: dict[str, Any]) -> str:
    return f"process {owner['pid']} on {owner['host']}" if {"pid", "host"} <= set(owner) else "another driver"
