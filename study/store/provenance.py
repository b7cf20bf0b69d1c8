"""What a study ran on: versions, hardware, code, data."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from study.plan.plan import Plan
from study.store.folder import StudyFolder
from study.store.log import set_aside
from trainables.common.files import write_text
from trainables.common.house import HOUSE, code_digest
from trainables.frameworks import FRAMEWORKS, framework, traced
from trainables.verify.compare import sources_digest
from trainables.workloads.datasets import checksums
from trainables.workloads.shipped import workload

_DISTRIBUTIONS = ("tuneoff", "ray", "optuna", "numpy", "pandas", "pyarrow")


def write_provenance(plan: Plan, folder: StudyFolder, *, say: Callable[[str], None]) -> None:
    """Write provenance.json at the first run of a driver; add the later ones under ``resumed``.

    Parameters
    ----------
    say
        Told of a damaged file, which is put aside.
    """
    now = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **_machine(), **_software(plan)}
    known = _read(folder, say)
    if known:
        known.setdefault("resumed", []).append(now)
    else:
        known = {
            **now,
            "dataset": workload(plan.workload).dataset,
            "md5": checksums(workload(plan.workload).dataset),
            "did_not_run": _did_not_run(plan),
        }
        if certifiable(plan.frameworks):  # what a certificate must match
            known["verified_by"] = {"versions": framework_versions(plan.frameworks), "sources": sources_digest()}
        for name in plan.frameworks:
            if (lockfile := framework(name).lockfile()) is not None:
                shutil.copyfile(lockfile, folder.path / lockfile.name)
                known.setdefault("lockfiles_sha256", {})[name] = hashlib.sha256(lockfile.read_bytes()).hexdigest()
    write_text(folder.provenance, json.dumps(known, indent=2) + "\n")


def _read(folder: StudyFolder, say: Callable[[str], None]) -> dict[str, Any]:
    if not folder.provenance.exists():
        return {}
    try:
        found = json.loads(folder.provenance.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it is no table")
    except ValueError as error:
        aside = set_aside(folder.provenance)
        told = f"{folder.provenance} was damaged ({error}); it is written anew, for this run"
        say(f"{told}. The damaged file is {aside.name}")
        return {}
    return found


def framework_versions(frameworks: Sequence[str]) -> dict[str, str | None]:
    """Versions of what these frameworks compute with."""
    return {name: found for each in frameworks for name, found in framework(each).versions().items()}


def certifiable(frameworks: Sequence[str]) -> bool:
    """Whether there can be a certificate of ``tuneoff verify`` over these."""
    return len(frameworks) > 1 and set(frameworks) <= set(traced())


def package_version(distribution: str) -> str | None:
    """Installed version, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def gpus() -> list[str]:
    """Names of the NVIDIA GPUs of this machine, as nvidia-smi tells; no framework is imported for it."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()] if answer.returncode == 0 else []


def processor() -> str:
    """Model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _machine() -> dict[str, Any]:
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "processor": processor(),
        "cpus": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": gpus(),
    }


def _software(plan: Plan) -> dict[str, Any]:
    return {
        "python": sys.version.split()[0],
        "versions": {name: package_version(name) for name in _DISTRIBUTIONS} | framework_versions(plan.frameworks),
        "git": _git_state(),
        "code": code_digest(),
    }


def _did_not_run(plan: Plan) -> dict[str, str]:
    """Real frameworks that the plan leaves out, and why: a report must say so."""
    left_out = [each for each in FRAMEWORKS.values() if each.real and each.name not in plan.frameworks]
    return {each.name: each.missing() or "it was not asked for" for each in left_out}


def _git_state() -> str | None:
    """Commit of the source tree this runs from, with ``-dirty`` for uncommitted changes; None when installed."""
    if not (HOUSE / ".git").exists() or shutil.which("git") is None:
        return None
    command = ["git", "-C", str(HOUSE), "describe", "--always", "--dirty", "--abbrev=40"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return answer.stdout.strip() or None
