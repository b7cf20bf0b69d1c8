"""``tuneoff setup-julia``: Julia, Flux and FluxTrainer, installed and compiled, so that trials only load them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from trainables.common.errors import UserError
from trainables.flux.runtime import (
    EXE,
    PACKAGE,
    PROJECT,
    JuliaRuntime,
    JuliaVersions,
    check_runtime,
    find_runtime,
    forget_probes,
    juliacall_version,
)

# CUDA.jl and cuDNN.jl, with which FluxTrainer's extension loads.
GPU_PACKAGES = {
    "CUDA": "052768ef-5323-5732-b1bb-66c8b64840ba",
    "cuDNN": "02a925ec-e4fe-4b08-9a7e-0d78e3d38ccd",
}
_FIRST_STEP = """
using FluxTrainer
samples = (zeros(Float32, 28, 28, 1, 4), zeros(Int, 4))
run = start(; model="lenet", data=Dict(split => samples for split in ("train", "validation", "test")),
    parameters=initial_parameters("lenet"), learning_rate=0.01, batch_size=4, num_workers=0, optimizer="sgd",
    momentum=0.9, weight_decay=0.0, device="cpu", threads=1)
warm_up!(run)
"""


def set_up(*, gpu: bool, say: Callable[[str], None]) -> JuliaVersions:
    """Install what is missing, compile, and take a first training step.

    Parameters
    ----------
    gpu
        Install CUDA.jl and cuDNN.jl as well.
    say
        Told what is about to happen; Julia's own progress goes to standard error.

    Raises
    ------
    UserError
        When a step fails: no network, a folder that cannot be written, a Julia that is too old.
    """
    if os.environ.get(EXE) or os.environ.get(PROJECT):
        runtime = find_runtime()
        say(f"using {runtime.executable} with the project {runtime.project} ({EXE} and {PROJECT} are set)")
        _add_to_project(runtime, gpu=gpu, say=say)
    else:
        say("finding or downloading Julia, then downloading and compiling Flux; this can take ten minutes")
        _resolve(gpu=gpu)
        runtime = find_runtime()
    forget_probes()
    versions = check_runtime(runtime)
    say("a first training step, in a process of its own")
    _run(runtime, _FIRST_STEP, "the first training step failed")
    return versions


def _resolve(*, gpu: bool) -> None:
    """Let juliapkg find or install Julia, and install what the installed packages' juliapkg.json ask for."""
    import juliapkg
    from juliapkg.state import STATE

    folder = Path(STATE["project"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the Julia project {folder} ({error.strerror}); set {PROJECT} and {EXE}") from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"the Julia project {folder} is not writable; make it so, or set {PROJECT} and {EXE}")
    if gpu:
        for name, uuid in GPU_PACKAGES.items():
            juliapkg.add(name, uuid)
    try:
        juliapkg.resolve(force=True)
    except subprocess.CalledProcessError:
        raise UserError(
            "Julia could not install the packages; see its message above, mend it and run this again"
        ) from None
    except Exception as error:  # juliapkg raises plain Exception, and whatever its downloads raise
        raise UserError(
            f"juliapkg could not set up Julia ({' '.join(str(error).split())}); without a network, install Julia and "
            f"the packages elsewhere and set {EXE} and {PROJECT}"
        ) from None


def _add_to_project(runtime: JuliaRuntime, *, gpu: bool, say: Callable[[str], None]) -> None:
    """Bring FluxTrainer and PythonCall into a project that the user keeps."""
    folder = Path(runtime.project)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{PROJECT} is {folder}, which cannot be made ({error.strerror})") from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"{PROJECT} is {folder}, which is not writable; make it so, or choose another")
    say("adding FluxTrainer and PythonCall to it, and compiling")
    packages = [f'Pkg.PackageSpec(name="PythonCall", version="{juliacall_version()}")']
    if gpu:
        packages += [f'Pkg.PackageSpec(name="{name}", uuid="{uuid}")' for name, uuid in GPU_PACKAGES.items()]
    script = f'import Pkg; Pkg.develop(path=raw"{PACKAGE}"); Pkg.add([{", ".join(packages)}]); Pkg.precompile()'
    _run(runtime, script, f"Julia could not install the packages into {folder}")


def _run(runtime: JuliaRuntime, script: str, failure: str) -> None:
    command = [runtime.executable, f"--project={runtime.project}", "--startup-file=no", "-e", script]
    environment = {**os.environ, "JULIA_PYTHONCALL_EXE": sys.executable}
    try:
        answer = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
    except OSError as error:
        raise UserError(f"{runtime.executable} does not start ({error}); set {EXE} to a Julia") from None
    if answer.returncode != 0:
        raise UserError(f"{failure}; see Julia's message above, mend it and run `tuneoff setup-julia` again")
