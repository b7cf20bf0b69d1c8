"""What ``search.budget`` says: slice time, or money."""

from __future__ import annotations

import re
from dataclasses import dataclass
from unicodedata import category

HOW = "write a time, as in 2h, 90m or 1800s, or money, as in 5 EUR or $5"
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0}
_NUMBER = r"\d+(?:\.\d+)?"
_TIMES = re.compile(rf"(?:{_NUMBER}\s*(?:d|h|min|m|s)\s*)+")
_MONEY = re.compile(rf"(?P<before>[^\d\s.]+)?\s*(?P<amount>{_NUMBER})\s*(?P<after>[^\d\s.]+)?")


@dataclass(frozen=True)
class Budget:
    """Of each framework's search: in slice-seconds, or in a currency; None is no limit."""

    seconds: float | None = None
    money: float | None = None
    currency: str = ""

    @property
    def given(self) -> bool:
        """Whether there is one."""
        return self.seconds is not None or self.money is not None

    def slice_s(self, slice_hour: float | None) -> float | None:
        """In slice-seconds; None where there is none.

        Parameters
        ----------
        slice_hour
            What an hour of a slice costs, above 0; needed where the budget is money.
        """
        if self.money is None:
            return self.seconds
        assert slice_hour
        return self.money / slice_hour * 3600

    def less_than(self, other: Budget) -> bool:
        """Whether it may be less than another: what cannot be compared may be."""
        if not self.given or not other.given:
            return self.given and not other.given
        if self.seconds is not None and other.seconds is not None:
            return self.seconds < other.seconds
        if self.money is not None and other.money is not None and self.currency == other.currency:
            return self.money < other.money
        return True


def budget_of(text: str) -> Budget:
    """What a text says; nothing for an empty one.

    Raises
    ------
    ValueError
        Where it is neither a time nor money, or nothing would be left of it.
    """
    said = text.strip()
    if not said:
        return Budget()
    if _TIMES.fullmatch(said):
        parts = re.findall(rf"({_NUMBER})\s*(d|h|min|m|s)", said)
        found = Budget(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
    elif (money := _MONEY.fullmatch(said)) and _is_currency(each := money["before"] or money["after"] or ""):
        if money["before"] and money["after"]:
            raise ValueError(f"it is {text!r}; {HOW}")
        found = Budget(money=float(money["amount"]), currency=each)
    else:
        raise ValueError(f"it is {text!r}; {HOW}")
    if not (found.seconds or found.money):
        raise ValueError(f"it is {text!r}, which is nothing; {HOW}, or leave it out")
    return found


def _is_currency(text: str) -> bool:
    """Whether it is a sign, or three capital letters: `hours` is no currency."""
    return bool(re.fullmatch(r"[A-Z]{3}", text)) or (len(text) == 1 and category(text) == "Sc")
