"""What a value must be, in words of ours: pydantic speaks of inputs that cannot be parsed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trainables.common.digits import plain
from trainables.common.suggest import nearest

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "a text",
    "tuple": "a list",
    "list": "a list",
    "dict": "a table",
    "model": "a table",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "{} or more"),
    "greater_than": ("gt", "more than {}"),
    "less_than_equal": ("le", "{} or less"),
    "less_than": ("lt", "less than {}"),
}


def wrong(what: str, problem: Mapping[str, Any]) -> str:
    """What is wrong with a value.

    Parameters
    ----------
    what
        The key or the option that it was given for.
    problem
        One of pydantic's ``ValidationError.errors()``.
    """
    kind, given, context = str(problem["type"]), problem["input"], problem.get("ctx", {})
    shown = plain(given) if isinstance(given, float) else repr(given)
    if kind == "literal_error":
        valid = re.findall(r"'([^']*)'", str(context["expected"]))
        return f"{what} is {shown}{nearest(str(given), valid)}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        fraction = as_fraction(given) if context.get("le") == 1 else ""
        return f"{what} is {shown}; it must be {words.format(plain(float(context[name])))}{fraction}"
    if named := _KINDS.get(kind.partition("_")[0]):
        return f"{what} is {shown}; it takes {named}"
    message = str(problem["msg"])
    return f"{what} is {shown}: {message[0].lower()}{message[1:]}"


def as_fraction(given: object) -> str:
    """What a percentage is, where a fraction belongs; the tail of a message, empty where it is none."""
    if not isinstance(given, int | float) or not 1 < given <= 100:
        return ""
    return f": {plain(given / 100)} is {plain(float(given))} %"
