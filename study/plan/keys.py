"""A complete plan as TOML, every key with what it means: what a person reads, and launches again."""

from __future__ import annotations

import re
import tomllib
from typing import Any, get_args

import tomli_w
from pydantic import BaseModel

from study.plan.files import as_toml
from study.plan.plan import Plan

_SPACE = "# Searched: { low, high, log }, { choices } or a value; also per framework."
_OPTIONS = "# Of the workload's models, where they are not searched."
_LINE = re.compile(r"(\w+) = (.*)")
_SECTION = re.compile(r"\[([\w.]+)\]")


def meanings() -> dict[str, str]:
    """What each key of a plan means, by its dotted name; but for ``space``, where frameworks are names, too."""
    found: dict[str, str] = {}
    for name, each in Plan.model_fields.items():
        kinds = (each.annotation, *get_args(each.annotation))
        section = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if section is not None:
            found |= {f"{name}.{key}": value.description or "" for key, value in section.model_fields.items()}
        elif name != "space":
            found[name] = each.description or ""
    return found


def explained(plan: Plan) -> str:
    """The plan as TOML, with comments; what all frameworks search is under ``space.all``."""
    known, section, spaces = meanings(), "", False
    lines = []
    for line in tomli_w.dumps(_shared(tomllib.loads(as_toml(plan)))).splitlines():
        if found := _SECTION.fullmatch(line):
            section = f"{found[1]}."
            if section == "options.":
                lines.append(_OPTIONS)
            if section.startswith("space.") and not spaces:
                lines.append(_SPACE)
                spaces = True
        elif (found := _LINE.fullmatch(line)) and (meaning := known.get(f"{section}{found[1]}")):
            line = f"{line}  # {meaning}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def _shared(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a plan; a search space that all frameworks have is written once."""
    first, *others = values["space"].values()
    return values if any(each != first for each in others) else {**values, "space": {"all": first}}
