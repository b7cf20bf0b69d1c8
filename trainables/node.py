"""What a machine of a cluster is, and whether trials could run there: asked on it, in a trial's slice.

The driver sends `look` there. Nothing here imports a framework, Ray, or more than a trial needs.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from trainables.common.house import code_digest
from trainables.common.machine import described, memory
from trainables.contract import Record
from trainables.rehearsal import Piece, Rehearsal, rehearse

TRAINABLE = "trainables.tune_trainable"


@dataclass(frozen=True)
class Request:
    """What a machine is asked.

    Parameters
    ----------
    code
        `code_digest()` of the driver.
    marker
        A file that the driver has written into the study's folder; None where there is no study.
    trainings
        One of each framework.
    """

    code: str
    marker: str | None
    trainings: tuple[Piece, ...]


@dataclass(frozen=True)
class NodeFacts:
    """What a machine is.

    Parameters
    ----------
    address
        Ray's for it.
    lacks
        What keeps trials from running there; empty where they can.
    versions
        Of the frameworks that were asked for, and of numpy.
    gpus
        Names of those that a trial gets there.
    dealt
        CPUs that Ray deals out there.
    free_disk_bytes
        Where temporary files lie.
    niceness
        Of the processes that run trials; above 0 they give way to others.
    clock_skew_s, clock_skew_within_s
        By how much its clock is ahead of the driver's, and how far off that may be; None where it was not measured.
    """

    address: str
    lacks: tuple[str, ...] = ()
    host: str = ""
    python: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    processor: str = ""
    gpus: tuple[str, ...] = ()
    cpus: int = 0
    cpus_present: int = 0
    cpus_limited_by: str = ""
    dealt: float = 0.0
    memory_bytes: int = 0
    free_memory_bytes: int = 0
    free_disk_bytes: int = 0
    niceness: int | None = None
    clock_skew_s: float | None = None
    clock_skew_within_s: float | None = None

    def as_record(self) -> Record:
        """JSON values, for a study's provenance."""
        return {**asdict(self), "lacks": list(self.lacks), "gpus": list(self.gpus)}


def look(request: Request) -> dict[str, Any]:
    """Fields of the `NodeFacts` of the machine that this runs on, apart from those that only the driver knows."""
    rehearsals = [rehearse(each) for each in request.trainings]
    versions = {name: number for each in rehearsals for name, number in each.versions.items()}
    return {
        "lacks": tuple(_lacks(request, rehearsals)),
        **described(),
        "python": sys.version.split()[0],
        "versions": {**versions, "numpy": np.__version__},
        "gpus": next((each.gpus for each in rehearsals if each.gpus), ()),
        "free_memory_bytes": memory().available_bytes,
        "free_disk_bytes": shutil.disk_usage(tempfile.gettempdir()).free,
        "niceness": os.nice(0),
    }


def clock() -> float:
    """What time it is here, seconds since 1970."""
    return time.time()


def _lacks(request: Request, rehearsals: list[Rehearsal]) -> Iterator[str]:
    """Whatever keeps trials from running here."""
    checks = (_other_code(request.code), _no_trainable(), _no_folder(request.marker))
    yield from filter(None, (*checks, *(each.problem for each in rehearsals)))


def _other_code(expected: str) -> str | None:
    return None if code_digest() == expected else "its code of this project is not the driver's; install one version"


def _no_trainable() -> str | None:
    """Why a trial's process could not be made here."""
    try:
        import_module(TRAINABLE)
    except Exception as error:  # whatever a broken installation raises
        return f"what runs a trial cannot be imported ({type(error).__name__}: {error})"
    return None


def _no_folder(marker: str | None) -> str | None:
    """Why the study's folder cannot be used here."""
    if marker is None:
        return None
    path = Path(marker)
    if not path.exists():
        return f"it does not see {path.parent}; --out must be on storage that all nodes share"
    try:
        path.with_name(f"{path.name}-{uuid.uuid4().hex}").write_text("node")
    except OSError as error:
        return f"it cannot write {path.parent} ({error.strerror})"
    return None
