"""The process in which one framework takes its steps for ``tuneoff verify``.

``python -m trainables.verify.trace FOLDER FRAMEWORK PIPE``. The folder holds request.json (the keywords of
`contract.StartTrace`, but for the parameters) and parameters.npz. For every step number that comes through the pipe (a
file descriptor: Julia makes standard input unreadable for Python) the process takes a step on batch-N.npz, writes
step-N.FRAMEWORK.npz and sends the number back; where there is a state-N.npz it sets its parameters to that before.
First of all it answers so for N = 0: the parameters as it holds them.
"""

from __future__ import annotations

import json
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.frameworks import framework

LOSS, LOGITS, GRADIENT, PARAMETER = "loss", "logits", "gradient", "parameter"

Arrays = dict[str, npt.NDArray[Any]]  # keys "quantity/tensor"


def main() -> None:
    """Serve steps until the pipe is closed."""
    folder = Path(sys.argv[1])
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    name, pipe = sys.argv[2], Connection(int(sys.argv[3]))
    with np.load(folder / "parameters.npz") as parameters:
        trace = framework(name).start_trace()(parameters=dict(parameters), **request)
    _write(step_file(folder, name, 0), _labelled(PARAMETER, trace.parameters()))
    step = 0
    while True:
        pipe.send(step)
        try:
            step = pipe.recv()
        except EOFError:
            return
        if (state := state_file(folder, step)).exists():
            with np.load(state) as parameters:
                trace.load_parameters(dict(parameters))
        with np.load(folder / f"batch-{step}.npz") as batch:
            traced = trace.step(batch["images"], batch["labels"])
        _write(
            step_file(folder, name, step),
            {
                f"{LOSS}/": np.array([traced.loss]),
                f"{LOGITS}/": traced.logits,
                **_labelled(GRADIENT, traced.gradients),
                **_labelled(PARAMETER, traced.parameters),
            },
        )


def step_file(folder: Path, name: str, step: int) -> Path:
    """Where a framework's answer for a step lies."""
    return folder / f"step-{step}.{name}.npz"


def state_file(folder: Path, step: int) -> Path:
    """Parameters from which a step is to start."""
    return folder / f"state-{step}.npz"


def _labelled(quantity: str, arrays: Arrays) -> Arrays:
    return {f"{quantity}/{tensor}": array for tensor, array in arrays.items()}


def _write(path: Path, arrays: Arrays) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
