"""What is impossible, known before anything runs: batches that data or model refuse, targets nobody looks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trainables.common.digits import plain
from trainables.common.errors import UserError
from trainables.contract import Execution
from trainables.frameworks import framework
from trainables.workloads.architectures import MODELS
from trainables.workloads.datasets import dataset
from trainables.workloads.shipped import Workload

NO_LOADER = "no loader runs where the training split lies on the device"


def refuse_impossible(
    workload: Workload,
    *,
    batch_sizes: Mapping[str, int | Iterable[int]],
    target: float,
    epochs: int,
    evaluate_every_samples: int,
    holds: int = 1,
    target_key: str = "training.target",
) -> None:
    """Refuse what no framework could do; whatever might work in any of them passes.

    Parameters
    ----------
    batch_sizes
        By the key under which they were asked for; several, where any of them may be drawn.
    holds
        Evaluations in a row that must meet the target.
    target_key
        Under which the target was asked for.

    Raises
    ------
    UserError
        Naming the key, its value and what is impossible about it.
    """
    for key, sizes in batch_sizes.items():
        verb, each_of = ("is", [sizes]) if isinstance(sizes, int) else ("has", sizes)
        for size in each_of:
            if problem := _batch_problem(workload, size):
                raise UserError(f"{key} {verb} {size}, {problem}")
    if not 0 < target <= 1:
        raise UserError(f"{target_key} is {plain(target)}; it must be a fraction above 0 and at most 1")
    samples = epochs * dataset(workload.dataset).training_samples
    if evaluate_every_samples > samples:
        raise UserError(
            f"training.evaluate_every_samples is {evaluate_every_samples}, but training.epochs = {epochs} are "
            f"{samples} samples: the target would be looked for once, when all is over; evaluate more often"
        )
    evaluations = samples // evaluate_every_samples
    if holds > evaluations:
        raise UserError(
            f"training.holds is {holds}, but training.epochs = {epochs} have room for {evaluations} "
            "evaluations: no run could meet the target so many times in a row"
        )


def not_offered(name: str, wanted: Execution, *, key: str, todo: str) -> str | None:
    """What a framework is asked for and does not offer, with what to do; None where it offers all.

    Parameters
    ----------
    key, todo
        How a wish is written, ``{}`` standing for its name; what to do, by name, default and framework.
    """
    if wanted == Execution():
        return None
    asked = framework(name)
    for wish, value, default in asked.lacking(wanted):
        said, usual = (str(each).lower() if isinstance(each, bool) else each for each in (value, default))
        todo = todo.format(wish, usual, asked.title)
        return f"{key.format(wish)} is {said}, which {asked.title} does not offer; {todo}"
    return None


def _batch_problem(workload: Workload, size: int) -> str | None:
    samples = dataset(workload.dataset).training_samples
    if size > samples:
        return f"more than the {samples} training samples of {workload.name}"
    if not _has_batch_norm(workload.model):
        return None
    needs = f"the BatchNorm of {workload.model} needs 2 samples or more"
    if size == 1:
        return f"but {needs} in every batch"
    if samples % size == 1:
        return f"which leaves a last batch of 1 of {samples} training samples, but {needs}"
    return None


def _has_batch_norm(model: str) -> bool:
    return any(not tensor.trained for tensor in MODELS[model]())
