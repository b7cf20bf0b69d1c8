"""Whether trials get a process: Ray waits for one that does not come without a word, and for ever."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import ray

START_LIMIT_S = 50.0  # with what a user has waited before: told within a minute. A process takes three seconds
_LEAST_SHARE = 0.1
LAST_LINES = 3
_LOGS = (
    "runtime_env_setup*.log",
    "worker-*.err",
    "raylet.err",
    "gcs_server.err",
    "raylet.out",
)  # the telling ones first


class NothingStarts(Exception):
    """No process comes for a trial."""


def start_limit_s(share: float) -> float:
    """Seconds within which a process must have started where a thread gets this share of a CPU."""
    return START_LIMIT_S / max(share, _LEAST_SHARE)


class StartWatch:
    """Looks how long trials have been waiting while none ran.

    Parameters
    ----------
    limit_s
        Seconds after which nothing will come any more; None to wait for ever, as on a cluster that others use, too.
    """

    def __init__(self, limit_s: float | None) -> None:
        self._limit_s = limit_s
        self._since: float | None = None

    def look(self, states: Iterable[str], *, now: float | None = None) -> None:
        """To be called again and again.

        Parameters
        ----------
        states
            Tune's of all trials.
        now
            ``time.monotonic()``, if not given.

        Raises
        ------
        NothingStarts
            When the limit is over; the message ends with the last lines of Ray's own log.
        """
        now = time.monotonic() if now is None else now
        known = set(states)
        if "RUNNING" in known or "PENDING" not in known:
            self._since = None
        elif self._since is None:
            self._since = now
        elif self._limit_s is not None and now - self._since > self._limit_s:
            raise NothingStarts(f"Ray has started no process for a trial in {now - self._since:.0f} s{last_words()}")


def last_words(folder: Path | None = None) -> str:
    """What Ray's own logs end with, to stand after a message; empty where they say nothing.

    Parameters
    ----------
    folder
        Of the logs; that of the Ray on this machine, if not given.
    """
    node = ray._private.worker._global_node
    if folder is None and node is not None:
        folder = Path(node.get_logs_dir_path())
    if folder is None:
        return ""
    for pattern in _LOGS:
        for path in sorted(folder.glob(pattern), key=lambda each: each.stat().st_mtime, reverse=True):
            lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
            telling = [line for line in lines if line and not line.startswith(":")]  # Ray's own marks: ":job_id:..."
            if telling:
                return f"; {path} ends: {' / '.join(telling[-LAST_LINES:])}"
    return ""
