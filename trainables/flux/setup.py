"""``tuneoff setup-julia``: Julia, Flux and FluxTrainer, installed and compiled, so that trials only load them.

Each step is a process that is ended when the time is over. A second call goes on with what the first has brought:
packages that are there stay; only a download that was cut in its midst begins again.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from trainables.common.errors import UserError
from trainables.common.files import write_text
from trainables.common.helpers import follow
from trainables.common.house import python
from trainables.flux.environment import EXE, PROJECT, withheld
from trainables.flux.runtime import (
    COMPILED,
    PACKAGE,
    JuliaRuntime,
    JuliaVersions,
    NotCompiled,
    check_runtime,
    failure_note,
    find_runtime,
    flux_trainer_digest,
    flux_trainer_source,
    forget_probes,
    juliacall_version,
)
from trainables.workloads.workload import MODEL_FILES, SHIPPED

TIME_LIMIT_S = 1800.0
LINE_INTERVAL_S = 10.0
READY = "tuneoff-ready.json"  # in the project: what has been set up there, and has taken a first step

# CUDA.jl and cuDNN.jl, with which FluxTrainer's extension loads.
GPU_PACKAGES = {
    "CUDA": "052768ef-5323-5732-b1bb-66c8b64840ba",
    "cuDNN": "02a925ec-e4fe-4b08-9a7e-0d78e3d38ccd",
}
_FIRST_STEP = """
using FluxTrainer
samples = (zeros(Float32, 28, 28, 1, 4), zeros(Int, 4))
run = start(; model=ARGS[1], data=Dict(split => samples for split in ("train", "validation", "test")), outputs=10,
    loss="cross_entropy", options=(;), batch_size=4, num_workers=0, optimizer="sgd", momentum=0.9, weight_decay=0.0,
    precision="float32", memory_format="contiguous", data_on_device=false, seed=0, device="cpu", threads=1)
warm_up!(run)
"""
_COMPILE = f"""
for package in Base.identify_package.({list(COMPILED)})
    Base.isprecompiled(package) || Base.compilecache(package)
end
""".replace("'", '"')
_DOING = {  # what a line of Julia's or juliapkg's says is going on; the first that matches
    r"(\S+) Being precompiled by another process \(pid: (\d+)": r"waiting for process \2, which compiles \1",
    r"Precompiling|dependenc(y|ies) successfully precompiled|\N{CHECK MARK} ": "compiling packages",
    r"(Updating|Cloning|Installing known|Added).*regist": "fetching the list of packages",
    r"Resolving": "choosing versions",
    r"Installed (\S+) ": r"downloading packages, \1 is there",
    r"Installing artifacts|Downloading artifact:? *(\S*)": "downloading libraries",
    r"Downloading|Installing Julia|Querying": "downloading Julia",
    r"Building": "building packages",
}
_LOG_FRAME = ("\N{BOX DRAWINGS LIGHT UP AND RIGHT}", "\N{BOX DRAWINGS LIGHT VERTICAL}")  # where Julia logs from
_CAUSES = {  # what the line of a failure means for a person; the first that matches
    r"No space left|Disk quota|ENOSPC": "the disk is full",
    r"\b(401|403|407|451)\b|Forbidden|Unauthorized|denied by policy": "the download was refused",
    r"certificate|SSL|TLS": "the network's certificates were not accepted",
    r"Name or service|name resolution|resolve host|getaddrinfo|unreachable|No route to host|nodename nor": "no network",
    r"Connection (refused|reset)|[Tt]imed? ?out|RemoteDisconnected|RequestError": "the network did not answer",
    r"Read-only file system|Permission denied|EACCES|EROFS": "a folder cannot be written",
}


class _Work:
    """The steps of one set-up, under one time limit, with a line now and then about what is going on."""

    def __init__(self, limit_s: float, say: Callable[[str], None], hear: Callable[[str], None]) -> None:
        self._began = time.monotonic()
        self._limit_s = limit_s
        self._say = say
        self._tell = hear
        self._said_at = 0.0
        self._doing = ""
        self._done = 0  # packages compiled

    def step(self, command: Sequence[str], doing: str, **environment: str) -> None:
        """Run a command.

        Raises
        ------
        UserError
            When it fails or the time is over; the message says why in a line.
        """
        self._say(doing)
        self._said_at, self._doing, self._done = time.monotonic(), "at work", 0
        left_s = max(1.0, self._limit_s - (time.monotonic() - self._began))
        answer = follow(command, timeout_s=left_s, hear=self._hear, environment={**withheld(), **environment})
        if answer.problem is None:
            return
        log = failure_note().with_suffix(".log")
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(answer.out, encoding="utf-8")
        except OSError:  # a cache that cannot be written: the line must do
            where = ""
        else:
            where = f"; all that was said is in {log}"
        if "was not done in" in answer.problem:
            raise UserError(
                f"Julia was not set up within the time limit of {self._limit_s:.0f} s (while {doing}); "
                f"`tuneoff setup-julia` goes on{where}"
            )
        cause = next((said for pattern, said in _CAUSES.items() if re.search(pattern, answer.out)), "it failed")
        raise UserError(f"Julia could not be set up: {cause} ({answer.problem}){where}")

    def _hear(self, line: str | None) -> None:
        if line:
            self._tell(line)
        if line and not line.startswith(_LOG_FRAME):
            self._doing = doing(line) or self._doing
            self._done += "\N{CHECK MARK}" in line
        now = time.monotonic()
        if now - self._said_at >= LINE_INTERVAL_S:
            self._said_at = now
            done = f", {self._done} done" if self._done else ""
            self._say(f"  {now - self._began:.0f} s, of at most {self._limit_s:.0f} s: {self._doing}{done}")


def doing(line: str) -> str | None:
    """What is going on, in our words; None where the line does not tell."""
    for pattern, words in _DOING.items():
        if found := re.search(pattern, line):
            return found.expand(words)
    return None


def set_up(
    *,
    gpu: bool,
    say: Callable[[str], None],
    hear: Callable[[str], None] = lambda _: None,
    limit_s: float = TIME_LIMIT_S,
    again: bool = False,
) -> JuliaVersions:
    """Install what is missing, compile, and take a first training step; nothing, where all that was done before.

    A failure is written down, so that whoever asks later why Flux cannot run is told the reason.

    Parameters
    ----------
    gpu
        Install CUDA.jl and cuDNN.jl as well.
    say
        Told what is about to happen, and every few seconds how far it is.
    hear
        Told every line that Julia and juliapkg say.
    limit_s
        Seconds after which to give up.
    again
        Install and compile even what seems to be there.

    Raises
    ------
    UserError
        When a step fails: no network, a full disk, a folder that cannot be written, a Julia that is too old.
    """
    if not again and (found := _ready(gpu=gpu)) is not None:
        return found
    try:
        versions = _install(gpu=gpu, work=_Work(limit_s, say, hear), say=say)
    except UserError as error:
        _note(str(error))
        raise
    failure_note().unlink(missing_ok=True)
    return versions


def _install(*, gpu: bool, work: _Work, say: Callable[[str], None]) -> JuliaVersions:
    if os.environ.get(EXE) or os.environ.get(PROJECT):
        runtime = find_runtime()
        say(f"using {runtime.executable} with the project {runtime.project} ({EXE} and {PROJECT} are set)")
        _check_writable(Path(runtime.project), f"choose another with {PROJECT}")
        _say_whose(runtime, say)
        work.step(
            _julia(runtime, _add_script(gpu=gpu)),
            "adding FluxTrainer and PythonCall to it, and compiling",
            JULIA_PYTHONCALL_EXE=sys.executable,
        )
    else:
        _check_writable(_own_project(), f"set {PROJECT} and {EXE}")
        more = [f"{name}={uuid}" for name, uuid in GPU_PACKAGES.items()] if gpu else []
        work.step(
            python("trainables.flux.resolve", *more),
            "downloading Julia where there is none, downloading and compiling Flux; this can take ten minutes",
            PYTHONUNBUFFERED="1",  # that its lines come when it says them
        )
        _forget_resolved()
        runtime = find_runtime()
    _check(runtime, work)
    work.step(
        [*_julia(runtime, _FIRST_STEP), str(SHIPPED / "digits-lenet" / MODEL_FILES["julia"])],
        "a first training step, in a process of its own",
        JULIA_PYTHONCALL_EXE=sys.executable,
    )
    versions = _check(runtime, work)
    with suppress(OSError):  # where it cannot be written, the next call does all this again
        write_text(Path(runtime.project) / READY, json.dumps(_state(versions, gpu=gpu)) + "\n")
    return versions


def _check(runtime: JuliaRuntime, work: _Work) -> JuliaVersions:
    """Its versions, everything compiled.

    Pkg is done without a word where another process compiles the same package of another checkout into this depot.
    """
    forget_probes()
    try:
        return check_runtime(runtime)
    except NotCompiled as problem:
        doing = f"{problem.package} is not compiled, which another process may have prevented; compiling it again"
    work.step(_julia(runtime, _COMPILE), doing, JULIA_PYTHONCALL_EXE=sys.executable)
    forget_probes()
    try:
        return check_runtime(runtime)
    except NotCompiled as problem:
        raise UserError(
            f"{problem.package} was compiled twice, and what the Julia project {runtime.project} needs is not in "
            "Julia's depot; where others set up Julia with the same depot, run `tuneoff setup-julia` when they are "
            "done, or set JULIA_DEPOT_PATH to one of your own"
        ) from None


def _say_whose(runtime: JuliaRuntime, say: Callable[[str], None]) -> None:
    """Tell who shares the project with another checkout that its FluxTrainer will not run there any more."""
    source = flux_trainer_source(runtime)
    if source is not None and source.resolve() != PACKAGE.resolve():
        say(f"{runtime.project} has the FluxTrainer of {source}; from now on that of {PACKAGE} runs there, for all")


def _ready(*, gpu: bool) -> JuliaVersions | None:
    """Versions of a runtime that has been set up from these sources and has taken its first step."""
    try:
        runtime = find_runtime()
        versions = check_runtime(runtime)
        known = json.loads((Path(runtime.project) / READY).read_text(encoding="utf-8"))
    except (UserError, OSError, ValueError):
        return None
    wanted = _state(versions, gpu=gpu)
    return versions if known in (wanted, {**wanted, "gpu": True}) else None


def _state(versions: JuliaVersions, *, gpu: bool) -> dict[str, object]:
    return {"sources": flux_trainer_digest(), "julia": versions.julia, "flux": versions.flux, "gpu": gpu}


def _note(reason: str) -> None:
    text = json.dumps({"prefix": sys.prefix, "at": datetime.now(UTC).date().isoformat(), "reason": reason})
    with suppress(OSError):  # nothing depends on it
        failure_note().parent.mkdir(parents=True, exist_ok=True)
        write_text(failure_note(), text + "\n")


def _own_project() -> Path:
    """Where juliapkg keeps its Julia project."""
    from juliapkg.state import STATE

    return Path(STATE["project"])


def _forget_resolved() -> None:
    """Make juliapkg look again: another process has resolved."""
    from juliapkg.state import reset_state

    reset_state()


def _check_writable(folder: Path, instead: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the Julia project {folder} ({error.strerror}); {instead}") from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"the Julia project {folder} is not writable; make it so, or {instead}")


def _add_script(*, gpu: bool) -> str:
    """Brings FluxTrainer and PythonCall into a project that the user keeps."""
    packages = [f'Pkg.PackageSpec(name="PythonCall", version="{juliacall_version()}")']
    if gpu:
        packages += [f'Pkg.PackageSpec(name="{name}", uuid="{uuid}")' for name, uuid in GPU_PACKAGES.items()]
    return f'import Pkg; Pkg.develop(path=raw"{PACKAGE}"); Pkg.add([{", ".join(packages)}]); Pkg.precompile()'


def _julia(runtime: JuliaRuntime, script: str) -> list[str]:
    return [runtime.executable, f"--project={runtime.project}", "--startup-file=no", "-e", script]
