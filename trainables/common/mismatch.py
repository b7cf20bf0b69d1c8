"""Two lists of tensors that ought to be one, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

Shape = tuple[int, ...]
LACKING = "-"  # stands for what one side has not
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
    return columns([(said(left), said(right)) for left, right in pairs], titles=titles, first=first)


def columns(rows: Sequence[tuple[str, str]], *, titles: tuple[str, str], first: int | None) -> str:
    """Rows in two columns under their titles, the one at the place ``first`` marked."""
    width = max(len(left) for left, _ in (titles, *rows))
    marks = ["", *(_MARK if place == first else "" for place in range(len(rows)))]
    return "\n".join(
        f"{mark:3}{left:{width}}   {right}" for mark, (left, right) in zip(marks, (titles, *rows), strict=True)
    )


def said(tensor: tuple[str, Shape] | None) -> str:
    """A tensor's name and shape; a dash for none."""
    return LACKING if tensor is None else f"{tensor[0]} {'x'.join(map(str, tensor[1])) or 'scalar'}"


def _alike(left: tuple[str, Shape] | None, right: tuple[str, Shape] | None) -> bool:
    return left is not None and right is not None and left[1] == right[1]
