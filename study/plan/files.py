"""Plans as files: read from TOML, completed from the workload's defaults, frozen into a study's folder.

A frozen plan is complete: every value that can change a result is written in it, so that a study means the same
after an upgrade that changes a default.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tomli_w

from search_spaces import Choices, Searched, space
from study.plan.plan import Plan, parse
from study.plan.possible import refuse_impossible
from study.plan.shelf import shipped_plans, text
from trainables.common.errors import UserError
from trainables.common.files import write_text
from trainables.common.places import local_path
from trainables.common.suggest import nearest
from trainables.frameworks import FRAMEWORKS, available, framework
from trainables.workloads.shipped import HOLDS, workload

# Of the benchmark that sweeps reproduce (the-praxs/dl-benchmark), which trains so long whatever the accuracy.
SWEEP_TRAINING = {"epochs": 10, "weight_decay": 5e-4, "limit_s": 1e6}
AVAILABLE = "available"  # as frameworks: every real framework that can run here


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
    values: dict[str, Any] = {"workload": workload_name, "sweep": sweep, "training": dict(SWEEP_TRAINING)}
    for setting in settings or []:
        apply(values, setting)
    if frameworks:
        values["frameworks"] = frameworks
    return complete(values, "the sweep")


def load_plan(source: str, *, settings: list[str] | None = None, frameworks: list[str] | None = None) -> Plan:
    """Read a plan and complete it.

    Parameters
    ----------
    source
        A shipped plan's name or the path of a TOML file.
    settings
        ``key=value`` overrides with dotted keys, values in TOML.
    frameworks
        Overrides the plan's; ``["available"]`` for all that can run here.

    Raises
    ------
    UserError
        Unknown plan, key, workload or framework (the nearest valid one is named), or a value out of range.
    """
    path = local_path(source, "PLAN")
    if source in shipped_plans():
        written, where = text(source), f"plan {source}"
    elif os.path.exists(path):  # noqa: PTH110 - Path's raises where a name is too long or a folder closed
        written, where = _read(path), str(path)
    elif len(path.parts) > 1 and not os.path.exists(path.parent):  # noqa: PTH110
        raise UserError(f"unknown plan '{source}', and no such file: there is no folder {path.parent}")
    else:
        raise UserError(f"unknown plan '{source}', and no such file{nearest(source, shipped_plans())}")
    values = _parse(written, where)
    for setting in settings or []:
        apply(values, setting)
    if frameworks:
        values["frameworks"] = frameworks
    return complete(values, where)


def freeze(plan: Plan, path: Path) -> None:
    """Write a complete plan."""
    write_text(path, as_toml(plan))


def as_toml(plan: Plan) -> str:
    """A complete plan as TOML."""
    values = plan.model_dump(mode="python", exclude_none=True)
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


def complete(values: dict[str, Any], where: str) -> Plan:
    """A plan from its values, those that were not given at their defaults.

    Parameters
    ----------
    values
        As in a plan's file.
    where
        They come from, for messages; may be empty.

    Raises
    ------
    UserError
        Naming the first thing that is wrong, under the key that was given.
    """
    try:
        return _complete(values)
    except UserError as error:
        message = _as_given(str(error), values)
    raise UserError(f"{where}: {message}" if where else message)


def _as_given(message: str, values: dict[str, Any]) -> str:
    """A message with the keys that were given; every framework's part has what ``space.all`` says."""
    space = values["space"] if isinstance(values.get("space"), dict) else {}

    def given(found: re.Match[str]) -> str:
        name, knob = found.groups()
        return found[0] if name in space and knob in space[name] else f"space.all.{knob}"

    return re.sub(rf"\bspace\.({'|'.join(FRAMEWORKS)})\.(\w+)", given, message)


def _complete(values: dict[str, Any]) -> Plan:
    if not isinstance(values.get("workload"), str):
        raise UserError('workload is missing; name one, as in workload = "mnist-lenet"')
    chosen = workload(values["workload"])
    names = values.get("frameworks", [AVAILABLE])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f'frameworks is {names!r}; write a list of names, or ["{AVAILABLE}"]')
    if names == [AVAILABLE]:
        names = available()
        if not names:
            raise UserError("no framework can run here; run `tuneoff doctor` to see what is missing")
    for name in names:
        framework(name)
    if len(set(names)) != len(names):
        raise UserError(f"frameworks names one twice: {', '.join(names)}")
    trials = _section(values, "search").get("trials", 30)
    defaults: dict[str, Any] = {
        "seed": 0,
        "search": {
            "trials": 30,
            "sampler": "tpe",
            "startup_trials": max(1, min(10, trials // 3)) if isinstance(trials, int) else 10,
            "scheduler": "fifo",
            "grace_evaluations": 3,
            "objective": "warm",
            "max_failures": 1,
            "initial_points": [],
        },
        "race": {"configurations": 5, "runs": 4},
        "confirm": {"runs": 10},
        "slice": {"cpus": 1, "gpus": 0, "max_concurrent": 0, "allow_shared_gpu": False, "pinned": True},
        "training": {
            "optimizer": "sgd",
            "momentum": 0.9,
            "weight_decay": 0.0,
            "target": chosen.target,
            "limit_s": chosen.limit_s,
            "epochs": chosen.epochs,
            "evaluate_every_samples": chosen.evaluate_every_samples,
            "holds": HOLDS,
            "precision": "float32",
            "memory_format": "contiguous",
            "data_on_device": False,
        },
    }
    complete = {**defaults, **values, "frameworks": names}
    for section in ("search", "race", "confirm", "slice", "training"):
        complete[section] = {**defaults[section], **_section(values, section)}
    complete["space"] = _complete_space(values, names, chosen.name, complete["slice"]["cpus"])
    plan = parse(complete, "")
    refuse_impossible(
        chosen,
        batch_sizes=_batch_sizes(plan),
        target=plan.training.target,
        epochs=plan.training.epochs,
        evaluate_every_samples=plan.training.evaluate_every_samples,
        holds=plan.training.holds,
    )
    return plan


def _batch_sizes(plan: Plan) -> dict[str, int | Iterable[int]]:
    """All that a trial of the plan may get, by the key that says so."""
    if plan.sweep is not None:
        varied = {name for name in plan.sweep.over if name != "batch_size"}
        fixed: dict[str, int | Iterable[int]] = {"sweep.batch_size": plan.sweep.batch_size} if varied else {}
        return {"sweep.over.batch_size": [int(each) for each in plan.sweep.over.get("batch_size", ())], **fixed}
    sizes: dict[str, int | Iterable[int]] = {}
    for name, searched in plan.space.items():
        values = searched["batch_size"]
        single = isinstance(values, Choices) and len(values.choices) == 1
        sizes[f"space.{name}.batch_size"] = next(iter(values.whole())) if single else values.whole()
    return sizes


def _complete_space(
    values: dict[str, Any], names: list[str], workload_name: str, cpus: object
) -> dict[str, dict[str, Any]]:
    """Default space, then the plan's ``[space.all]``, then its ``[space.FRAMEWORK]``."""
    given = _section(values, "space")
    for name in given:
        if name != "all" and name not in names:
            raise UserError(f"space.{name} is for no framework of this plan{nearest(name, ['all', *names])}")
        _section(given, name, "space.")
    default = space(workload_name, cpus=cpus if isinstance(cpus, int) else 1)
    return {name: {**default, **given.get("all", {}), **given.get(name, {})} for name in names}


def _section(values: dict[str, Any], name: str, above: str = "") -> dict[str, Any]:
    section = values.get(name, {})
    if not isinstance(section, dict):
        raise UserError(f"{above}{name} is {section!r}; it must be a table, as in [{above}{name}]")
    return section


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
