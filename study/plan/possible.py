"""What is impossible, known before anything runs: batches that data or model refuse, targets nobody looks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from trainables.common.errors import UserError
from trainables.contract import Execution
from trainables.frameworks import framework

NO_LOADER = "no loader runs where the training split lies on the device"

BatchSizes = Mapping[str, int | Iterable[int]]  # by the key that says so; several, where any of them may be drawn


def refuse_seldom(samples: int, *, epochs: int, evaluate_every_samples: int, holds: int = 1) -> None:
    """Refuse a cadence at which nobody would look for the target.

    Parameters
    ----------
    samples
        Of the training split.
    holds
        Evaluations in a row that must meet the target.

    Raises
    ------
    UserError
        Naming the keys.
    """
    seen = epochs * samples
    if evaluate_every_samples > seen:
        raise UserError(
            f"training.evaluate_every_samples is {evaluate_every_samples}, but training.epochs = {epochs} are "
            f"{seen} samples: the target would be looked for once, when all is over; evaluate more often"
        )
    evaluations = seen // evaluate_every_samples
    if holds > evaluations:
        raise UserError(
            f"training.holds is {holds}, but training.epochs = {epochs} have room for {evaluations} "
            "evaluations: no run could meet the target so many times in a row"
        )


def refuse_large(batch_sizes: BatchSizes, samples: int, *, workload: str) -> None:
    """Refuse batches larger than the training split; `UserError` naming the key."""
    for key, verb, size in _each(batch_sizes):
        if size > samples:
            raise UserError(f"{key} {verb} {size}, more than the {samples} training samples of {workload}")


def refuse_lonely(batch_sizes: BatchSizes, samples: int, *, why: str) -> None:
    """Refuse batches of one sample, the last one of an epoch too, where a model cannot learn from them.

    Parameters
    ----------
    why
        It cannot, for the message: ``the BatchNorm of ...``.

    Raises
    ------
    UserError
        Naming the key.
    """
    for key, verb, size in _each(batch_sizes):
        if size == 1:
            raise UserError(f"{key} {verb} 1, but {why} needs 2 samples or more in every batch")
        if samples % size == 1:
            raise UserError(
                f"{key} {verb} {size}, which leaves a last batch of 1 of {samples} training samples, "
                f"but {why} needs 2 samples or more"
            )


def _each(batch_sizes: BatchSizes) -> Iterator[tuple[str, str, int]]:
    for key, sizes in batch_sizes.items():
        verb, each_of = ("is", [sizes]) if isinstance(sizes, int) else ("has", sizes)
        for size in each_of:
            yield key, verb, size


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
