"""A configuration as one flat table: hyperparameters and the options of the models, each by its own name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from search_spaces import HYPERPARAMETERS, Value


def point_of(row: Mapping[str, Any]) -> dict[str, Value]:
    """The configuration of a record, or of a spec's hyperparameters; what older versions did not write is left out."""
    options = row.get("options") or {}
    known = {name: row[name] for name in HYPERPARAMETERS if row.get(name) is not None}
    return {**known, **(json.loads(options) if isinstance(options, str) else options)}


def options_text(options: Mapping[str, Value]) -> str:
    """Options as they stand in the records."""
    return json.dumps(dict(options), sort_keys=True)
