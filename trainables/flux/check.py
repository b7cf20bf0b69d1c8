"""What Flux can use on this machine: which GPUs, and whether a model can be built.

Its loader workers are threads, which hand nothing over.
"""

from __future__ import annotations

from collections.abc import Sequence

from trainables.common.errors import UserError
from trainables.common.helpers import ask
from trainables.contract import Device, Loading, Readiness
from trainables.flux.backend import try_model
from trainables.flux.environment import withheld
from trainables.flux.runtime import check_runtime, find_runtime

__all__ = ["look", "try_model"]

_ANSWER_S = 100.0  # loading CUDA.jl takes ten, compiling what it lacks more
_PROBE = "using CUDA; CUDA.functional(true); foreach(device -> println(CUDA.name(device)), CUDA.devices())"


def look(*, device: Device, loadings: Sequence[Loading]) -> Readiness:
    """See `trainables.contract.Look`; GPUs are looked for only where they are wanted, since that takes long."""
    no_loading = (None,) * len(loadings)
    if device == "cpu":
        return Readiness(no_device="it was not asked", no_loading=no_loading)
    try:
        runtime = find_runtime()
        found = check_runtime(runtime)
    except UserError as error:
        return Readiness(no_loading=no_loading, broken=str(error))
    version = f"Julia {found.julia}, Flux {found.flux}"
    if found.cuda is None:
        why = f"the Julia project {runtime.project} has no CUDA.jl; run `tuneoff setup-julia --gpu`"
        return Readiness(version, no_device=why, no_loading=no_loading)
    command = [runtime.executable, f"--project={runtime.project}", "--startup-file=no", "-e", _PROBE]
    answer = ask(command, timeout_s=_ANSWER_S, environment=withheld())
    devices = tuple(answer.out.split("\n")[:-1]) if answer.problem is None else ()
    why = f"CUDA.jl {found.cuda} {answer.problem}" if answer.problem else "CUDA.jl sees none"
    return Readiness(version, devices, "" if devices else why, no_loading)
