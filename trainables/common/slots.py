"""CPUs that a training is held to, so that its slice is what it gets: as many as it says, and nobody else's.

Who has which CPU of a machine is known by sockets that have a name and no file (Linux's abstract ones): a name can be
bound once, for every user and whatever folder for temporary files each has, and is free as soon as its process is gone,
kill -9 or not. The threads of a process and the loader processes that it starts share its CPUs.

Not on macOS, which offers nothing to hold a process by; not where a quota or an allocation leaves this process fewer
CPUs than its affinity names: which ones others use is not known there.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from trainables.common.machine import cpus

WAIT_S = 1.0  # for CPUs that the trial before is just giving back
_POLL_S = 0.005
_ROOT = Path("/")
_TASKS = Path("/proc/self/task")
_ALLOCATING = "tuneoff-cpus"

_taken: dict[int, socket.socket] = {}  # by CPU
_before: set[int] = set()  # the process's affinity while it is held to nothing


def hold(count: int) -> tuple[int, ...]:
    """Hold this process, all its threads and whatever it starts, to so many CPUs that no other training is held to.

    Returns
    -------
    The CPUs; none where it cannot be held, or no such CPUs are free within a second.
    """
    global _before
    let_go()
    if not hasattr(os, "sched_setaffinity"):
        return ()
    ours = os.sched_getaffinity(0)
    if not count <= len(ours) == cpus().usable:
        return ()
    try:
        if not (found := _take(count, ours)):
            return ()
        _before = ours
        _set_affinity(found)
    except OSError:  # a container may forbid it
        let_go()
        return ()
    return tuple(sorted(found))


def let_go() -> None:
    """Give the CPUs back; the process may use all that it could before."""
    global _before
    if _before:
        with suppress(OSError):
            _set_affinity(_before)
        _before = set()
    _give_names_back()


def chosen(count: int, free: Iterable[int], cores: Mapping[int, int]) -> list[int]:
    """Which of the free CPUs to take: whole cores first, then of the core that has the most left.

    Parameters
    ----------
    cores
        By CPU, the core that it is a hyperthread of.
    """
    by_core: dict[int, list[int]] = {}
    for cpu in sorted(free):
        by_core.setdefault(cores[cpu], []).append(cpu)
    sizes = [sum(core == each for each in cores.values()) for core in by_core]
    whole = [core for core, size in zip(by_core, sizes, strict=True) if len(by_core[core]) == size]
    found: list[int] = []
    for core in whole:
        if len(by_core[core]) <= count - len(found):
            found += by_core.pop(core)
    for core in sorted(by_core, key=lambda core: (-len(by_core[core]), core)):
        found += by_core[core][: count - len(found)]
    return found


def cores_of(ours: Iterable[int], root: Path = _ROOT) -> dict[int, int]:
    """By CPU the lowest hyperthread of its core; itself, where the system does not tell."""
    found = {}
    for cpu in ours:
        path = root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        try:
            first = path.read_text(encoding="ascii").replace("-", ",").split(",")[0]
            found[cpu] = int(first)
        except (OSError, ValueError):
            found[cpu] = cpu
    return found


def told(held: Iterable[int]) -> str:
    """CPUs as the kernel writes them: ``0-3,8``."""
    numbers = sorted(held)
    ends = [place for place, (one, other) in enumerate(pairwise(numbers), start=1) if other != one + 1]
    runs = (numbers[start:stop] for start, stop in pairwise([0, *ends, len(numbers)]))
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs if run)


def _take(count: int, ours: set[int]) -> list[int]:
    """Bind the names of so many CPUs; of none where they do not come free in time."""
    cores, until = cores_of(ours), time.monotonic() + WAIT_S
    while True:
        turn = _bound(_ALLOCATING)  # one process at a time, so that two do not share out a core between them
        if turn is not None:
            with turn:
                if found := _take_now(count, ours, cores):
                    return found
        if time.monotonic() > until:
            return []
        time.sleep(_POLL_S)


def _take_now(count: int, ours: set[int], cores: Mapping[int, int]) -> list[int]:
    free = {cpu: name for cpu in ours if (name := _bound(f"tuneoff-cpu-{cpu}")) is not None}
    found = chosen(count, free, cores) if len(free) >= count else []
    for cpu, name in free.items():
        if cpu in found:
            _taken[cpu] = name
        else:
            name.close()
    return found


def _bound(name: str) -> socket.socket | None:
    """A socket of that name; None where another has it."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        made.bind(f"\0{name}")
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return made


def _set_affinity(found: Iterable[int]) -> None:
    """Of every thread: the call moves one alone, and a process that serves a second training has many."""
    wanted, seen = set(found), set[str]()
    while new := {task.name for task in _TASKS.iterdir()} - seen:  # a thread may start others before it is moved
        for task in new:
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(task), wanted)
        seen |= new


def _give_names_back() -> None:
    for name in _taken.values():
        name.close()
    _taken.clear()


if hasattr(os, "register_at_fork"):  # so that a loader process that outlives its training for a moment keeps no CPU
    os.register_at_fork(after_in_child=_give_names_back)
