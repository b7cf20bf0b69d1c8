"""Which cluster a study runs on: asked here and nowhere else, so that all that depends on it agrees."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from trainables.common.errors import UserError

VARIABLE, JOB = "RAY_ADDRESS", "RAY_JOB_CONFIG_JSON_ENV_VAR"  # the second is set for the entry point of a Ray job
LOCAL, AUTO = "local", "auto"
THIS_JOB = "this Ray job"


@dataclass(frozen=True)
class Place:
    """Where a study runs.

    Parameters
    ----------
    address
        Of a running cluster, ``host:port`` or ``auto``; None for a Ray of the study's own.
    source
        Who said so: ``--address``, ``RAY_ADDRESS`` or ``this Ray job``.
    """

    address: str | None = None
    source: str = ""

    @property
    def local(self) -> bool:
        """Whether a Ray is started here, for this study alone."""
        return self.address is None

    @property
    def option(self) -> str:
        """What to add to a command so that it goes to the same place; begins with a space where it is not empty.

        Another job may meet the same cluster at another address.
        """
        if self.address is None:
            return f" --address {LOCAL}" if self.source else ""
        return f" --address {AUTO if self.source == THIS_JOB else self.address}"


def place(given: str | None, environment: Mapping[str, str] | None = None) -> Place:
    """Where a study runs, as the user and the environment say.

    Parameters
    ----------
    given
        With ``--address``, which is stronger than RAY_ADDRESS. ``local`` asks for a Ray of the study's own, ``auto``
        for the cluster of RAY_ADDRESS, of the job that this is part of, or of this machine.

    Raises
    ------
    UserError
        When the address is none of a cluster.
    """
    environment = os.environ if environment is None else environment
    said, job = environment.get(VARIABLE, "").strip(), bool(environment.get(JOB))
    given = (given or "").strip()
    if given and given != AUTO:
        found = Place(given, "--address")
    elif said and said != AUTO:
        found = Place(said, THIS_JOB if job else VARIABLE)
    elif given or said or job:
        found = Place(AUTO, "--address" if given else THIS_JOB if job else VARIABLE)
    else:
        return Place()
    if found.address == LOCAL:
        return Place(None, found.source)
    _check(found)
    return found


def _check(found: Place) -> None:
    """Refuse what Ray would take for something else, or not at all."""
    assert found.address is not None
    wrong = f"{found.source} {found.address}"
    todo = "give --address HOST:PORT as `ray status` there tells it, auto, or local for a Ray of this study's own"
    scheme, separator, _ = found.address.partition("://")
    if separator and scheme in ("http", "https"):
        raise UserError(f"{wrong} is where jobs are submitted: `ray job submit -- tuneoff launch ...` does; or {todo}")
    if separator:
        raise UserError(f"{wrong}: Ray Tune does not run through Ray Client; {todo}")
    host, _, port = found.address.rpartition(":")
    if found.address != AUTO and not (host and port.isdigit() and int(port) < 2**16):
        raise UserError(f"{wrong} is no address of a Ray cluster; {todo}")
