"""Which Julia a Flux trial runs, found without starting it in this process.

A runtime is an executable and a project (a Julia environment that holds FluxTrainer and PythonCall). Either both are
given by PYTHON_JULIACALL_EXE and PYTHON_JULIACALL_PROJECT, juliacall's own variables, or juliapkg keeps them beside the
Python environment, where ``tuneoff setup-julia`` put them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
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
from trainables.flux.environment import EXE, PROJECT, withheld
from trainables.workloads.datasets import cache_folder

PACKAGE = HOUSE / "julia"  # FluxTrainer
OLDEST_JULIA = (1, 10)
SET_UP = "run `tuneoff setup-julia`"
_AWAKE_S = 10.0  # to say its version, which loads next to nothing: one that sleeps is found out
_ANSWER_S = 60.0  # a cold Julia on a slow disk takes fifteen
# Printed by the probe, one line each: Julia's version, the version or "missing" of these packages, where the first of
# them lies, and what a trial would miss.
_PACKAGES = ("FluxTrainer", "Flux", "PythonCall", "CUDA")
COMPILED = ("FluxTrainer", "PythonCall")  # what brings the others with it
_GONE, _UNCOMPILED = "not in the depot: ", "not compiled: "
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
gone = [package.name for package in values(Pkg.dependencies()) if !isnothing(package.source) && !isdir(package.source)]
isempty(gone) || println("{_GONE}", first(sort(gone)), length(gone) > 1 ? " and $(length(gone) - 1) more" : "")
if isempty(gone) && isdefined(Base, :isprecompiled)
    for name in {list(COMPILED)}
        id = Base.identify_package(name)
        isnothing(id) || Base.isprecompiled(id) || println("{_UNCOMPILED}", name)
    end
end
""".replace("'", '"')
_VERSION = re.compile(r"\d+\.\d+\S*|missing")


class NotCompiled(UserError):
    """A package has no image in the depot: whoever loads it compiles it, for minutes."""

    def __init__(self, package: str, message: str) -> None:
        super().__init__(message)
        self.package = package


@dataclass(frozen=True)
class JuliaRuntime:
    """An executable and a project, as absolute paths."""

    executable: str
    project: str
    given: bool = True  # by juliacall's variables; else it is juliapkg's

    @property
    def another(self) -> str:
        """What to do where this executable is none that can be used."""
        return f"set {EXE} to a Julia" if self.given else SET_UP

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
    lacking: tuple[str, ...] = ()  # what a trial would miss, in the probe's words


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
        found = shutil.which(executable) or executable
        return JuliaRuntime(str(Path(found).absolute()), str(Path(project).absolute()))
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
    return JuliaRuntime(juliapkg.executable(), juliapkg.project(), given=False)


def check_runtime(runtime: JuliaRuntime) -> JuliaVersions:
    """Ask the runtime for its versions, in a process of its own; about half a second, and once, also where it fails.

    Raises
    ------
    UserError
        When it does not start, is too old, or its project lacks a package; `NotCompiled` where that is all.
    """
    versions = _probe(runtime)
    julia = tuple(int(part) for part in re.findall(r"\d+", versions.julia)[:2])
    if julia < OLDEST_JULIA:
        oldest = ".".join(map(str, OLDEST_JULIA))
        raise UserError(
            f"{runtime.executable} is Julia {versions.julia}; Flux needs {oldest} or newer: {runtime.another}"
        )
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
            f"not that of {PACKAGE}; {SET_UP}, which changes that, or give each checkout a project of its own "
            f"with {PROJECT}"
        )
    if versions.python_call != juliacall_version():
        raise UserError(
            f"juliacall is {juliacall_version()} and PythonCall in {runtime.project} is {versions.python_call}; "
            f"they must be the same: {SET_UP}"
        )
    for said in versions.lacking:
        raise _lack(said, runtime)
    return versions


def _lack(said: str, runtime: JuliaRuntime) -> UserError:
    """What a trial would miss, and what to do."""
    depot = os.environ.get("JULIA_DEPOT_PATH")
    where = f"the depot (JULIA_DEPOT_PATH is {depot})" if depot else "Julia's depot"
    if said.startswith(_GONE):
        mend = "set it to the depot with which that was set up, or " if depot else ""
        return UserError(
            f"the Julia project {runtime.project} needs {said[len(_GONE) :]}, not there in {where}; {mend}{SET_UP}"
        )
    package = said[len(_UNCOMPILED) :]
    return NotCompiled(
        package, f"{package} of the Julia project {runtime.project} is not compiled in {where}; {SET_UP}"
    )


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


def flux_trainer_source(runtime: JuliaRuntime) -> Path | None:
    """The folder of the FluxTrainer that a runtime has; None where it has none, or is none."""
    try:
        source = _probe(runtime).source
    except UserError:
        return None
    return Path(source) if source else None


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
        answer = ask([meta["executable"], "--version"], timeout_s=_AWAKE_S)
        if answer.problem:
            raise UserError(f"{meta['executable']} {answer.problem}; {SET_UP} again, or set {EXE} and {PROJECT}")


def _probe(runtime: JuliaRuntime) -> JuliaVersions:
    if not Path(runtime.project).is_dir():
        named = f"{PROJECT} is" if runtime.given else "the Julia project is"
        raise UserError(f"{named} {runtime.project}, which is not a folder; {SET_UP}")
    answer = _asked(runtime)
    if answer.problem:
        raise UserError(f"{runtime.executable} {answer.problem}; {runtime.another}")
    lines = answer.out.splitlines()
    lines, rest = lines[: 1 + len(_PACKAGES)], lines[1 + len(_PACKAGES) :]
    lacking = tuple(line for line in rest if line.startswith((_GONE, _UNCOMPILED)))
    source = [line for line in rest if line not in lacking]
    if len(lines) != 1 + len(_PACKAGES) or len(source) > 1 or not all(_VERSION.fullmatch(line) for line in lines):
        said = telling(answer.out) or telling(answer.err) or "it says nothing"
        raise UserError(f"{runtime.executable} does not answer as a Julia does ({said}); {runtime.another}")
    found = (None if line == "missing" else line for line in lines[1:])
    flux_trainer, flux, python_call, cuda = found
    return JuliaVersions(
        lines[0], flux_trainer, flux, python_call, cuda, source=source[0] if source else None, lacking=lacking
    )


@lru_cache
def _asked(runtime: JuliaRuntime) -> Answer:
    answer = ask([runtime.executable, "--version"], timeout_s=_AWAKE_S)
    if answer.problem:
        return answer
    command = [runtime.executable, f"--project={runtime.project}", "--startup-file=no", "-O0", "-e", _PROBE]
    return ask(command, timeout_s=_ANSWER_S, environment=withheld())
