"""What Ray reads from the environment when it is imported."""

from __future__ import annotations

import os
import secrets

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
        # Of this driver's Ray alone. Without it Ray keeps one in ~/.ray, and the home folder may be full or read-only.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    for name, value in {**_ALWAYS, **(_LOCAL if local else {})}.items():
        os.environ.setdefault(name, value)
