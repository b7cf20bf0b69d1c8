"""A configuration as one flat table: hyperparameters and the options of the models, each by its own name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces import HYPERPARAMETERS, Value

_SHORT = re.compile(r"[A-Za-z0-9_.+][A-Za-z0-9_.+-]{0,39}")


def point_of(row: Mapping[str, Any]) -> dict[str, Value]:
    """The configuration of a record, or of a spec's hyperparameters; what older versions did not write is left out."""
    options = row.get("options") or {}
    known = {name: row[name] for name in HYPERPARAMETERS if row.get(name) is not None}
    return {**known, **(json.loads(options) if isinstance(options, str) else options)}


def options_text(options: Mapping[str, Value]) -> str:
    """Options as they stand in the records."""
    return json.dumps(dict(options), sort_keys=True)


def said(value: Value, among: Sequence[Value]) -> str:
    """A value as a part of a name that belongs to no other of them."""
    short = {each: _short(each, place) for place, each in enumerate(among)}
    if list(short.values()).count(short[value]) > 1:
        return f"{list(among).index(value)}"
    return short[value]


def _short(value: Value, place: int) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value if _SHORT.fullmatch(value) else f"value{place}"
    return f"{value:g}"
