"""The Ray cluster: a local one that the driver starts and stops itself, or one that is running already."""

from __future__ import annotations

import atexit
import json
import logging
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import ray

from study.cluster.address import JOB
from study.cluster.environment import object_store_folder
from study.cluster.nodes import first_line
from study.cluster.starting import START_LIMIT_S, last_words
from study.console import complain
from study.interrupts import ray_exits_as_interruption
from study.processes import end_processes, living_children
from study.volume import volume
from trainables.common.errors import UserError
from trainables.common.house import HOUSE, PACKAGES
from trainables.common.machine import cpus, memory

OBJECT_STORE_BYTES = 256 * 2**20  # results are small; without a bound Ray takes a third of the memory
LEAST_OBJECT_STORE_BYTES = 75 * 2**20  # Ray refuses less
CONNECT_TIMEOUT_S = 10.0
SERVICES = ("gcs_server", "raylet")  # of Ray, as children of the driver that started it
WATCH_INTERVAL_S, WATCH_MISSES = 1.0, 5  # a cluster that has not answered for so long is dead


class ClusterDied(Exception):
    """Ray is gone, or did not come."""


@contextmanager
def connected(address: str | None, *, on_death: Callable[[], str], limit_s: float = START_LIMIT_S) -> Iterator[None]:
    """A Ray cluster for the time of the block.

    Parameters
    ----------
    address
        Of a running cluster that lets us in (`study.cluster.admission`), which then gets this project's packages sent;
        None starts a local one, listening on this machine only, and stops it at the end.
    on_death
        Called when the cluster dies, before this process ends with exit code 1 and what it returns as a line: what
        becomes of the study. Ray itself would wait for a dead cluster for minutes, or for ever.
    limit_s
        Within which Ray must have started.

    Raises
    ------
    UserError
        When the cluster cannot be reached.
    ClusterDied
        When a local one does not start.
    Interrupted
        After SIGTERM while it starts.
    """
    options: dict[str, Any] = {"log_to_driver": volume.verbose}
    options["logging_level"] = logging.INFO if volume.verbose else logging.ERROR
    if volume.verbose:
        logging.getLogger("ray.tune.logger").setLevel(logging.ERROR)  # pages about what TensorBoard cannot show
    else:
        for name in ("ray.tune", "ray.air"):  # a trial that fails is told by the progress, without a traceback
            logging.getLogger(name).setLevel(logging.CRITICAL)
        _mute_ray()
    watch = _Watch(on_death, limit_s)
    watch.start()  # before Ray, which waits for minutes for what has died while it starts
    try:
        with ray_exits_as_interruption():
            _start(address, options)
            watch.connected()
        _leave_terminal_alone()
        yield
    finally:
        watch.stop()
        ray.shutdown()


def _start(address: str | None, options: dict[str, Any]) -> None:
    try:
        if address is None:
            with _standing_in(HOUSE):
                ray.init(
                    address="local",
                    include_dashboard=False,
                    _plasma_directory=object_store_folder(),
                    **_resources(),
                    _skip_env_hook=True,  # RAY_RUNTIME_ENV_HOOK is some cluster's; here it would rewrite our workers
                    **options,
                )
        else:
            packages = [str(HOUSE / name) for name in PACKAGES]  # paths: modules cannot be copied inside a Ray job
            _leave_job_folder()
            with tempfile.TemporaryDirectory(prefix="tuneoff-") as empty, _standing_in(empty):
                ray.init(address=address, runtime_env={"py_modules": packages}, **options)
    except Exception as error:  # Ray raises plain Exception, too
        if address is None:
            raise ClusterDied(f"Ray did not start here: {first_line(error)}") from None
        raise UserError(f"no Ray cluster at {address}: {first_line(error)}") from None


@contextmanager
def _standing_in(folder: str | Path) -> Iterator[None]:
    """Another working folder while Ray connects.

    Ray puts the one in which its driver stands before all packages on its workers' ``sys.path``: a ``trainables`` or a
    ``random.py`` that lies there would be taken for what is installed.
    """
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _leave_job_folder() -> None:
    """Inside a Ray job: the folder that was submitted with it is no part of our workers.

    Ray would put it before all packages on their ``sys.path``, as it does with where a driver stands.
    """
    if not (text := os.environ.get(JOB)):
        return
    job = json.loads(text)
    for name in ("working_dir", "py_modules"):  # Ray refuses to merge two lists of modules
        (job.get("runtime_env") or {}).pop(name, None)
    os.environ[JOB] = json.dumps(job)


def _mute_ray() -> None:
    """No page of Ray's on the terminal: what its raylets dump there ``log_to_driver`` does not stop."""
    ray._private.worker.print_to_stdstream = lambda *_args, **_options: None


def _leave_terminal_alone() -> None:
    """No control characters at the end: Ray's copy of colorama has Python reset the colours of a terminal then."""
    if (colours := sys.modules.get("colorama.initialise")) is not None:
        atexit.unregister(colours.reset_all)


def _resources() -> dict[str, Any]:
    """What a local Ray may deal out: Ray's own count knows neither affinities nor nested control groups."""
    limit = memory().limit_bytes
    store = min(OBJECT_STORE_BYTES, max(LEAST_OBJECT_STORE_BYTES, limit // 8))
    return {"num_cpus": cpus().usable, "object_store_memory": store, "_memory": max(1, limit - store)}


class _Watch(threading.Thread):
    """Looks whether the cluster lives: its control service answers, and its services on this machine run."""

    def __init__(self, on_death: Callable[[], str], limit_s: float) -> None:
        super().__init__(name="cluster-watch", daemon=True)
        self._limit_s = limit_s
        self._control: tuple[str, int] | None = None
        self._services: set[psutil.Process] = set()
        self._on_death = on_death
        self._stopping = threading.Event()

    def connected(self) -> None:
        """From now on the control service must answer."""
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        self._find_services()
        self._control = (host, int(port))

    def run(self) -> None:
        misses, began = 0, time.monotonic()
        while not self._stopping.wait(WATCH_INTERVAL_S):
            if self._control is None:
                self._find_services()
                if time.monotonic() - began > self._limit_s:  # ray.init waits for its first worker for ever
                    self._end(f"Ray did not start within {self._limit_s:.0f} s{last_words()}")
            misses = 0 if self._alive() else misses + 1
            if misses == WATCH_MISSES:
                self._end("the Ray cluster died")

    def _end(self, problem: str) -> None:
        """The end of the process: its main thread may be inside Ray, and never come back."""
        if self._stopping.is_set():
            return
        complain(f"{problem}; {self._on_death()}")
        end_processes(living_children())  # what is left of the cluster: trials, agents
        os._exit(1)

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def _find_services(self) -> None:
        for child in psutil.Process().children():
            try:
                if child.name() in SERVICES:
                    self._services.add(child)
            except psutil.Error:
                continue

    def _alive(self) -> bool:
        if not all(_runs(service) for service in self._services):
            return False
        try:
            if self._control is not None:
                socket.create_connection(self._control, timeout=CONNECT_TIMEOUT_S).close()
        except OSError:
            return False
        return True


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
