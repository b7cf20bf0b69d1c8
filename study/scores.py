"""What a training came to, in words: by accuracy where there is one, else by loss."""

from __future__ import annotations


def scored(accuracy: float | None, loss: float | None, *, digits: int = 1) -> str:
    """As ``95.1%``, or ``loss 0.213``; an accuracy with so many digits after the point."""
    if accuracy is not None:
        return f"{accuracy:.{digits}%}"
    return "loss not finite" if loss is None else f"loss {loss:.4g}"
