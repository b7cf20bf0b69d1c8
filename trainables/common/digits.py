"""Numbers as people write them."""

from __future__ import annotations


def plain(number: float) -> str:
    """A number in plain digits: 4294967296, where ``:g`` says 4.29497e+09, and -1, where a float says -1.0."""
    if isinstance(number, float) and number.is_integer() and abs(number) < 2**63:
        return str(int(number))
    return str(number)
