"""What this process may use of its machine, and what the machine is.

A machine's own counts are not the answer where only a part of it is ours: an affinity (taskset, cpusets, Slurm), a
control group (containers, systemd, batch systems) or an allocation leaves less. What needs CPUs or memory asks here.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import psutil

_ALLOCATED = "SLURM_CPUS_ON_NODE"  # what a Slurm job step got of its node, also where nothing binds it to them
_ROOT = Path("/")


@dataclass(frozen=True)
class Cpus:
    """CPUs that this process may use.

    Parameters
    ----------
    usable
        How many at once; a quota is rounded down, to 1 at least.
    present
        How many the machine has.
    limited_by
        What leaves fewer than all; empty where nothing does.
    """

    usable: int
    present: int
    limited_by: str = ""

    def __str__(self) -> str:
        if self.limited_by:
            return f"{self.usable} of {self.present} CPUs ({self.limited_by})"
        return f"{self.usable} CPU{'s'[: self.usable > 1]}"

    @property
    def told(self) -> str:
        """In a clause, for messages."""
        return f"this process may use {self}" if self.limited_by else f"this machine has {self}"


@dataclass(frozen=True)
class Memory:
    """Memory that this process may use, in bytes; ``limited_by`` as in `Cpus`."""

    limit_bytes: int
    available_bytes: int  # of the limit, what is not in use now
    limited_by: str = ""


def cpus(root: Path = _ROOT) -> Cpus:
    """The CPUs that this process may use: the fewest of what its machine, affinity, control groups and batch job leave.

    Parameters
    ----------
    root
        Where ``proc`` and ``sys`` lie; another for tests.
    """
    present = os.cpu_count() or 1
    found = Cpus(present, present)
    for usable, limited_by in _cpu_limits(root):
        if usable < found.usable:
            found = Cpus(usable, present, limited_by)
    return found


def memory(root: Path = _ROOT) -> Memory:
    """The memory that this process may use: the least of what its machine and its control groups leave; see `cpus`."""
    machine = psutil.virtual_memory()
    limit, available, limited_by = machine.total, machine.available, ""
    for group_limit, used in _memory_limits(root):
        if group_limit < limit:
            limit, limited_by = group_limit, "cgroup limit"
        available = min(available, max(0, group_limit - used))
    return Memory(limit, min(available, limit), limited_by)


def described() -> dict[str, str | int]:
    """What provenance and nodes say of a machine, by the names that it has in the records."""
    ours = cpus()
    return {
        "host": platform.node(),
        "processor": processor(),
        "cpus": ours.usable,
        "cpus_present": ours.present,
        "cpus_limited_by": ours.limited_by,
        "memory_bytes": memory().limit_bytes,
    }


def processor() -> str:
    """Model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _cpu_limits(root: Path) -> Iterator[tuple[int, str]]:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        yield len(os.sched_getaffinity(0)), "affinity"
    for quota in _cpu_quotas(root):
        yield max(1, int(quota)), f"cgroup quota of {quota:.3g}"
    allocated = os.environ.get(_ALLOCATED, "")
    if allocated.isdecimal() and int(allocated) > 0:
        yield int(allocated), _ALLOCATED


def _cpu_quotas(root: Path) -> Iterator[float]:
    """CPUs' worth of time that each control group allows."""
    for group in _groups(root, "cpu"):  # version 1
        quota, period = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
        if quota is not None and period and quota > 0:
            yield quota / period
    for group in _groups(root, ""):  # version 2: "QUOTA PERIOD", or "max PERIOD"
        words = [int(word) for word in _text(group / "cpu.max").split() if word.isdecimal()]
        if len(words) == 2 and all(words):
            yield words[0] / words[1]


def _memory_limits(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and use of each control group, in bytes; file pages that the kernel gives up when asked are not in use."""
    for version, limit, used, idle in (
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ("", "memory.max", "memory.current", "inactive_file"),
    ):
        for group in _groups(root, version):
            found = _number(group / limit)
            if found is not None and found > 0:
                lines = (line.split() for line in _text(group / "memory.stat").splitlines())
                reclaimable = sum(int(line[1]) for line in lines if len(line) == 2 and line[0] == idle)
                yield found, max(0, (_number(group / used) or 0) - reclaimable)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups that this process is in, the innermost first: each limits all within it.

    Parameters
    ----------
    controller
        Of version 1; empty for the one hierarchy of version 2.
    """
    inside = _place(root, controller)
    if inside is None:
        return
    for top, mount in _mounts(root, controller):
        # In a container the mount may show the container's group as its top, and the path still count from the host's.
        known = inside.is_relative_to(top) and ".." not in inside.parts
        below = inside.relative_to(top) if known else Path()
        folder = root / str(mount).lstrip("/") / below
        for each in (folder, *folder.parents[: len(below.parts)]):
            if each.is_dir():
                yield each


def _place(root: Path, controller: str) -> Path | None:
    """In which group of a hierarchy this process is; a line of the file is NUMBER:CONTROLLERS:PATH."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            return Path(path)
    return None


def _mounts(root: Path, controller: str) -> Iterator[tuple[Path, Path]]:
    """Which group a hierarchy's mount shows as its top, and where it is mounted."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        place, _, kind = line.partition(" - ")
        fields, filesystem = place.split(), kind.split()
        if len(fields) < 5 or len(filesystem) < 3:
            continue
        if filesystem[0] == ("cgroup" if controller else "cgroup2") and (
            not controller or controller in filesystem[2].split(",")
        ):
            yield Path(fields[3]), Path(fields[4])


def _number(path: Path) -> int | None:
    try:
        value = float(_text(path))
    except ValueError:  # "max", nothing, or nonsense
        return None
    return int(value) if isfinite(value) else None


def _text(path: Path) -> str:
    """What a file says; nothing where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
