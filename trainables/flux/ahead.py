"""A workload's model compiled before its first trial, which would otherwise spend its first seconds on that.

FluxTrainer writes a package that holds the model's files, and compiles with it all that a training does. A trial whose
model has the very same content loads it; for any other it compiles for itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from trainables.common.errors import UserError
from trainables.common.helpers import follow
from trainables.contract import Loss, Option
from trainables.flux.environment import withheld
from trainables.flux.runtime import find_runtime

_COMPILE = """
using FluxTrainer
try
    print(FluxTrainer.compile_model(ARGS[1]; {asked}))
catch error
    println("ERROR: ", replace(sprint(showerror, error), '\\n' => ' '))
    exit(1)
end
"""


def compile_model(
    model: Path,
    *,
    shape: tuple[int, ...],
    outputs: int,
    loss: Loss,
    options: Mapping[str, Option],
    limit_s: float,
    say: Callable[[str], None],
    hear: Callable[[str], None],
) -> None:
    """Compile a model's file for trials that are yet to come.

    Parameters
    ----------
    shape, outputs
        Of one sample's features; how many numbers the model has to give a sample.
    options
        With which it is built; others may give it other types, and then a trial compiles what differs.
    limit_s
        Seconds after which to give up.
    say
        Told what is about to happen.
    hear
        Told every line that Julia says meanwhile.

    Raises
    ------
    UserError
        When the file cannot be used, or the time is over: one line.
    """
    runtime = find_runtime()
    say(f"compiling {model}; this takes a minute or more")
    command = [
        runtime.executable,
        f"--project={runtime.project}",
        "--startup-file=no",
        "-e",
        _COMPILE.replace("{asked}", _keywords(shape, outputs, loss, options)),
        str(model),
    ]
    answer = follow(command, timeout_s=limit_s, hear=lambda line: hear(line) if line else None, environment=withheld())
    if answer.problem is None:
        return
    said = [line.removeprefix("ERROR: ") for line in answer.out.splitlines() if line.startswith("ERROR: ")]
    if said and said[-1].startswith(str(model.parent)):
        raise UserError(said[-1])
    raise UserError(f"{model} was not compiled: Julia {answer.problem}")


def _keywords(shape: tuple[int, ...], outputs: int, loss: Loss, options: Mapping[str, Option]) -> str:
    """As Julia writes them; sizes in its order."""
    sizes = "".join(f"{size}, " for size in reversed(shape))
    taken = "".join(f"{name}={literal(value)}, " for name, value in options.items())
    return f"shape=({sizes}), outputs={outputs}, loss={literal(loss)}, options=(; {taken})"


def literal(value: Option) -> str:
    """A value as Julia writes it."""
    return json.dumps(value).replace("$", "\\$")
