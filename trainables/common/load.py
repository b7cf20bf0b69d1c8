"""How busy a machine is, and how much of it a process gets: what tells an honest time from a disturbed one."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_ROOT = Path("/")
PROBE_S = 0.2
FREE_SHARE = 0.9  # of a CPU: a thread that wants one and gets less shares it with others


@dataclass(frozen=True)
class Busyness:
    """How busy this machine is.

    Parameters
    ----------
    load
        Average over a minute of the threads that run or want to; None where the system does not tell.
    cpus
        CPUs that the load is spread over: all of the machine's, for it counts everyone's threads.
    share
        Of a CPU, what a thread of this process got that wanted all of it.
    """

    load: float | None
    cpus: int
    share: float

    @property
    def busy(self) -> bool:
        """Whether times measured now would be too long."""
        return self.share < FREE_SHARE or (self.load is not None and self.load > self.cpus)

    def __str__(self) -> str:
        gets = f"a thread of this process gets {self.share:.0%} of a CPU"
        if self.load is None:
            return gets
        return f"load average {self.load:.1f} on {self.cpus} CPU{'s'[: self.cpus > 1]}, {gets}"

    def as_record(self) -> dict[str, float | None]:
        """For a study's provenance."""
        return {"load_average": self.load, "cpu_share": round(self.share, 3)}


def busyness(seconds: float = PROBE_S) -> Busyness:
    """Look at the load, and spin for some seconds of wall time."""
    load, cpus = load_average(), os.cpu_count() or 1
    began, used = time.perf_counter(), time.thread_time()
    while (wall_s := time.perf_counter() - began) < seconds:
        pass
    return Busyness(load, cpus, min(1.0, (time.thread_time() - used) / wall_s))


def load_average() -> float | None:
    """The machine's load average over the last minute; None where the system does not tell."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def cpu_time_s() -> float:
    """CPU seconds, user and system, of this process and of its loader processes, those that have ended included.

    Some microseconds, and some tens for each living loader process.
    """
    living = sum(map(_of_child, multiprocessing.active_children()))
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + living + ended.ru_utime + ended.ru_stime


def delayed_s() -> float | None:
    """Seconds for which this thread has been ready to run while no CPU was free for it; None where nobody counts them.

    Some microseconds.
    """
    try:
        return int((_ROOT / "proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def stolen_s() -> float | None:
    """CPU seconds that the hypervisor has taken from this machine, all CPUs together; None where it does not tell."""
    try:
        with (_ROOT / "proc/stat").open(encoding="ascii") as file:
            return int(file.readline().split()[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def cpu_mhz() -> float | None:
    """The mean clock now of the CPUs that this process may use (eight at most); None where nobody tells."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    ours = sorted(os.sched_getaffinity(0))[:8]
    found = [_scaling_mhz(cpu) for cpu in ours]
    if None in found:
        told = _told_mhz()
        found = [told.get(cpu) for cpu in ours]
    known = [mhz for mhz in found if mhz]
    return round(sum(known) / len(known), 1) if known else None


def _scaling_mhz(cpu: int) -> float | None:
    try:
        path = _ROOT / f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq"
        return int(path.read_text(encoding="ascii")) / 1000
    except (OSError, ValueError):
        return None


def _told_mhz() -> dict[int, float]:
    """By CPU, from cpuinfo: where the machine is virtual it may always say the same."""
    found: dict[int, float] = {}
    cpu = -1
    with suppress(OSError, ValueError):
        for line in (_ROOT / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "processor":
                cpu = int(value)
            elif name.strip() == "cpu MHz":
                found[cpu] = float(value)
    return found


def _of_child(child: multiprocessing.process.BaseProcess) -> float:
    try:
        times = psutil.Process(child.pid).cpu_times()
    except psutil.Error:  # ended meanwhile
        return 0.0
    return float(times.user + times.system)
