"""Two lists of tensors that ought to be one, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest

Shape = tuple[int, ...]
_MARK = "->"


def side_by_side(ours: Mapping[str, Shape], theirs: Mapping[str, Shape], *, titles: tuple[str, str]) -> str:
    """Both lists in columns, the first place marked at which the shapes differ.

    Parameters
    ----------
    ours, theirs
        Shapes by name, in their order.
    titles
        Of the columns.
    """
    pairs = list(zip_longest(ours.items(), theirs.items()))
    first = next((place for place, pair in enumerate(pairs) if not _alike(*pair)), None)
    rows = [titles, *((_said(left), _said(right)) for left, right in pairs)]
    width = max(len(left) for left, _ in rows)
    marks = [_MARK if place - 1 == first else "" for place in range(len(rows))]
    return "\n".join(f"{mark:3}{left:{width}}   {right}" for mark, (left, right) in zip(marks, rows, strict=True))


def _alike(left: tuple[str, Shape] | None, right: tuple[str, Shape] | None) -> bool:
    return left is not None and right is not None and left[1] == right[1]


def _said(tensor: tuple[str, Shape] | None) -> str:
    return "-" if tensor is None else f"{tensor[0]} {'x'.join(map(str, tensor[1])) or 'scalar'}"
