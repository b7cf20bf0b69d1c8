"""'Did you mean' for every name a user can type."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(given: str, valid: Iterable[str]) -> str:
    """The tail of an error message: the nearest valid name, if one is near, and all of them."""
    names = list(valid)
    close = get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else ";"
    return f"{hint} valid: {', '.join(names)}"
