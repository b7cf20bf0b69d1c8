"""What a study ran on: versions, hardware, code, data."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from study.plan.plan import Plan
from study.store.folder import PLACE, StudyFolder
from study.store.frozen import origin_in
from study.store.log import set_aside
from trainables.common.files import write_text
from trainables.common.helpers import Answer, ask
from trainables.common.house import HOUSE, code_digest
from trainables.common.load import Busyness
from trainables.common.machine import described, memory
from trainables.frameworks import FRAMEWORKS, Framework, framework, traced
from trainables.verify.compare import sources_digest
from trainables.workloads.workload import MODEL_FILES, Workload

STOPS = "stopped"  # in provenance.json: searches that ended before their last trial, by framework
_ANSWER_S = 20.0  # nvidia-smi takes ten where eight GPUs must wake up first
_GPU = re.compile(r"[ -~]+, (\d+ MiB|\[.*\])")
_COMMIT = re.compile(r"\S*[0-9a-f]{40}(-dirty)?")
_DISTRIBUTIONS = ("tuneoff", "ray", "optuna", "numpy", "pandas", "pyarrow")


def write_provenance(
    plan: Plan,
    folder: StudyFolder,
    workload: Workload,
    busyness: Busyness,
    *,
    say: Callable[[str], None],
    place: str = "",
) -> None:
    """Write provenance.json at the first run of a driver; add the later ones under ``resumed``.

    Parameters
    ----------
    workload
        The study's own copy.
    busyness
        Of this machine, as the driver begins.
    say
        Told of a damaged file, which is put aside, and of GPUs that could not be looked up.
    place
        The option that leads to the cluster on which the study runs.
    """
    if problem := gpu_problem():
        say(f"{problem}; no GPU is recorded")
    now = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **_machine(busyness), **_software(plan)}
    now["plan"] = {  # what may change
        "search": {
            "trials": plan.search.trials,
            "budget": plan.search.budget or "none",
            "pays_after": plan.search.pays_after,
        },
        "race": plan.race.model_dump(),
        "confirm": plan.confirm.model_dump(),
    }
    known = _read(folder, say)
    if known:
        known.setdefault("resumed", []).append(now)
    else:
        known = {
            **now,
            "did_not_run": left_out(plan, workload),
        }
        if certifiable(plan.frameworks):  # what a certificate must match
            known["verified_by"] = {"versions": framework_versions(plan.frameworks), "sources": sources_digest()}
        for name in plan.frameworks:
            if (lockfile := framework(name).lockfile()) is not None:
                shutil.copyfile(lockfile, folder.path / lockfile.name)
                known.setdefault("lockfiles_sha256", {})[name] = hashlib.sha256(lockfile.read_bytes()).hexdigest()
    if (origin := origin_in(folder.copies)) is not None:
        known["workload"] = {"name": workload.name, **origin.as_record()}
    if plan.search.warm_start_from:
        counts = {name: len(points) for name, points in plan.search.warm_start.items()}
        known["warm_start"] = {"from": plan.search.warm_start_from, "configurations": counts}
    known[PLACE] = place
    write_text(folder.provenance, json.dumps(known, indent=2) + "\n")


def record_nodes(
    folder: StudyFolder, facts: Sequence[dict[str, Any]], differ: Sequence[str], left_out: Mapping[str, str]
) -> None:
    """Add what the nodes of the cluster are; of one that was asked before, what it is now.

    Parameters
    ----------
    facts
        Of each node.
    differ
        In what they differ, each in a line; kept for good, since times are from all of them.
    left_out
        Why a node gets no trial, by address.
    """
    known = _read(folder, lambda _: None)
    nodes = {each["address"]: each for each in known.get("nodes", [])} | {each["address"]: each for each in facts}
    known["nodes"] = list(nodes.values())
    known["nodes_differ"] = list(dict.fromkeys([*known.get("nodes_differ", []), *differ]))
    known["nodes_left_out"] = dict(left_out)
    write_text(folder.provenance, json.dumps(known, indent=2) + "\n")


def record_stops(folder: StudyFolder, stops: Mapping[str, dict[str, Any]]) -> None:
    """Keep which frameworks' searches ended before their last trial, and why; those of earlier runs no more."""
    known = _read(folder, lambda _: None)
    if known.get(STOPS, {}) != stops:
        write_text(folder.provenance, json.dumps({**known, STOPS: dict(stops)}, indent=2) + "\n")


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
    answer = _nvidia_smi(shutil.which("nvidia-smi"))
    return [] if answer.problem else _lines(answer.out)


def gpu_problem() -> str | None:
    """Why nvidia-smi, where there is one, told nothing of GPUs."""
    command = shutil.which("nvidia-smi")
    answer = _nvidia_smi(command)
    return f"nvidia-smi {answer.problem}" if command and answer.problem else None


@lru_cache
def _nvidia_smi(command: str | None) -> Answer:
    """Its answer, asked for once: where the driver hangs, every call would take its whole time."""
    if command is None:
        return Answer("", "", None)
    answer = ask([command, "--query-gpu=name,memory.total", "--format=csv,noheader"], timeout_s=_ANSWER_S)
    strange = [line for line in _lines(answer.out) if not _GPU.fullmatch(line)]
    if answer.problem is None and strange:
        return replace(answer, problem=f"answers {ascii(strange[0])[:80]}, which is no GPU")
    return answer


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _machine(busyness: Busyness) -> dict[str, Any]:
    return {
        **described(),
        "memory_limited_by": memory().limited_by,
        "platform": platform.platform(),
        "gpus": gpus(),
        **busyness.as_record(),
    }


def _software(plan: Plan) -> dict[str, Any]:
    return {
        "python": sys.version.split()[0],
        "versions": {name: package_version(name) for name in _DISTRIBUTIONS} | framework_versions(plan.frameworks),
        "git": _git_state(),
        "code": code_digest(),
    }


def left_out(plan: Plan, workload: Workload) -> dict[str, str]:
    """Real frameworks that the plan leaves out, and why: terminal and report must say so."""

    def reason(each: Framework) -> str:
        if each.language is not None and not each.trains(workload):
            return f"{workload.name} has no {MODEL_FILES[each.language]}"
        return each.missing() or "it was not asked for"

    wanted = [each for each in FRAMEWORKS.values() if each.real and not each.on_request]
    others = [each for each in wanted if each.name not in plan.frameworks]
    reasons = {each: reason(each) for each in others}
    return {each.name: said.removeprefix(f"{each.title} cannot run: ") for each, said in reasons.items()}


def _git_state() -> str | None:
    """Commit of the source tree this runs from, with ``-dirty`` for uncommitted changes; None when installed.

    Where git does not tell, why.
    """
    if not (HOUSE / ".git").exists():
        return None
    command = ["git", "-C", str(HOUSE), "describe", "--always", "--dirty", "--abbrev=40"]
    answer = ask(command, timeout_s=_ANSWER_S, environment={"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"})
    if answer.problem:
        return f"unknown: git {answer.problem}"
    said = answer.out.strip()
    return said if _COMMIT.fullmatch(said) else f"unknown: git answers {ascii(said)[:80]}, which is no commit"
