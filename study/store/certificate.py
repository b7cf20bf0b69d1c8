"""What ``tuneoff verify`` leaves behind, and which certificate fits a study."""

from __future__ import annotations

import glob
import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from study.plan.plan import Plan
from study.store.folder import StudyFolder
from study.store.frozen import digest_in
from study.store.provenance import certifiable, framework_versions
from trainables.common.errors import UserError
from trainables.common.files import write_text
from trainables.common.machine import processor
from trainables.verify.compare import BATCH_SIZE, Comparison, sources_digest
from trainables.workloads.datasets import cache_folder
from trainables.workloads.workload import Workload


def certificate_path(workload: Workload, frameworks: Sequence[str]) -> Path:
    """Where the newest certificate of a workload as it is, and of these frameworks, lies."""
    return _folder() / f"{_stem(workload.name, workload.digest())}-{'-'.join(frameworks)}.json"


def _folder() -> Path:
    return cache_folder() / "certificates"


def _stem(name: str, digest: str) -> str:
    return f"{name}-{digest[:8]}"


def write_certificate(
    workload: Workload, frameworks: Sequence[str], comparisons: Sequence[Comparison], path: Path
) -> dict[str, Any]:
    """Write what was compared, on what, and with which result."""
    certificate = {
        "workload": workload.name,
        "workload_digest": workload.digest(),
        "equal": all(comparison.equal for comparison in comparisons),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "frameworks": list(frameworks),
        "batch_size": BATCH_SIZE,
        "dropout": "switched off",  # each framework draws it in its own way
        "versions": framework_versions(frameworks),
        "sources": sources_digest(),
        "processor": processor(),
        "comparisons": [comparison.as_record() for comparison in comparisons],
    }
    without_nan: dict[str, Any] = _without_nan(certificate)  # NaN is no JSON; a difference of null says the same
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(without_nan, indent=2, allow_nan=False) + "\n")
    return without_nan


def attach_certificate(plan: Plan, folder: StudyFolder) -> None:
    """Put the newest certificate into the study's folder that is about its workload, frameworks and software.

    A certificate that is there already stays, unless one of those here fits.
    """
    if not certifiable(plan.frameworks):
        return
    try:
        digest = digest_in(folder.copies)
        ran = json.loads(folder.provenance.read_text(encoding="utf-8")).get("verified_by", {})
        found = list(_folder().glob(f"{glob.escape(_stem(plan.workload, digest))}-*.json"))
    except (OSError, ValueError, UserError):
        return
    read = {path: _read(path) for path in found}
    fitting = [path for path, each in read.items() if _fits(each, ran, digest, plan.frameworks)]
    if fitting:
        shutil.copyfile(max(fitting, key=lambda path: read[path]["at"]), folder.certificate)


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _fits(certificate: dict[str, Any], ran: dict[str, Any], digest: str, frameworks: Sequence[str]) -> bool:
    return (
        certificate.get("workload_digest") == digest
        and certificate.get("sources") == ran.get("sources")
        and ran.get("versions", {}).items() <= certificate.get("versions", {}).items()
        and set(frameworks) <= set(certificate.get("frameworks", []))
    )


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and value != value else value
