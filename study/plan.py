"""The plan of a study: read from TOML, completed from the workload's defaults, validated, frozen.

A frozen plan is complete: every value that can change a result is written in it, so that a study means the same
after an upgrade that changes a default.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from search_spaces import Choices, Range, Searched, space
from search_spaces.spaces import HYPERPARAMETERS
from study.samplers import SamplerName
from trainables.contract import Hyperparameters, Optimizer
from trainables.errors import UserError
from trainables.files import write_text
from trainables.frameworks import available, framework
from trainables.spec import Clock, TrainingSpec
from trainables.suggest import nearest
from trainables.workloads import workload

SHIPPED = files("study") / "plans"
# Of the benchmark that sweeps reproduce (the-praxs/dl-benchmark), which trains so long whatever the accuracy.
SWEEP_TRAINING = {"epochs": 10, "weight_decay": 5e-4, "limit_s": 1e6}
AVAILABLE = "available"  # as frameworks: every real framework that can run here


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SearchPlan(_Section):
    """The search for each framework's best configuration."""

    trials: int = Field(ge=1, description="trials per framework")
    sampler: SamplerName = Field(description="Optuna sampler")
    startup_trials: int = Field(ge=1, description="random trials before the tpe or gp sampler models anything")
    scheduler: Literal["fifo", "asha"] = Field(description="asha stops trials that lag behind in accuracy")
    grace_evaluations: int = Field(ge=1, description="evaluations that asha leaves every trial")
    objective: Clock = Field(description="the clock whose time to accuracy is minimised")
    max_failures: int = Field(ge=0, description="times a trial that dies is started again")
    initial_points: tuple[dict[str, float], ...] = Field(description="configurations to try first")


class ConfirmPlan(_Section):
    """The runs on which the report's claims rest."""

    runs: int = Field(ge=0, description="runs of each framework's best configuration, with fresh seeds")


class SlicePlan(_Section):
    """What one trial gets."""

    cpus: int = Field(ge=1)
    gpus: int = Field(ge=0)
    max_concurrent: int = Field(ge=0, description="trials at once during the search; 0: as many as fit")


class TrainingPlan(_Section):
    """What every trial of the study shares."""

    optimizer: Optimizer
    momentum: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    target: float = Field(gt=0, le=1, description="validation accuracy, a fraction")
    limit_s: float = Field(gt=0)
    epochs: int = Field(ge=1)
    evaluate_every_samples: int = Field(ge=1)


class SweepPlan(_Section):
    """One training at fixed hyperparameters, again for each value of one of them: ``tuneoff sweep``."""

    over: dict[str, tuple[float, ...]] = Field(min_length=1, description="values by hyperparameter, each varied alone")
    repeats: int = Field(ge=1, description="trainings per value, each with a seed of its own")
    learning_rate: float = Field(gt=0)
    batch_size: int = Field(ge=1)
    num_workers: int = Field(ge=0)

    @property
    def trainings(self) -> int:
        """How many a framework runs."""
        return self.repeats * sum(len(values) for values in self.over.values())

    def point(self, name: str, value: float) -> dict[str, float]:
        """All hyperparameters, with one set to a value."""
        fixed: dict[str, float] = {each: getattr(self, each) for each in HYPERPARAMETERS}
        return {**fixed, name: value}

    @model_validator(mode="after")
    def _check(self) -> SweepPlan:
        for name, values in self.over.items():
            if name not in HYPERPARAMETERS:
                raise ValueError(f"unknown hyperparameter sweep.over.{name}{nearest(name, HYPERPARAMETERS)}")
            if not values or len(set(values)) != len(values):
                raise ValueError(f"sweep.over.{name} needs values, each once; it has {list(values)}")
            lowest, whole = {"learning_rate": (0.0, False), "batch_size": (1, True), "num_workers": (0, True)}[name]
            for value in values:
                if value < lowest or (whole and value != int(value)):
                    raise ValueError(
                        f"sweep.over.{name} has {value:g}; it takes {'whole ' * whole}numbers from {lowest}"
                    )
        return self


def _searched(values: object) -> object:
    if isinstance(values, dict):
        return Choices(tuple(values["choices"])) if set(values) == {"choices"} else Range(**values)
    return values


Space = dict[str, Annotated[Searched, BeforeValidator(_searched)]]


class Plan(_Section):
    """A complete plan."""

    workload: str
    frameworks: tuple[str, ...] = Field(min_length=1)
    seed: int = Field(ge=0, lt=2**31)
    search: SearchPlan
    confirm: ConfirmPlan
    slice: SlicePlan
    training: TrainingPlan
    space: dict[str, Space]
    sweep: SweepPlan | None = None  # instead of search and confirmation

    @model_validator(mode="after")
    def _check(self) -> Plan:
        for name, searched in self.space.items():
            _check_space(name, searched, self.slice.cpus)
        for point in self.search.initial_points:
            for name in self.frameworks:
                _check_point(point, self.space[name])
        return self

    def spec(self, framework_name: str, searched: dict[str, float], *, seed: int, **extra: Any) -> TrainingSpec:
        """The training that a point of the search space stands for."""
        training = self.training
        return TrainingSpec(
            framework=framework_name,
            workload=self.workload,
            hyperparameters=Hyperparameters(
                learning_rate=float(searched["learning_rate"]),
                batch_size=int(searched["batch_size"]),
                num_workers=int(searched["num_workers"]),
                optimizer=training.optimizer,
                momentum=training.momentum,
                weight_decay=training.weight_decay,
            ),
            seed=seed,
            target=training.target,
            evaluate_every_samples=training.evaluate_every_samples,
            limit_s=training.limit_s,
            epochs=training.epochs,
            device="cuda" if self.slice.gpus else "cpu",
            threads=self.slice.cpus,
            objective=self.search.objective,
            **extra,
        )


def shipped_plans() -> list[str]:
    """Names of the plans that come with the package."""
    return sorted(entry.name.removesuffix(".toml") for entry in SHIPPED.iterdir() if entry.name.endswith(".toml"))


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
    return _complete(values, "the sweep")


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
    path = Path(source)
    if source in shipped_plans():
        text, where = (SHIPPED / f"{source}.toml").read_text(encoding="utf-8"), f"plan {source}"
    elif path.is_file():
        text, where = _read(path), str(path)
    else:
        raise UserError(f"unknown plan '{source}', and no such file{nearest(source, shipped_plans())}")
    values = _parse(text, where)
    for setting in settings or []:
        apply(values, setting)
    if frameworks:
        values["frameworks"] = frameworks
    return _complete(values, where)


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


def _complete(values: dict[str, Any], where: str) -> Plan:
    if not isinstance(values.get("workload"), str):
        raise UserError(f'{where}: workload is missing; name one, as in workload = "mnist-lenet"')
    chosen = workload(values["workload"])
    names = values.get("frameworks", [AVAILABLE])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f'{where}: frameworks is {names!r}; write a list of names, or ["{AVAILABLE}"]')
    if names == [AVAILABLE]:
        names = available()
        if not names:
            raise UserError("no framework can run here; run `tuneoff doctor` to see what is missing")
    for name in names:
        framework(name)
    if len(set(names)) != len(names):
        raise UserError(f"{where}: frameworks names one twice: {', '.join(names)}")
    trials = _section(values, "search", where).get("trials", 30)
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
        "confirm": {"runs": 10},
        "slice": {"cpus": 1, "gpus": 0, "max_concurrent": 0},
        "training": {
            "optimizer": "sgd",
            "momentum": 0.9,
            "weight_decay": 0.0,
            "target": chosen.target,
            "limit_s": chosen.limit_s,
            "epochs": chosen.epochs,
            "evaluate_every_samples": chosen.evaluate_every_samples,
        },
    }
    complete = {**defaults, **values, "frameworks": names}
    for section in ("search", "confirm", "slice", "training"):
        complete[section] = {**defaults[section], **_section(values, section, where)}
    complete["space"] = _complete_space(values, names, chosen.name, complete["slice"]["cpus"], where)
    return parse(complete, where)


def _complete_space(
    values: dict[str, Any], names: list[str], workload_name: str, cpus: object, where: str
) -> dict[str, dict[str, Any]]:
    """Default space, then the plan's ``[space.all]``, then its ``[space.FRAMEWORK]``."""
    given = _section(values, "space", where)
    for name in given:
        if name != "all" and name not in names:
            raise UserError(f"{where}: space.{name} is for no framework of this plan{nearest(name, ['all', *names])}")
    default = space(workload_name, cpus=cpus if isinstance(cpus, int) else 1)
    return {name: {**default, **given.get("all", {}), **given.get(name, {})} for name in names}


def _section(values: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    section = values.get(name, {})
    if not isinstance(section, dict):
        raise UserError(f"{where}: {name} is {section!r}; it must be a table, as in [{name}]")
    return section


def parse(values: dict[str, Any], where: str) -> Plan:
    """A complete plan from its values.

    Parameters
    ----------
    where
        They come from, for messages.

    Raises
    ------
    UserError
        Naming the first thing that is wrong.
    """
    try:
        return Plan.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{where}: {_first_problem(error)}") from None
    except (TypeError, KeyError) as error:  # a space entry with unknown keys
        raise UserError(f"{where}: space: write {{ low, high, log }} or {{ choices }} for each ({error})") from None


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    path = [str(part) for part in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        model: Any = Plan
        for part in path[:-1]:
            model = model.model_fields[part].annotation
        return f"unknown key {'.'.join(path)}{nearest(path[-1], model.model_fields)}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{'.'.join(path)} is missing"
    if problem["type"] == "value_error":
        return ": ".join(filter(None, [".".join(path), message]))
    return f"{'.'.join(path)} is {problem['input']!r}: {message[0].lower()}{message[1:]}"


def _check_space(framework_name: str, searched: Space, cpus: int) -> None:
    for name in searched:
        if name not in HYPERPARAMETERS:
            raise ValueError(f"unknown hyperparameter space.{framework_name}.{name}{nearest(name, HYPERPARAMETERS)}")
    for name, low, high, whole in (
        ("learning_rate", 1e-12, 1e3, False),
        ("batch_size", 1, 2**20, True),
        ("num_workers", 0, cpus, True),
    ):
        where = f"space.{framework_name}.{name}"
        values = searched[name]
        given = values.choices if isinstance(values, Choices) else (values.low, values.high)
        for value in given:
            if whole and not isinstance(value, int):
                raise ValueError(f"{where} has {value!r}; it takes whole numbers")
            if not low <= value <= high:
                limit = "the CPUs of a slice" if name == "num_workers" else f"{high:g}"
                raise ValueError(f"{where} has {value!r}; it must lie between {low:g} and {high:g} ({limit})")


def _check_point(point: dict[str, float], searched: Space) -> None:
    if set(point) != set(HYPERPARAMETERS):
        raise ValueError(f"search.initial_points: each point needs exactly {', '.join(HYPERPARAMETERS)}; got {point}")
    for name, value in point.items():
        values = searched[name]
        inside = value in values.choices if isinstance(values, Choices) else values.low <= value <= values.high
        if not inside:
            raise ValueError(f"search.initial_points: {name} = {value} is outside the search space")


def _as_toml(values: Searched) -> dict[str, Any]:
    if isinstance(values, Choices):
        return {"choices": list(values.choices)}
    return {"low": values.low, "high": values.high, "log": values.log}


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


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from None


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where} is not TOML: {error}") from None


__all__ = ["AVAILABLE", "Plan", "apply", "as_toml", "freeze", "load_plan", "parse", "shipped_plans", "thaw"]
