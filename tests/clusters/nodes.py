"""Hosts on one machine: each has its own network, processes, /tmp and shared memory. Needs root and Linux namespaces.

``serve SOCKET`` is the daemon of a host, inside its namespaces, as slurmd is; ``run SOCKET COMMAND...`` runs there.
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# bash as the first process: it reaps what others leave to it.
_INSIDE = (
    "mount -t tmpfs tmp /tmp && mount -t tmpfs shm /dev/shm && mount -t proc proc /proc && "
    'mount --bind "$1" /etc/hosts && hostname "$2" && ip link set lo up && shift 2 && { "$@" & wait; }'
)


def missing() -> str | None:
    """Why no hosts can be made here, or None."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux"
    tried = subprocess.run(["unshare", "--net", "--pid", "--mount", "--fork", "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "no namespaces can be made here"


def alive(address: str, call: Callable[[list[str]], int]) -> int:
    """How many nodes of a Ray cluster are up; none where it cannot be reached.

    Parameters
    ----------
    call
        Runs a command where it can be reached; its exit code.
    """
    code = (
        "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR'); "
        "sys.exit(100 + sum(node['Alive'] for node in ray.nodes()))"
    )
    return max(0, call([sys.executable, "-c", code, address]) - 100)


class Host:
    """A host: a name, an address, and a daemon that runs commands there."""

    def __init__(self, name: str, address: str, door: Path) -> None:
        self.name, self.address, self.door = name, address, door

    def run(self, command: Sequence[str], environment: dict[str, str], cwd: str) -> int:
        """Run a command there, with this process's output; its exit code. SIGTERM is passed on."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.door))
            streams = array.array("i", [1, 2])
            connection.sendmsg([b"!"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
            connection.sendall(json.dumps([list(command), environment, cwd]).encode() + b"\n")
            _CONNECTIONS.append(connection)
            return int(connection.makefile().readline() or "-9")


_CONNECTIONS: list[socket.socket] = []


def pass_on_signals() -> None:
    """From now on SIGTERM goes to every command that `Host.run` has started."""

    def tell(signum: int, frame: object) -> None:
        for connection in _CONNECTIONS:
            connection.sendall(b"T")

    signal.signal(signal.SIGTERM, tell)


@contextmanager
def hosts(folder: Path, count: int, *, prefix: str) -> Iterator[list[Host]]:
    """So many hosts on a bridge of their own.

    Parameters
    ----------
    folder
        For the daemons' sockets; not below /tmp, which each host has for itself.
    prefix
        Of the names; of four letters at most, since it names network interfaces, too.
    """
    bridge, made, daemons = f"{prefix}br", [], []
    subprocess.run(["ip", "link", "del", bridge], capture_output=True)  # what a killed run left, if one did
    _ip("link", "add", bridge, "type", "bridge")
    try:
        _ip("link", "set", bridge, "up")
        for number in range(1, count + 1):
            host = Host(f"{prefix}{number}", f"10.213.77.{number}", folder / f"{prefix}{number}.sock")
            daemons.append(_start(host, _names(folder, prefix, number, count)))
            _wire(host, daemons[-1].pid, bridge)
            made.append(host)
        yield made
    finally:
        for daemon in daemons:  # the end of a namespace's first process is the end of all in it
            for child in Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
            daemon.wait()
        _ip("link", "delete", bridge)


def _names(folder: Path, prefix: str, own: int, count: int) -> Path:
    """A host's /etc/hosts, as Debian writes it: its own name leads to 127.0.1.1."""
    path = folder / f"{prefix}{own}.hosts"
    lines = [
        f"127.0.1.1 {prefix}{each}" if each == own else f"10.213.77.{each} {prefix}{each}"
        for each in range(1, count + 1)
    ]
    path.write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
    return path


def _start(host: Host, names: Path) -> subprocess.Popen[str]:
    command = [
        "unshare",
        "--net",
        "--pid",
        "--mount",
        "--uts",
        "--fork",
        "sh",
        "-c",
        _INSIDE,
        "sh",
        str(names),
        host.name,
    ]
    daemon = subprocess.Popen(
        [*command, sys.executable, __file__, "serve", str(host.door)], stdout=subprocess.PIPE, text=True
    )
    assert daemon.stdout is not None
    assert daemon.stdout.readline() == "ready\n"
    return daemon


def _wire(host: Host, pid: int, bridge: str) -> None:
    outer, inner = f"{host.name}o", f"{host.name}i"
    _ip("link", "add", outer, "type", "veth", "peer", "name", inner)
    _ip("link", "set", outer, "master", bridge, "up")
    _ip("link", "set", inner, "netns", str(pid))
    inside = ["nsenter", "--target", str(pid), "--net", "ip"]
    subprocess.run([*inside, "address", "add", f"{host.address}/24", "dev", inner], check=True)
    subprocess.run([*inside, "link", "set", inner, "up"], check=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def serve(door: str) -> None:
    """Run what comes through a socket, each command with the streams that it brings."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(door)
    server.listen()
    print("ready", flush=True)
    while True:
        threading.Thread(target=_serve_one, args=(server.accept()[0],), daemon=True).start()


def _serve_one(connection: socket.socket) -> None:
    _, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(8))
    out, err = array.array("i", ancillary[0][2])
    lines = connection.makefile("rb")
    command, environment, cwd = json.loads(lines.readline())
    process = subprocess.Popen(command, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
    os.close(out)
    os.close(err)

    def listen() -> None:
        while lines.read(1):
            process.terminate()

    threading.Thread(target=listen, daemon=True).start()
    connection.sendall(f"{process.wait()}\n".encode())
    connection.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    pass_on_signals()
    sys.exit(Host("", "", Path(sys.argv[2])).run(sys.argv[3:], dict(os.environ), str(Path.cwd())))
