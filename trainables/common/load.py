"""How busy a machine is, and how much of it a process gets: what tells an honest time from a disturbed one."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from dataclasses import dataclass

import psutil

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


def _of_child(child: multiprocessing.process.BaseProcess) -> float:
    try:
        times = psutil.Process(child.pid).cpu_times()
    except psutil.Error:  # ended meanwhile
        return 0.0
    return float(times.user + times.system)
