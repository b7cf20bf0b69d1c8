"""The process in which one framework takes its steps for ``tuneoff verify``.

``python -m trainables.verify.trace FOLDER FRAMEWORK PIPE``. The folder holds request.json (`Request`). Through the pipe
(a file descriptor: Julia makes standard input unreadable for Python) come numbers of steps. For each the process sets
its parameters to what state-N.npz holds, where that is there, does what is asked, writes step-N.FRAMEWORK.npz and sends
the number back: step 0 is its parameters as it holds them; step N takes a step on batch-N.npz; step -N gives what goes
into every layer on that batch.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.common.errors import UserError
from trainables.contract import Hyperparameters, Samples, Trace, TracePrecision, TraceSetup
from trainables.frameworks import framework
from trainables.schedules import rates
from trainables.workloads.workload import read

LOSS, OUTPUTS, GRADIENT, PARAMETER, INPUT = "loss", "outputs", "gradient", "parameter", "input"

Arrays = dict[str, npt.NDArray[Any]]  # keys "quantity/tensor"


@dataclass(frozen=True)
class Request:
    """What a process is asked to do."""

    workload: str  # the folder
    sample_shape: tuple[int, ...]
    outputs: int
    hyperparameters: Hyperparameters
    seed: int
    precision: TracePrecision
    threads: int
    steps: int

    def to_json(self) -> str:
        """For the file."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Request:
        """Inverse of `to_json`."""
        values = json.loads(text)
        knobs = Hyperparameters(**values.pop("hyperparameters"))
        return cls(**{**values, "sample_shape": tuple(values["sample_shape"]), "hyperparameters": knobs})

    def rate(self, step: int) -> float:
        """The learning rate of a step; steps count from 1."""
        samples = self.hyperparameters.batch_size * self.steps  # one epoch of so many steps
        return float(rates(self.hyperparameters, first=step - 1, count=1, samples=samples, epochs=1)[0])


def main() -> None:
    """Serve steps until the pipe is closed; what a model's file or a framework says of a fault goes into a file."""
    try:
        _serve()
    except (UserError, RuntimeError) as error:
        fault_file(Path(sys.argv[1]), sys.argv[2]).write_text(str(error), encoding="utf-8")
        sys.exit(1)


def _serve() -> None:
    folder = Path(sys.argv[1])
    request = Request.from_json((folder / "request.json").read_text(encoding="utf-8"))
    name, pipe = sys.argv[2], Connection(int(sys.argv[3]))
    trace = _start(name, request)
    while True:
        try:
            step = pipe.recv()
        except EOFError:
            return
        if (state := state_file(folder, abs(step))).exists():
            with np.load(state) as parameters:
                trace.load_parameters(dict(parameters))
        _write(step_file(folder, name, step), _answer(trace, request, folder, step))
        pipe.send(step)


def step_file(folder: Path, name: str, step: int) -> Path:
    """Where a framework's answer for a step lies."""
    return folder / f"step-{step}.{name}.npz"


def fault_file(folder: Path, name: str) -> Path:
    """What a framework could not do, in lines for people."""
    return folder / f"fault.{name}.txt"


def state_file(folder: Path, step: int) -> Path:
    """Parameters from which a step is to start."""
    return folder / f"state-{step}.npz"


def batch_file(folder: Path, step: int) -> Path:
    """Features and targets of a step."""
    return folder / f"batch-{step}.npz"


def _start(name: str, request: Request) -> Trace:
    workload, used = read(Path(request.workload)), framework(name)
    setup = TraceSetup(
        model=used.model_file(workload),
        sample_shape=request.sample_shape,
        outputs=request.outputs,
        loss=workload.loss,
        hyperparameters=request.hyperparameters,
        seed=request.seed,
        precision=request.precision,
        threads=request.threads,
    )
    return used.start_trace()(setup)


def _answer(trace: Trace, request: Request, folder: Path, step: int) -> Arrays:
    if step == 0:
        return _labelled(PARAMETER, trace.parameters())
    with np.load(batch_file(folder, abs(step))) as batch:
        samples = Samples(batch["features"], batch["targets"])
    if step < 0:
        return _labelled(INPUT, trace.inputs(samples))
    traced = trace.step(samples, request.rate(step))
    return {
        f"{LOSS}/": np.array([traced.loss]),
        f"{OUTPUTS}/": traced.outputs,
        **_labelled(GRADIENT, traced.gradients),
        **_labelled(PARAMETER, traced.parameters),
    }


def _labelled(quantity: str, arrays: Arrays) -> Arrays:
    return {f"{quantity}/{tensor}": array for tensor, array in arrays.items()}


def _write(path: Path, arrays: Arrays) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
