"""One training step on made-up data, in a process of its own: ``python -m trainables.rehearsal``.

What a machine must show before trials are sent to it. A framework that is installed may still lack a library, or fail
at its first step; and a process that has loaded one must end before another is loaded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from math import isfinite
from typing import cast

import numpy as np

from trainables.common.helpers import ask
from trainables.common.house import python
from trainables.common.process import hide_gpus, pin_threads
from trainables.contract import LabelledImages, Loading, Look, Readiness, Split
from trainables.determinism import initial_parameters, sample_order
from trainables.examination import LIMIT_S
from trainables.frameworks import framework
from trainables.spec import TrainingSpec
from trainables.workloads.architectures import MODELS
from trainables.workloads.shipped import workload

_SPLITS: tuple[Split, ...] = ("train", "validation", "test")


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


def rehearse(spec: TrainingSpec, loadings: Sequence[Loading]) -> Rehearsal:
    """Take one step of a training on this machine.

    Parameters
    ----------
    spec
        The training; its data set is not touched.
    loadings
        What loader workers will have to do, at most; each is tried.
    """
    asked = framework(spec.framework)
    if problem := asked.missing():
        return Rehearsal(problem)
    request = json.dumps({"spec": spec.as_dict(), "loadings": [asdict(each) for each in loadings]})
    answer = ask(python("trainables.rehearsal", request), timeout_s=LIMIT_S)
    try:
        values = json.loads(answer.out.strip().rpartition("\n")[2])
        return Rehearsal(**{**values, "gpus": tuple(values["gpus"])})
    except (ValueError, TypeError, KeyError):
        return Rehearsal(f"a training step of {asked.title} {answer.problem or 'says nothing of use'}")


def _here(spec: TrainingSpec, loadings: Sequence[Loading]) -> Rehearsal:
    """What `rehearse` asks for, in this process."""
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
    loss = _step(spec)
    return so_far if isfinite(loss) else replace(so_far, problem=f"a training step of {asked.title} gives {loss}")


def _step(spec: TrainingSpec) -> float:
    """The loss of one step; whatever the framework raises where it cannot take one."""
    size = spec.hyperparameters.batch_size
    stream = np.random.RandomState(spec.seed)
    made_up = LabelledImages(
        stream.uniform(size=(size, 1, 28, 28)).astype(np.float32), stream.randint(10, size=size).astype(np.int64)
    )
    model = workload(spec.workload).model
    run = framework(spec.framework).start()(
        model=model,
        data=dict.fromkeys(_SPLITS, made_up),
        parameters=initial_parameters(MODELS[model](), seed=spec.seed),
        device=spec.device,
        threads=spec.threads,
        **asdict(spec.hyperparameters),
        **asdict(spec.execution),
    )
    try:
        run.begin_epoch(sample_order(seed=spec.seed, epoch=0, samples=size))
        return run.train(1).loss
    finally:
        run.close()


def main() -> None:
    """Rehearse what the argument says, and print how it went."""
    asked = json.loads(sys.argv[1])
    spec = TrainingSpec.from_dict(asked["spec"])
    print(json.dumps(asdict(_here(spec, [Loading(**each) for each in asked["loadings"]]))))


if __name__ == "__main__":
    main()
