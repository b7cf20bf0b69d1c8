"""A plan from what was written of it: everything else at its default, the workload's or the house's, and what is wrong
told under the key that was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from search_spaces import ALWAYS, HYPERPARAMETERS, Choices, Range, Value
from study.plan.checks import as_searched, check_knob
from study.plan.plan import Plan, parse
from study.plan.possible import BatchSizes, refuse_large, refuse_lonely, refuse_seldom
from trainables.common.errors import UserError
from trainables.common.suggest import nearest
from trainables.frameworks import FRAMEWORKS, available, framework
from trainables.workloads.toml import line_of
from trainables.workloads.workload import FILE, SHIPPED, Made, Workload, find

AVAILABLE = "available"  # as frameworks: every real framework that can run here, and for which there is a model
SEARCHED = ("optimizer", "momentum", "weight_decay", "schedule", "warm_up")  # keys of [training] that may be, too


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
    workload = None
    try:
        if not isinstance(values.get("workload"), str):
            raise UserError('workload is missing; name one, as in workload = "mnist-lenet"')
        workload = find(values["workload"])
        return _filled(values, workload, _frameworks(values, workload))
    except UserError as error:
        message = _as_given(str(error), values)
    if workload is not None and (problem := _own_problem(workload)):
        raise UserError(problem)
    raise UserError(f"{where}: {message}" if where else message)


def _own_problem(workload: Workload) -> str | None:
    """What is wrong with what a workload says of training and search, whatever a plan says; None where all is well."""
    names = [name for name, each in FRAMEWORKS.items() if each.trains(workload)]
    sections = ("training", "space", "options", "default")
    said = {name: dict(getattr(workload, name)) for name in sections}
    bare = {"space": {"all": {name: 1 for name in ALWAYS if name not in workload.space.get("all", {})}}}
    try:
        _filled(bare, workload, names)
    except UserError as error:
        path, message = workload.folder / FILE, _as_given(str(error), said)
        if message.startswith(str(path)):
            return message
        key = re.search(r"\b(?:space|training|options|default)\.[\w.-]*\w", message)
        line = line_of(path.read_text(encoding="utf-8-sig"), key[0].split(".")) if key else ""
        return f"{path}{line}: {message}"
    return None


def _as_given(message: str, values: dict[str, Any]) -> str:
    """A message with the keys that were given; every framework's part has what ``space.all`` says."""
    space = values["space"] if isinstance(values.get("space"), dict) else {}

    def given(found: re.Match[str]) -> str:
        name, knob = found.groups()
        return found[0] if name in space and knob in space[name] else f"space.all.{knob}"

    return re.sub(rf"\bspace\.({'|'.join(FRAMEWORKS)})\.(\w+)", given, message)


def _frameworks(values: Mapping[str, Any], workload: Workload) -> list[str]:
    """Names of the frameworks that a plan asks for, all of which have a model."""
    names = values.get("frameworks", [AVAILABLE])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f'frameworks is {names!r}; write a list of names, or ["{AVAILABLE}"]')
    if names == [AVAILABLE]:
        here = available()
        if not here:
            raise UserError("no framework can run here; run `tuneoff doctor` to see what is missing")
        names = [name for name in here if framework(name).trains(workload)]
        if not names:
            models = " and ".join(path.name for path in workload.models.values())
            titles = " and ".join(framework(name).title for name in here)
            raise UserError(f"{workload.folder} has {models}, and no model for {titles}, which can run here")
    for name in names:
        framework(name).model_file(workload)
    if len(set(names)) != len(names):
        raise UserError(f"frameworks names one twice: {', '.join(names)}")
    return list(names)


def _filled(values: Mapping[str, Any], workload: Workload, names: list[str]) -> Plan:
    trials = _section(values, "search").get("trials", 30)
    defaults: dict[str, Any] = {
        "seed": 0,
        "search": {
            "trials": 30,
            "budget": "",
            "pays_after": 0,
            "sampler": "tpe",
            "startup_trials": max(1, min(10, trials // 3)) if isinstance(trials, int) else 10,
            "scheduler": "cap",
            "grace_evaluations": 3,
            "objective": "warm",
            "max_failures": 1,
            "learning_rate_scaling": "none",
            "reference_batch_size": workload.default.get("batch_size", 0),
            "default_first": True,
            "initial_points": [],
        },
        "race": {"configurations": 5, "runs": 4},
        "confirm": {"runs": 10},
        "slice": {"cpus": 1, "gpus": 0, "max_concurrent": 0, "allow_shared_gpu": False, "pinned": True},
        "training": {
            "optimizer": "sgd",
            "momentum": 0.9,
            "weight_decay": 0.0,
            "schedule": "constant",
            "warm_up": 0.0,
            "metric": workload.metric,
            "target": workload.target,
            "limit_s": workload.limit_s,
            "epochs": workload.epochs,
            "evaluate_every_samples": workload.evaluate_every_samples,
            "holds": workload.holds,
            "precision": "float32",
            "memory_format": "contiguous",
            "data_on_device": False,
            **workload.training,
        },
    }
    complete: dict[str, Any] = {**defaults, **values, "workload": told(workload), "frameworks": names}
    for section in ("search", "race", "confirm", "slice", "training"):
        complete[section] = {**defaults[section], **_section(values, section)}
    _refuse_unknown(values, workload, names)
    _check_default(workload, names)
    complete["options"] = {**workload.options, **_section(values, "options")}
    complete["space"] = _complete_space(values, names, workload, complete["slice"]["cpus"])
    plan = parse(complete, "")
    if plan.training.metric != workload.metric:
        raise UserError(
            f"training.metric is {plan.training.metric}, but the loss of {workload.name} is {workload.loss}: "
            f"its target is of {workload.metric}"
        )
    if workload.made is not None:
        refuse_by_data(plan, workload.made, workload)
    return plan


def told(workload: Workload) -> str:
    """How a plan names a workload."""
    return workload.name if workload.folder == SHIPPED / workload.name else str(workload.folder)


def refuse_by_data(plan: Plan, made: Made, workload: Workload) -> None:
    """Refuse what the data make impossible; `UserError` naming the key, its value and what is impossible about it."""
    training = plan.training
    with _told_where_written(plan, workload):
        refuse_large(batch_sizes(plan), made.training_samples, workload=workload.name)
        refuse_seldom(
            made.training_samples,
            epochs=training.epochs,
            evaluate_every_samples=training.evaluate_every_samples,
            holds=training.holds,
        )


def refuse_by_model(plan: Plan, made: Made, workload: Workload, *, why: str) -> None:
    """Refuse what a model makes impossible that cannot learn from a single sample; `UserError` as `refuse_by_data`."""
    with _told_where_written(plan, workload):
        refuse_lonely(batch_sizes(plan), made.training_samples, why=why)


@contextmanager
def _told_where_written(plan: Plan, workload: Workload) -> Iterator[None]:
    """Name the workload's file, and its keys, where all that is to blame stands there and the plan changed nothing."""
    try:
        yield
    except UserError as error:
        message = str(error)
        named = dict.fromkeys(re.findall(r"\b(?:space|training|sweep)\.[\w.-]*\w", message))
        own = {key: _own_key(key, plan, workload) for key in named}
        if not own or not all(own.values()):
            raise
        for key, mine in own.items():
            message = message.replace(key, ".".join(mine))
        path = workload.folder / FILE
        line = line_of(path.read_text(encoding="utf-8-sig"), next(iter(own.values())))
        raise UserError(f"{path}{line}: {message}") from None


def _own_key(key: str, plan: Plan, workload: Workload) -> tuple[str, ...]:
    """Where a workload says what a plan has under a key; empty where the plan says it itself."""
    section, *rest = key.split(".")
    if section == "space":
        name, knob = rest
        where = next((each for each in (name, "all") if knob in workload.space.get(each, {})), None)
        if where is not None and as_searched(workload.space[where][knob]) == plan.space[name][knob]:
            return section, where, knob
    elif section == "training" and getattr(workload, rest[0], None) == getattr(plan.training, rest[0]):
        return tuple(rest)
    return ()


def batch_sizes(plan: Plan) -> BatchSizes:
    """All that a trial of the plan may get, by the key that says so."""
    if plan.sweep is not None:
        varied = {name for name in plan.sweep.over if name != "batch_size"}
        fixed: BatchSizes = {"sweep.batch_size": plan.sweep.batch_size} if varied else {}
        over = [int(each) for each in plan.sweep.over.get("batch_size", ())]
        return {"sweep.over.batch_size": over, **fixed}
    return {
        f"space.{name}.batch_size": next(iter(values.whole())) if values.single else values.whole()
        for name, values in ((name, searched["batch_size"]) for name, searched in plan.space.items())
    }


def _refuse_unknown(values: Mapping[str, Any], workload: Workload, names: Iterable[str]) -> None:
    """Refuse names that neither hyperparameters nor the models' options have, and options of another kind."""
    own = {where: set(_section(workload.space, where, "space.")) - set(HYPERPARAMETERS) for where in names}
    options = sorted(workload.options)
    for name in (*options, *(name for some in own.values() for name in some)):
        _check_option(name)
    for name, value in _section(values, "options").items():
        if name not in options:
            others = nearest(name, options) if options else f"; the models of {workload.name} have none"
            raise UserError(f"unknown option options.{name}{others}")
        try:
            check_knob(f"options.{name}", name, [value], options=workload.options, several=False)
        except ValueError as error:
            raise UserError(str(error)) from None
    for where, searched in (*_tables(workload.space), *_tables(_section(values, "space"))):
        known = [*HYPERPARAMETERS, *sorted({*options, *own.get(where, ())})]
        for name in searched:
            if name not in known and (where == "all" or where in names):
                raise UserError(f"unknown hyperparameter space.{where}.{name}{nearest(name, known)}")
    for name in _section(_section(values, "sweep"), "over", "sweep."):
        if name not in (known := [*HYPERPARAMETERS, *options]):
            raise UserError(f"unknown hyperparameter sweep.over.{name}{nearest(name, known)}")


def _check_default(workload: Workload, names: Iterable[str]) -> None:
    """Refuse a default configuration that no training can have, or of what nothing is called."""
    spaces = [_section(workload.space, where, "space.") for where in ("all", *names)]
    options = {*workload.options, *(name for space in spaces for name in space)} - {*HYPERPARAMETERS}
    known = [*HYPERPARAMETERS, *sorted(options)]
    for name, value in workload.default.items():
        if name not in known:
            raise UserError(f"unknown hyperparameter default.{name}{nearest(name, known)}")
        try:
            check_knob(f"default.{name}", name, [value], options=workload.options, several=False)
        except ValueError as error:
            raise UserError(str(error)) from None


def _tables(space: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return [(where, _section(space, where, "space.")) for where in space]


def _check_option(name: str) -> None:
    """Refuse an option of a name that ``build`` cannot take, or that means something else."""
    if name in HYPERPARAMETERS:
        raise UserError(f"options.{name} has the name of a hyperparameter; give the models' option another")
    if not name.isidentifier() or not name.isascii():
        raise UserError(f"options.{name} is no name of an argument; letters, digits and underscores make one")


def _complete_space(
    values: Mapping[str, Any], names: list[str], workload: Workload, cpus: object
) -> dict[str, dict[str, Any]]:
    """The workload's space, then the plan's ``[space.all]``, then its ``[space.FRAMEWORK]``.

    What the plan says in ``[training]`` and ``[options]`` is not searched because the workload would.
    """
    given = _section(values, "space")
    for name in given:
        if name != "all" and name not in names:
            raise UserError(f"space.{name} is for no framework of this plan{nearest(name, ['all', *names])}")
        _section(given, name, "space.")
    for name in workload.space:
        if name != "all" and name not in FRAMEWORKS:
            known = [each.name for each in FRAMEWORKS.values() if each.real]
            raise UserError(f"space.{name} is for no framework{nearest(name, ['all', *known])}")
        _section(workload.space, name, "space.")
    fixed = {name for name in SEARCHED if name in _section(values, "training")} | set(_section(values, "options"))
    workers = Range(0, cpus if isinstance(cpus, int) and not isinstance(cpus, bool) and cpus > 0 else 1)

    def usual(name: str) -> dict[str, Any]:
        said = {"num_workers": workers, **workload.space.get("all", {}), **workload.space.get(name, {})}
        return {key: each for key, each in said.items() if key not in fixed}

    complete = {name: {**usual(name), **given.get("all", {}), **given.get(name, {})} for name in names}
    return {
        name: {key: _like(each, workload.options.get(key)) for key, each in _in_order(part).items()}
        for name, part in complete.items()
    }


def _in_order(part: Mapping[str, Any]) -> dict[str, Any]:
    """The same with those first that are in every space: samplers draw in this order, and else in another one."""
    return {key: part[key] for key in ALWAYS if key in part} | dict(part)


def _like(values: object, usual: Value | None) -> object:
    """What is searched of an option that takes floats, in floats however it is written."""
    if not isinstance(usual, float):
        return values
    try:
        searched = as_searched(values)
    except ValueError:
        return values  # which the plan's own checks refuse, with the key
    if isinstance(searched, Range):
        return Range(float(searched.low), float(searched.high), searched.log)
    if isinstance(searched, Choices):
        return Choices(tuple(float(each) if type(each) is int else each for each in searched.choices))
    return values


def _section(values: Mapping[str, Any], name: str, above: str = "") -> dict[str, Any]:
    section = values.get(name, {})
    if not isinstance(section, dict):
        raise UserError(f"{above}{name} is {section!r}; it must be a table, as in [{above}{name}]")
    return section
