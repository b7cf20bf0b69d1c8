"""Clusters of several raylets on this machine, whose nodes come and go while a study runs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_NODES = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": int(sys.argv[1]), "object_store_memory": 10**8})
cluster.wait_for_nodes()
print(cluster.address, flush=True)
nodes = []
for line in sys.stdin:
    if line == "add\\n":
        nodes.append(cluster.add_node(num_cpus=2, object_store_memory=10**8))
    elif line == "lose\\n":
        cluster.remove_node(nodes.pop(), allow_graceful=False)
    print("done", flush=True)
"""
_HOLD = """
import ray, sys, time
ray.init(address=sys.argv[1], log_to_driver=False)
@ray.remote(num_cpus=1)
def hold(mark):
    open(mark, "w").close()
    time.sleep(600)
ray.get(hold.remote(sys.argv[2]))
"""


class Cluster:
    """A head, and nodes of two CPUs each."""

    def __init__(self, process: subprocess.Popen[str], environment: dict[str, str]) -> None:
        self._process = process
        self.environment = environment
        self.address = self._answer()

    def add(self) -> None:
        self._ask("add")

    def lose(self) -> None:
        """The node that was added last, without a word to it."""
        self._ask("lose")

    def _ask(self, what: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        assert self._answer() == "done"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def cluster(cpus: int, **variables: str) -> Iterator[Cluster]:
    """A head with so many CPUs; ``variables`` are its environment's, and so that of every trial."""
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", **variables}
    process = subprocess.Popen(
        [sys.executable, "-c", _NODES, str(cpus)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield Cluster(process, environment)
    finally:
        end(process)


@contextmanager
def head(port: int, home: Path, *options: str, **variables: str) -> Iterator[str]:
    """One node started by ``ray start``, with a home folder of its own; yields its address."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"HOME": str(home), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", **variables}
    # At temporary folders of pytest's own its sockets would have names that are too long.
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        command = [sys.executable, "-P", "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}"]
        command += ["--node-ip-address=127.0.0.1", "--num-cpus=2", "--object-store-memory=100000000"]
        command += ["--disable-usage-stats", f"--temp-dir={folder}", *options]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            yield f"127.0.0.1:{port}"
        finally:
            end(process)


@contextmanager
def held_cpu(address: str, environment: dict[str, str], mark: Path) -> Iterator[None]:
    """A CPU of a cluster in somebody else's hands."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, address, str(mark)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(mark.exists, "a CPU that is held")
        yield
    finally:
        end(process)


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """The end of a process and of all that it started."""
    try:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    except psutil.Error:
        family = []
    for each in family:
        try:
            each.kill()
        except psutil.Error:
            continue
    process.wait()


def wait_for(condition: Callable[[], bool], what: str, limit_s: float = 180.0) -> None:
    """Until the condition holds."""
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, f"{what} did not come"
        time.sleep(0.2)
