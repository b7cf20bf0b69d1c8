"""Which tensor of a Flux model is which of PyTorch's: by name where all names agree, else by position.

Flux names what its layers are named, which need not be what they are named in PyTorch; but both list their tensors in
the order of their layers. Shapes decide whether two may be the same, and what a layer calls them where they are alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest

from trainables.common.mismatch import LACKING, Shape, columns, said

_KINDS = ("weight", "bias", "running_mean", "running_var")  # what both call the tensors of their own layers


@dataclass(frozen=True)
class Tensor:
    """One tensor of a Flux model: its name there, PyTorch's shape, and whether it is trained."""

    name: str
    shape: Shape
    trained: bool


def listed(text: str) -> tuple[Tensor, ...]:
    """The tensors that FluxTrainer tells of: a line each, with name, shape and ``trained`` or ``kept``."""
    rows = (line.split("\t") for line in text.splitlines())
    return tuple(Tensor(name, tuple(map(int, shape.split(","))), kind == "trained") for name, shape, kind in rows)


def matched(theirs: Mapping[str, Shape], ours: Sequence[Tensor]) -> dict[str, Tensor]:
    """Flux's tensor for each of PyTorch's names, in PyTorch's order.

    Parameters
    ----------
    theirs
        PyTorch's: shapes by name.
    ours
        Flux's.

    Raises
    ------
    RuntimeError
        Where they are not the same: the first difference, then both lists side by side.
    """
    by_name = {each.name: each for each in ours}
    if len(by_name) == len(ours) and by_name.keys() == theirs.keys():
        ours = [by_name[name] for name in theirs]
    keys = [[_key(*each) for each in theirs.items()], [_key(each.name, each.shape) for each in ours]]
    if keys[0] == keys[1]:
        return dict(zip(theirs, ours, strict=True))
    raise RuntimeError(_told(list(theirs.items()), [(each.name, each.shape) for each in ours], keys))


def _key(name: str, shape: Shape) -> tuple[str, Shape]:
    kind = name.rpartition(".")[2]
    return kind if kind in _KINDS else "", shape


def _told(theirs: list[tuple[str, Shape]], ours: list[tuple[str, Shape]], keys: list[list[tuple[str, Shape]]]) -> str:
    rows: list[tuple[str, str]] = []
    first: int | None = None
    for tag, begin, end, our_begin, our_end in SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes():
        if tag != "equal" and first is None:
            first = len(rows)
        rows += [(said(left), said(right)) for left, right in zip_longest(theirs[begin:end], ours[our_begin:our_end])]
    assert first is not None
    return f"{_difference(*rows[first])}:\n{columns(rows, titles=('PyTorch', 'Flux'), first=first)}"


def _difference(left: str, right: str) -> str:
    if right == LACKING:
        return f"PyTorch's model has {left}, which Flux's lacks"
    if left == LACKING:
        return f"Flux's model has {right}, which PyTorch's lacks"
    return f"PyTorch's model has {left} where Flux's has {right}"
