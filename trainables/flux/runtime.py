"""Which Julia a Flux trial runs, found without starting it in this process.

A runtime is an executable and a project (a Julia environment that holds FluxTrainer and PythonCall). Either both are
given by PYTHON_JULIACALL_EXE and PYTHON_JULIACALL_PROJECT, juliacall's own variables, or juliapkg keeps them beside the
Python environment, where ``tuneoff setup-julia`` put them.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock, Timeout

from trainables.common.errors import UserError
from trainables.common.helpers import Answer, ask, telling
from trainables.common.house import HOUSE, digest
from trainables.workloads.datasets import cache_folder

PACKAGE = HOUSE / "julia"  # FluxTrainer
OLDEST_JULIA = (1, 10)
EXE, PROJECT = "PYTHON_JULIACALL_EXE", "PYTHON_JULIACALL_PROJECT"
SET_UP = "run `tuneoff setup-julia`"
_ANSWER_S = 30.0  # a cold Julia on a slow disk takes ten
# Printed by the probe, one line each: Julia's version, the version or "missing" of these packages, and where the first
# of them lies.
_PACKAGES = ("FluxTrainer", "Flux", "PythonCall", "CUDA")
_PROBE = f"""
import Pkg
println(VERSION)
found = Dict(package.name => package.version for package in values(Pkg.dependencies()))
for name in {list(_PACKAGES)}
    println(something(get(found, name, nothing), "missing"))
end
for package in values(Pkg.dependencies())
    package.name == "FluxTrainer" && println(package.source)
end
""".replace("'", '"')
_VERSION = re.compile(r"\d+\.\d+\S*|missing")


@dataclass(frozen=True)
class JuliaRuntime:
    """An executable and a project, as absolute paths."""

    executable: str
    project: str

    def environment(self) -> dict[str, str]:
        """The variables from which juliacall takes this runtime."""
        return {EXE: self.executable, PROJECT: self.project}


@dataclass(frozen=True)
class JuliaVersions:
    """Versions found in a runtime; None for what its project lacks."""

    julia: str
    flux_trainer: str | None
    flux: str | None
    python_call: str | None
    cuda: str | None
    source: str | None = None  # the folder of FluxTrainer


def find_runtime() -> JuliaRuntime:
    """The runtime that trials will use.

    Raises
    ------
    UserError
        When there is none; the message tells what to do.
    """
    if find_spec("juliacall") is None:
        raise UserError("juliacall is not installed; run `pip install juliacall`")
    executable, project = os.environ.get(EXE), os.environ.get(PROJECT)
    if executable and project:
        return JuliaRuntime(str(Path(executable).absolute()), str(Path(project).absolute()))
    if executable or project:
        given, lacking = (EXE, PROJECT) if executable else (PROJECT, EXE)
        raise UserError(f"{given} is set and {lacking} is not; set both, or neither")
    import juliapkg

    try:
        _check_juliapkg()
        ready = juliapkg.resolve(dry_run=True)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot use the folder of the Julia project ({error}); set {EXE} and {PROJECT}") from None
    if not ready:
        raise UserError(
            f"Julia is not set up here{_last_failure()}; {SET_UP}, which downloads Julia and Flux, "
            f"or set {EXE} and {PROJECT} to ones that exist"
        )
    return JuliaRuntime(juliapkg.executable(), juliapkg.project())


def check_runtime(runtime: JuliaRuntime) -> JuliaVersions:
    """Ask the runtime for its versions, in a process of its own; about half a second, and once, also where it fails.

    Raises
    ------
    UserError
        When it does not start, is too old, or its project lacks a package.
    """
    versions = _probe(runtime)
    julia = tuple(int(part) for part in re.findall(r"\d+", versions.julia)[:2])
    if julia < OLDEST_JULIA:
        oldest = ".".join(map(str, OLDEST_JULIA))
        raise UserError(f"{runtime.executable} is Julia {versions.julia}; Flux needs {oldest} or newer")
    for name, found in (
        ("FluxTrainer", versions.flux_trainer),
        ("Flux", versions.flux),
        ("PythonCall", versions.python_call),
    ):
        if found is None:
            raise UserError(f"the Julia project {runtime.project} has no {name}; {SET_UP}")
    if versions.source is not None and PACKAGE.is_dir() and _digest(Path(versions.source)) != flux_trainer_digest():
        raise UserError(
            f"the Julia project {runtime.project} has the FluxTrainer of {versions.source}, "
            f"not that of {PACKAGE}; {SET_UP}"
        )
    if versions.python_call != juliacall_version():
        raise UserError(
            f"juliacall is {juliacall_version()} and PythonCall in {runtime.project} is {versions.python_call}; "
            f"they must be the same: {SET_UP}"
        )
    return versions


def missing() -> str | None:
    """Why Flux cannot run here and what to do, or None when it can."""
    try:
        check_runtime(find_runtime())
    except UserError as error:
        return f"Flux cannot run: {error}"
    return None


def versions() -> dict[str, str | None]:
    """Of what Flux computes with, for a study's provenance."""
    found = check_runtime(find_runtime())
    return {"julia": found.julia, "flux": found.flux, "FluxTrainer": found.flux_trainer}


def environment() -> dict[str, str]:
    """The variables from which trials take the runtime that is found here."""
    return find_runtime().environment()


def lockfile() -> Path | None:
    """The Julia project's manifest: the exact version of every Julia package."""
    manifest = Path(find_runtime().project) / "Manifest.toml"
    return manifest if manifest.exists() else None


def juliacall_version() -> str | None:
    """Installed version of juliacall."""
    try:
        return version("juliacall")
    except PackageNotFoundError:
        return None


def flux_trainer_digest() -> str:
    """SHA-256 over the sources of FluxTrainer here."""
    return _digest(PACKAGE)


def _digest(package: Path) -> str:
    return digest(package / "src", ".jl") + digest(package / "ext", ".jl")


def failure_note() -> Path:
    """Where ``tuneoff setup-julia`` writes down why it failed."""
    return cache_folder() / "setup-julia.json"


def _last_failure() -> str:
    """Why it failed when it was last tried in this Python environment, to stand in a message."""
    try:
        note = json.loads(failure_note().read_text(encoding="utf-8"))
        return f" (tried on {note['at']}: {note['reason']})" if note["prefix"] == sys.prefix else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def forget_probes() -> None:
    """Ask every runtime again at the next `check_runtime`."""
    _asked.cache_clear()


def _check_juliapkg() -> None:
    """Make sure that juliapkg answers: for a Julia that hangs, and for who is setting one up, it waits without end."""
    from juliapkg.deps import load_meta
    from juliapkg.state import STATE

    lock = Path(STATE["project"]) / "lock.pid"
    if STATE["resolved"] or not lock.parent.is_dir():
        return
    try:
        with FileLock(lock).acquire(timeout=0):
            pass
    except Timeout:
        raise UserError("Julia is being set up here by another process; wait for it") from None
    if (meta := load_meta()) is not None:
        answer = ask([meta["executable"], "--version"], timeout_s=_ANSWER_S)
        if answer.problem:
            raise UserError(f"{meta['executable']} {answer.problem}; {SET_UP} again, or set {EXE} and {PROJECT}")


def _probe(runtime: JuliaRuntime) -> JuliaVersions:
    if not Path(runtime.project).is_dir():
        raise UserError(f"{PROJECT} is {runtime.project}, which is not a folder; {SET_UP}")
    answer = _asked(runtime)
    if answer.problem:
        raise UserError(f"{runtime.executable} {answer.problem}; set {EXE} to a Julia")
    lines = answer.out.splitlines()
    lines, rest = lines[: 1 + len(_PACKAGES)], lines[1 + len(_PACKAGES) :]
    if len(lines) != 1 + len(_PACKAGES) or len(rest) > 1 or not all(_VERSION.fullmatch(line) for line in lines):
        said = telling(answer.out) or telling(answer.err) or "it says nothing"
        raise UserError(f"{runtime.executable} does not answer as a Julia does ({said}); set {EXE} to a Julia")
    found = [None if line == "missing" else line for line in lines[1:]]
    return JuliaVersions(lines[0], *found, *rest)


@lru_cache
def _asked(runtime: JuliaRuntime) -> Answer:
    command = [runtime.executable, f"--project={runtime.project}", "--startup-file=no", "-O0", "-e", _PROBE]
    return ask(command, timeout_s=_ANSWER_S)
