"""A study's own copy of its workload: what it trains, whatever becomes of the original.

The copy is a folder of the workload's name, so that it is a workload like any other, beside a file that says where it
comes from.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from study.plan.completing import told
from trainables.common.errors import UserError
from trainables.workloads.prepared import facts
from trainables.workloads.workload import FILE, Made, Workload, find, read

ORIGIN = ".origin.json"
_USED = "the study goes on with its own copy"


@dataclass(frozen=True)
class Origin:
    """Where a study's workload comes from.

    Parameters
    ----------
    named
        A shipped one's name, or a folder.
    digest
        `Workload.digest`, when the study began.
    made
        What its data come to.
    """

    named: str
    digest: str
    made: Made

    def as_record(self) -> dict[str, Any]:
        """JSON values."""
        return {"named": self.named, "digest": self.digest, "made": self.made.model_dump(mode="json")}

    @classmethod
    def from_record(cls, values: Mapping[str, Any]) -> Origin:
        """Inverse of `as_record`."""
        return cls(values["named"], values["digest"], Made.model_validate(values["made"]))


def keep_copy(workload: Workload, copies: Path) -> None:
    """Copy a workload, with a word on where it comes from, into a folder that is made: whole, or not at all.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    whole = copies.with_name(f".{copies.name}.tmp")
    shutil.rmtree(whole, ignore_errors=True)
    digest = workload.copy_to(whole / workload.name).digest()
    origin = Origin(told(workload), digest, facts(workload))
    (whole / ORIGIN).write_text(json.dumps(origin.as_record(), indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(copies, ignore_errors=True)
    whole.rename(copies)


def workload_in(copies: Path, name: str) -> Workload:
    """The copy; of a study that an older version began, and has none, the workload that is called so."""
    if not (copies / name).exists():
        return find(name)
    workload, origin = read(copies / name), origin_in(copies)
    return workload if origin is None else replace(workload, made=origin.made)


def origin_in(copies: Path) -> Origin | None:
    """Where a copy comes from; None where that is not told."""
    try:
        return Origin.from_record(json.loads((copies / ORIGIN).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def digest_in(copies: Path) -> str:
    """The digest of a copy when the study began; empty where there is none."""
    origin = origin_in(copies)
    return "" if origin is None else origin.digest


def refuse_edited_copy(copies: Path, name: str) -> None:
    """Refuse a copy that is not what the study began with: its trials would be of two workloads; `UserError`."""
    there, origin = copies / name, origin_in(copies)
    if origin is not None and there.exists() and read(there).digest() != origin.digest:
        raise UserError(
            f"{there} is not what the study began with: a file of it was changed, added or taken away; put that back, "
            "or launch another study"
        )


def changed_original(copies: Path) -> str | None:
    """What to tell of an original that was changed since the study began, or None; one that is gone is not missed."""
    origin = origin_in(copies)
    if origin is None:
        return None
    try:
        changed = find(origin.named).digest() != origin.digest
    except UserError:
        changed = (Path(origin.named) / FILE).exists()  # else it is gone
    return f"{origin.named} has changed since the study began; {_USED}" if changed else None
