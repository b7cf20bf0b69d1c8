"""'Did you mean' for every name a user can type."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

# What others call the same, where no letters tell: a `gpu` is nearer to `cpu` than to `cuda`.
_ELSEWHERE = {
    "gpu": "cuda",
    "julia": "flux",
    "bfloat16": "bf16",
    "fp32": "float32",
    "nhwc": "channels_last",
    "nchw": "contiguous",
}


def nearest(given: str, valid: Iterable[str], *, cutoff: float = 0.5) -> str:
    """The tail of an error message: the nearest valid name, if one is near, and all of them.

    Parameters
    ----------
    cutoff
        How like it that must be, from 0 to 1.
    """
    names = list(valid)
    meant = _ELSEWHERE.get(given.lower())
    close = [meant] if meant in names else get_close_matches(given, names, n=1, cutoff=cutoff)
    hint = f"; did you mean '{close[0]}'?" if close else ";"
    return f"{hint} valid: {', '.join(names)}"
