"""Plans as files: read from TOML, completed from the workload's defaults, frozen into a study's folder.

A frozen plan is complete: every value that can change a result is written in it, so that a study means the same
after an upgrade that changes a default.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from search_spaces import Choices, Searched
from study.plan.completing import complete
from study.plan.plan import Plan, parse
from study.plan.shelf import shipped_plans, text
from trainables.common.errors import UserError
from trainables.common.files import write_text
from trainables.common.places import local_path
from trainables.common.suggest import nearest
from trainables.workloads.workload import FILE, shipped

# Of the benchmark that sweeps reproduce (the-praxs/dl-benchmark), which trains so long whatever the accuracy.
SWEEP_TRAINING = {"epochs": 10, "weight_decay": 5e-4, "limit_s": 1e6}
OF_EVERY_STUDY = ("search.max_failures",)  # of the search's keys those that a sweep heeds, too
COPIES = "workload"  # a folder beside a study's frozen plan: its own copy of its workload, under that's name


def sweep_plan(
    workload_name: str, sweep: dict[str, Any], *, settings: list[str] | None = None, frameworks: list[str] | None = None
) -> Plan:
    """A plan that sweeps instead of searching.

    Parameters
    ----------
    sweep
        The fields of `SweepPlan`.
    settings, frameworks
        As for `load_plan`.

    Raises
    ------
    UserError
        As `load_plan` does.
    """
    if workload_name not in shipped() and workload_name in shipped_plans():
        meant = _shipped(workload_name)[0]["workload"]
        raise UserError(f"'{workload_name}' is a plan, not a workload; its workload is {meant}")
    values: dict[str, Any] = {"workload": workload_name, "sweep": sweep, "training": dict(SWEEP_TRAINING)}
    for setting in settings or []:
        _refuse_of_a_search(setting)
    return complete(_changed(values, settings, frameworks), "the sweep")


def _refuse_of_a_search(setting: str) -> None:
    """Refuse a key that a sweep would take and heed in nothing."""
    key = setting.partition("=")[0].strip()
    section = key.partition(".")[0]
    if section in ("search", "race", "confirm", "space") and key not in OF_EVERY_STUDY:
        raise UserError(
            f"--set {setting}: a sweep has no {section}; --over says what varies, --repeats how often, "
            "and --set changes keys of slice and training"
        )


def load_plan(source: str, *, settings: list[str] | None = None, frameworks: list[str] | None = None) -> Plan:
    """Read a plan and complete it.

    Parameters
    ----------
    source
        A shipped plan's name, the path of a TOML file, a workload's folder, which is a plan that says nothing else, or
        a shipped workload's name, which means its shipped plan.
    settings
        ``key=value`` overrides with dotted keys, values in TOML.
    frameworks
        Overrides the plan's; ``["available"]`` for all that can run here.

    Raises
    ------
    UserError
        Unknown plan, key, workload or framework (the nearest valid one is named), or a value out of range.
    """
    values, where = _said_by(source)
    return complete(_changed(values, settings, frameworks), where)


def _changed(values: dict[str, Any], settings: list[str] | None, frameworks: list[str] | None) -> dict[str, Any]:
    for setting in settings or []:
        apply(values, setting)
    if frameworks:
        values["frameworks"] = frameworks
    return values


def _said_by(source: str) -> tuple[dict[str, Any], str]:
    """The values of a plan, and where they come from."""
    path = local_path(source, "PLAN")
    if source in shipped_plans():
        return _shipped(source)
    if source in shipped():
        plan = next((name for name in shipped_plans() if _shipped(name)[0]["workload"] == source), None)
        return _shipped(plan) if plan else ({"workload": source}, "")
    if os.path.isfile(path / FILE):  # noqa: PTH113 - Path's raises where a name is too long or a folder closed
        return {"workload": str(path)}, ""
    if os.path.isdir(path):  # noqa: PTH112
        raise UserError(f"{source} is a folder, and no workload: it has no {FILE}; `tuneoff new NAME` writes one")
    if os.path.exists(path):  # noqa: PTH110
        values = _parse(_read(path), str(path))
        if isinstance(values.get("workload"), str):
            values["workload"] = _beside(path, values["workload"])
        return values, str(path)
    if len(path.parts) > 1 and not os.path.exists(path.parent):  # noqa: PTH110
        raise UserError(f"unknown plan '{source}', and no such file: there is no folder {path.parent}")
    known = [*shipped_plans(), *(name for name in shipped() if name not in shipped_plans())]
    raise UserError(f"unknown plan '{source}', and no such file or folder{nearest(source, known)}")


def _shipped(name: str) -> tuple[dict[str, Any], str]:
    """The values of a shipped plan, and how messages call it."""
    where = f"plan {name}"
    return _parse(text(name), where), where


def _beside(plan: Path, workload: str) -> str:
    """What a plan's file means by a workload: a folder beside it, where there is one; of a study, its own copy."""
    if workload in shipped():
        return workload
    for folder in (plan.parent / workload, plan.parent / COPIES / workload):
        if (folder / FILE).is_file():
            return str(folder)
    return workload


def freeze(plan: Plan, path: Path) -> None:
    """Write a complete plan."""
    write_text(path, as_toml(plan))


def as_toml(plan: Plan) -> str:
    """A complete plan as TOML."""
    values = plan.model_dump(mode="python", exclude_none=True)
    for key in ("warm_start", "warm_start_from"):
        if not values["search"][key]:
            del values["search"][key]
    values["space"] = {name: {key: _as_toml(each) for key, each in part.items()} for name, part in plan.space.items()}
    return tomli_w.dumps(values)


def thaw(path: Path) -> Plan:
    """Read what `freeze` wrote.

    Raises
    ------
    UserError
        When the file is missing or was damaged.
    """
    if not path.is_file():
        raise UserError(f"{path.parent} is not a study's folder: it has no {path.name}")
    return parse(_parse(_read(path), str(path)), str(path))


def apply(values: dict[str, Any], setting: str) -> None:
    """Change a plan's values by ``key=value``, the key dotted, the value in TOML.

    Raises
    ------
    UserError
        When it is not that.
    """
    key, separator, text = setting.partition("=")
    if not separator or not key.strip():
        raise UserError(f"--set {setting}: write key=value, as in --set search.trials=20")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word needs no quotes
    *sections, last = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise UserError(f"--set {setting}: {section} is not a section")
    values[last] = value


def _as_toml(values: Searched) -> dict[str, Any]:
    if isinstance(values, Choices):
        return {"choices": list(values.choices)}
    return {"low": values.low, "high": values.high, "log": values.log}


def _read(path: Path) -> str:
    """A plan's text, whatever its editor did about line ends and a byte order mark."""
    try:
        raw = path.read_bytes()
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw:
            raise UserError(f"cannot read {path}: it is UTF-16 or no text; save it as UTF-8")
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(f"cannot read {path}: line {line} is not UTF-8; save it as that") from None


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where} is not TOML: {error}") from None
