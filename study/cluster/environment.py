"""What Ray reads from the environment when it is imported."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from study.cluster.address import JOB, VARIABLE
from trainables.common.temporary import PLACES, SHARED_MEMORY, socket_problem

RAY_FOLDER, FOLDER = "RAY_TMPDIR", "TMPDIR"  # where Ray keeps its sockets and logs; the first wins
# Of the longest socket that Ray makes beneath it.
SOCKET_NAME = "ray/session_2026-11-25_20-16-43_516489_1234567/sockets/plasma_store"


_ALWAYS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # no progress table of its own
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths mean the same in a trial
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # study.interrupts has one that tells what became of the study
    "TUNE_WARN_THRESHOLD_S": "10",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run` it gives every worker an environment made anew, without us
    "PYTHONSAFEPATH": "1",  # no child finds a module where it happens to stand
}
_LOCAL = {
    # Despite its name this is what makes a local Ray listen on 127.0.0.1 alone, on Linux too; asking ray.init for that
    # address does not (it is resolved to the machine's own).
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Without this ray.init itself waits for the first worker, for ever where none comes, and no thread of ours runs.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_worker_niceness": "0",  # Ray's 15 would let anything else on the machine slow the trials that are timed
}


def prepare(*, local: bool) -> None:
    """Set the variables; to be called before the first import of Ray. What the user has set is kept.

    Parameters
    ----------
    local
        Whether Ray will be started on this machine for this study alone.
    """
    if local:
        for name in (VARIABLE, JOB):  # a cluster's, which is not for us and ours
            os.environ.pop(name, None)
        # Of this driver's Ray alone. Without it Ray keeps one in ~/.ray, and the home folder may be full or read-only.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    if local and not _shared_memory():
        # TensorBoard's takes a semaphore, which lies there.
        os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    for name, value in {**_ALWAYS, **(_LOCAL if local else {})}.items():
        os.environ.setdefault(name, value)


class NoFolder(Exception):
    """There is no folder in which Ray could keep its sockets."""


def choose_temporary_folder() -> str | None:
    """See to it that a Ray started here finds a folder in which its sockets can be made.

    Ray's own choice is kept where it works; else it is a short one of this user alone, in /tmp or the like.

    Returns
    -------
    What was chosen instead and why, in a line; None where Ray's own choice works.

    Raises
    ------
    NoFolder
        When none works, with what is wrong with each.
    """
    variable = next((name for name in (RAY_FOLDER, FOLDER) if name in os.environ), None)
    usual = os.environ[variable] if variable else PLACES[0]
    named = f"{variable} ({usual})" if variable else usual
    problem = socket_problem(usual, SOCKET_NAME)
    if problem is None:
        return None
    problems = [f"{named} {problem}"]
    for place in PLACES:
        folder = Path(place, f"tuneoff-{os.getuid()}")
        problem = socket_problem(place, SOCKET_NAME) or _take(folder) or socket_problem(folder, SOCKET_NAME)
        if problem is None:
            os.environ[RAY_FOLDER] = str(folder)
            return f"{problems[0]}; Ray uses {folder}"
        if place != usual:
            problems.append(f"{place} {problem}")
    raise NoFolder(
        f"Ray finds no folder for its sockets: {'; '.join(problems)}. Set {RAY_FOLDER} or {FOLDER} "
        "to a short path on a local disk that can be written"
    )


def object_store_folder() -> str | None:
    """Where a Ray started here must keep its objects; None for its own choice.

    That is shared memory where it is large enough; whether it can be written Ray does not ask, and dies.
    """
    return None if _shared_memory() else os.environ.get(RAY_FOLDER) or tempfile.gettempdir()


def _shared_memory() -> bool:
    """Whether shared memory can be written; True where it is not a folder."""
    return not Path(SHARED_MEMORY).is_dir() or os.access(SHARED_MEMORY, os.W_OK)


def _take(folder: Path) -> str | None:
    """Make a folder of this user alone; why it cannot be, or None. Others, too, may make folders where it lies."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return f"has a {folder.name} of somebody else"
    except OSError as error:
        return f"takes no {folder.name} ({error.strerror})"
    return None
