"""One training step on made-up data, in a process of its own: ``python -m trainables.rehearsal``.

What a machine must show before trials are sent to it. A framework that is installed may still lack a library, or fail
at its first step; and a process that has loaded one must end before another is loaded.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from math import isfinite
from typing import cast

import numpy as np
import numpy.typing as npt

from trainables.common.errors import UserError
from trainables.common.helpers import ask
from trainables.common.house import python
from trainables.common.process import hide_gpus, pin_threads
from trainables.contract import Loading, Look, Loss, Readiness, Samples, Setup, Split
from trainables.determinism import sample_order
from trainables.frameworks import framework
from trainables.schedules import rates
from trainables.spec import TrainingSpec
from trainables.workloads.workload import Made, at

_SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Piece:
    """What is rehearsed.

    Parameters
    ----------
    spec
        The training; its data are not touched.
    workload
        What it trains: a shipped one's name, or a folder.
    made
        What the data come to.
    loadings
        What loader workers will have to do, at most; each is tried.
    """

    spec: TrainingSpec
    workload: str
    made: Made
    loadings: tuple[Loading, ...] = ()

    def as_json(self) -> str:
        """For another process."""
        told = {**asdict(self), "spec": self.spec.as_dict(), "made": self.made.model_dump(mode="json")}
        return json.dumps(told)

    @classmethod
    def from_json(cls, text: str) -> Piece:
        """Inverse of `as_json`."""
        told = json.loads(text)
        spec, made = TrainingSpec.from_dict(told["spec"]), Made.model_validate(told["made"])
        return cls(spec, told["workload"], made, tuple(Loading(**each) for each in told["loadings"]))


@dataclass(frozen=True)
class Rehearsal:
    """How it went.

    Parameters
    ----------
    problem
        Why trainings of this kind cannot run here; None where they can.
    versions
        Of what computed the step.
    gpus
        Names of the GPUs that the framework sees, where the training is for one.
    """

    problem: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    gpus: tuple[str, ...] = ()


def rehearse(piece: Piece) -> Rehearsal:
    """Take one step of a training on this machine."""
    asked = framework(piece.spec.framework)
    if problem := asked.missing():
        return Rehearsal(problem)
    try:
        at(piece.workload)
    except UserError as error:
        return Rehearsal(f"it does not see the workload ({error})")
    answer = ask(python("trainables.rehearsal", piece.as_json()), timeout_s=asked.first_step_s)
    try:
        values = json.loads(answer.out.strip().rpartition("\n")[2])
        return Rehearsal(**{**values, "gpus": tuple(values["gpus"])})
    except (ValueError, TypeError, KeyError):
        return Rehearsal(f"a training step of {asked.title} {answer.problem or 'says nothing of use'}")


def _here(piece: Piece) -> Rehearsal:
    """What `rehearse` asks for, in this process."""
    spec, loadings = piece.spec, piece.loadings
    asked = framework(spec.framework)
    if spec.device == "cpu":
        hide_gpus()
    pin_threads(spec.threads)
    found = Readiness()
    if asked.check is not None:
        found = cast(Look, import_module(asked.check).look)(device=spec.device, loadings=loadings)
    versions = {name: number for name, number in asked.versions().items() if number}
    if found.version and asked.distribution and asked.runtime is None:
        versions[asked.distribution] = found.version  # tells the build for CUDA, too
    so_far = Rehearsal(versions=versions, gpus=found.devices)
    if problem := found.broken or next(filter(None, found.no_loading), None):
        return replace(so_far, problem=problem)
    if spec.device == "cuda" and not found.devices:
        return replace(so_far, problem=f"{asked.title} sees {found.gpus}")
    loss = _step(piece)
    return so_far if isfinite(loss) else replace(so_far, problem=f"a training step of {asked.title} gives {loss}")


def _step(piece: Piece) -> float:
    """The loss of one step; whatever the framework raises where it cannot take one."""
    spec, knobs, made = piece.spec, piece.spec.hyperparameters, piece.made
    workload, asked = at(piece.workload), framework(spec.framework)
    size = knobs.batch_size
    stream = np.random.RandomState(spec.seed)
    made_up = Samples(
        stream.uniform(size=(size, *made.shape)).astype(np.float32), _targets(stream, size, made.outputs, workload.loss)
    )
    setup = Setup(
        model=asked.model_file(workload),
        data=dict.fromkeys(_SPLITS, made_up),
        outputs=made.outputs,
        loss=workload.loss,
        hyperparameters=knobs,
        execution=spec.execution,
        seed=spec.seed,
        device=spec.device,
        threads=spec.threads,
    )
    run = asked.start()(setup)
    try:
        run.reset(None)
        run.begin_epoch(sample_order(seed=spec.seed, epoch=0, samples=size))
        return run.train(rates(knobs, first=0, count=1, samples=size, epochs=spec.epochs)).loss
    finally:
        run.close()


def _targets(
    stream: np.random.RandomState, size: int, outputs: int, loss: Loss
) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
    if loss == "cross_entropy":
        return stream.randint(outputs, size=size).astype(np.int64)
    return stream.normal(size=(size, outputs)).astype(np.float32)


def main() -> None:
    """Rehearse what the argument says, and print how it went."""
    print(json.dumps(asdict(_here(Piece.from_json(sys.argv[1])))))


if __name__ == "__main__":
    main()
