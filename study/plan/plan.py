"""The plan of a study: what it says, and what a valid one is. `plan_files` reads, completes and writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import inf, isfinite
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from search_spaces import ALWAYS, HYPERPARAMETERS, Choices, Searched, Value
from study.plan.budget import HOW, budget_of
from study.plan.checks import LIMITS, as_searched, check_gpus, check_knob, check_point, check_space, check_values
from study.plan.possible import NO_LOADER, not_offered
from study.plan.samplers import SamplerName, ranges_of
from study.plan.scaling import Scaling, ScalingName, same
from study.plan.words import unknown
from trainables.common.digits import plain
from trainables.common.errors import UserError
from trainables.common.suggest import nearest
from trainables.common.words import as_fraction, wrong
from trainables.contract import Execution, Hyperparameters, MemoryFormat, Optimizer, Precision, Schedule
from trainables.frameworks import FRAMEWORKS
from trainables.spec import Clock, Metric, TrainingSpec


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        kind = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and kind in (int, float):
            raise PydanticCustomError("int_type" if kind is int else "float_type", "no number")
        return value


def _as_value(value: object) -> object:
    if not isinstance(value, Value):
        raise ValueError(f"it is {value!r}; write a number, a text, true or false")
    if isinstance(value, float) and not isfinite(value):
        raise PydanticCustomError("finite_number", "not finite")
    return value


def _as_budget(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(f"it is {value!r}; {HOW}")
    budget_of(value)
    return value


def _as_lag(lag: float) -> float:
    if 0 < lag < 1:
        raise ValueError(f"it is {plain(lag)}; it must be 1 or more, or 0: curves are not compared")
    return lag


Given = Annotated[Value, BeforeValidator(_as_value)]


class SearchPlan(_Section):
    """The search for each framework's best configuration."""

    trials: int = Field(ge=1, description="trials per framework, at most")
    budget: Annotated[str, BeforeValidator(_as_budget)] = Field(
        default="", description="of each framework, as in 2h, 90m or 5 EUR; empty: none"
    )
    pays_after: int = Field(default=0, ge=0, description="trainings in which another trial must pay; 0: any")
    sampler: SamplerName = Field(description="tpe, gp, cmaes or random, of Optuna")
    startup_trials: int = Field(ge=1, description="random trials before the sampler models anything")
    scheduler: Literal["cap", "asha", "fifo"] = Field(
        description="cap stops what cannot win, asha what lags behind, fifo none"
    )
    cap_slack: float = Field(default=1.25, ge=1, le=1000, description="cap: times what the trial that counts took")
    cap_rank: int = Field(default=1, ge=1, description="cap: which of the best trials counts; 1: the best")
    cap_lag: Annotated[float, AfterValidator(_as_lag)] = Field(
        default=2.0, ge=0, le=1000, description="cap: times slower a curve may rise; 0: any"
    )
    cap_margin: float = Field(default=3.0, ge=0, le=1000, description="cap: and so many times the noise below")
    grace_evaluations: int = Field(ge=1, description="evaluations that asha leaves every trial")
    objective: Clock = Field(description="the time to minimise: warm, of training; cold, of all")
    max_failures: int = Field(ge=0, description="times a trial that dies is started again")
    learning_rate_scaling: ScalingName = Field(default="none", description="with the batch size: none, sqrt or linear")
    reference_batch_size: int = Field(default=0, ge=0, description="at which the rate is as it is searched")
    default_first: bool = Field(default=False, description="the workload's [default] is tried first")
    initial_points: tuple[dict[str, Given], ...] = Field(description="points to try first: { learning_rate, ... }")
    warm_start: dict[str, tuple[dict[str, Given], ...]] = Field(
        default={}, description="points to try then, by framework: another study's best"
    )
    warm_start_from: str = Field(default="", description="the study that they come from")


class RacePlan(_Section):
    """The runs between the search and the confirmation: the best of the search again, since one trial may be lucky."""

    configurations: int = Field(ge=0, description="so many of each framework's best run again; 0: no race")
    runs: int = Field(ge=0, description="of each of these configurations, with fresh seeds")


class ConfirmPlan(_Section):
    """The runs on which the report's claims rest."""

    runs: int = Field(ge=0, description="runs of each framework's best configuration, with fresh seeds")


def _whole_where_it_is(number: float) -> float:
    return int(number) if number == int(number) else number


class SlicePlan(_Section):
    """What one trial gets."""

    cpus: int = Field(ge=1, description="CPUs of a trial: its compute threads, and the most loader workers")
    gpus: Annotated[float, AfterValidator(_whole_where_it_is)] = Field(ge=0, description="GPUs of a trial; 0: the CPU")
    max_concurrent: int = Field(ge=0, description="trials at once during the search; 0: as many as fit")
    allow_shared_gpu: bool = Field(default=False, description="a trial may get a part of a GPU; marks the report")

    pinned: bool = Field(default=False, description="a trial is held to CPUs of its own, where that can be")

    def fitting(self, cpus: float, gpus: float) -> int:
        """How many slices a machine with so much holds at once; a slice's part of a GPU lies on one GPU."""
        by_cpu = int(cpus // self.cpus)
        if not self.gpus or gpus == inf:
            return by_cpu
        return min(by_cpu, int(gpus // self.gpus) if self.gpus >= 1 else int(gpus) * int(round(1 / self.gpus, 6)))


class TrainingPlan(_Section):
    """What every trial of the study shares; the first five, where they are not searched."""

    optimizer: Optimizer = Field(description="sgd, nesterov, adam or adamw")
    momentum: float = Field(ge=0, lt=1, description="of sgd and nesterov")
    weight_decay: float = Field(ge=0, le=1000, description="L2, added to the gradient; of adamw, apart from it")
    schedule: Schedule = Field(default="constant", description="of the learning rate: constant, cosine or one_cycle")
    warm_up: float = Field(default=0.0, ge=0, le=1, description="share of all steps over which the rate rises")
    metric: Metric = Field(default="accuracy", description="what target is of: accuracy, or loss")
    target: float = Field(gt=0, description="validation accuracy at least, or validation loss at most")
    limit_s: float = Field(gt=0, description="seconds after which a run is stopped, and counts as a miss")
    epochs: int = Field(ge=1, description="epochs after which a run is stopped, and counts as a miss")
    evaluate_every_samples: int = Field(ge=1, description="between evaluations, at every batch size")
    holds: int = Field(default=1, ge=1, description="evaluations in a row that must meet the target")
    precision: Precision = Field(default="float32", description="float32, or bf16: forward passes in bfloat16")
    memory_format: MemoryFormat = Field(default="contiguous", description="contiguous or channels_last")
    data_on_device: bool = Field(default=False, description="the training split lies on the device; no loader runs")

    @property
    def execution(self) -> Execution:
        """How it is computed."""
        return Execution(self.precision, self.memory_format, self.data_on_device)


class SweepPlan(_Section):
    """One training at fixed hyperparameters, again for each value of one of them: ``tuneoff sweep``."""

    over: dict[str, tuple[Given, ...]] = Field(min_length=1, description="values by name, each varied alone")
    repeats: int = Field(ge=1, description="trainings per value, each with a seed of its own")
    learning_rate: float = Field(description="where it is not varied")
    batch_size: int = Field(description="where it is not varied")
    num_workers: int = Field(description="where it is not varied")

    @property
    def trainings(self) -> int:
        """How many a framework runs."""
        return self.repeats * sum(len(values) for values in self.over.values())

    def point(self, name: str, value: Value) -> dict[str, Value]:
        """The hyperparameters that a sweep says, with one set to a value."""
        fixed: dict[str, Value] = {each: getattr(self, each) for each in ALWAYS}
        return {**fixed, name: value}

    @model_validator(mode="after")
    def _check(self) -> SweepPlan:
        for name, values in self.over.items():
            if not values or len(set(values)) != len(values):
                raise ValueError(f"sweep.over.{name} needs values, each once; it has {', '.join(map(_shown, values))}")
            if isinstance(problem := _mixed(values), str):
                raise ValueError(f"sweep.over.{name}: {problem}")
        for name in ALWAYS:
            check_knob(f"sweep.{name}", name, [getattr(self, name)], options={}, several=False, floats=True)
        return self


def _shown(value: Value) -> str:
    return str(value) if isinstance(value, str | bool) else plain(value)


def _mixed(values: tuple[Value, ...]) -> str | None:
    """What is wrong with values that stand beside one another."""
    try:
        Choices(values)
    except ValueError as error:
        return str(error)
    return None


Space = dict[str, Annotated[Searched, BeforeValidator(as_searched)]]


class Plan(_Section):
    """A complete plan."""

    workload: str = Field(description="a name, or a folder with a workload.toml")
    frameworks: tuple[str, ...] = Field(min_length=1, description="names; ['available']: all that can run")
    seed: int = Field(ge=0, lt=2**31, description="of samplers, sample orders and initial weights")
    search: SearchPlan
    race: RacePlan = RacePlan(configurations=0, runs=0)  # plans of older versions have none
    confirm: ConfirmPlan
    slice: SlicePlan
    training: TrainingPlan
    options: dict[str, Given] = Field(default={}, description="of the workload's models, where they are not searched")
    space: dict[str, Space]
    sweep: SweepPlan | None = None  # instead of search and confirmation

    @model_validator(mode="after")
    def _check(self) -> Plan:
        check_gpus(self.slice.gpus, sharing=self.slice.allow_shared_gpu)
        for name, searched in self.space.items():
            check_space(name, searched, self.slice.cpus, self.options)
        if self.search.learning_rate_scaling != "none":
            self._check_rates()
        if self.search.sampler == "cmaes" and self.sweep is None:
            self._check_cmaes()
        self._check_points()
        for name, values in (self.sweep.over if self.sweep is not None else {}).items():
            check_knob(f"sweep.over.{name}", name, values, options=self.options, floats=True)
        if self.training.metric == "accuracy" and self.training.target > 1:
            target = self.training.target
            raise ValueError(f"training.target is {plain(target)}; it must be 1 or less{as_fraction(target)}")
        for name in self.frameworks:
            if problem := not_offered(
                name, self.training.execution, key="training.{}", todo="--set training.{}={}, or leave {} out"
            ):
                raise ValueError(problem)
        if self.training.data_on_device:
            self._check_no_loader()
        return self

    def _check_points(self) -> None:
        """Refuse points that are to be tried first, and could not be drawn."""
        spaces = {name: self.space[name] for name in self.frameworks}
        for point in self.search.initial_points:
            check_point(point, spaces, self.drawn, "search.initial_points")
        for name, points in self.search.warm_start.items():
            if name not in FRAMEWORKS:
                raise ValueError(f"search.warm_start.{name} is for no framework{nearest(name, self.frameworks)}")
            for point in points if name in spaces else ():
                check_point(point, {name: spaces[name]}, self.drawn, f"search.warm_start.{name}")

    def _check_cmaes(self) -> None:
        """Refuse a space in which CMA-ES has nothing to adapt: it needs two ranges."""
        for name in self.frameworks:
            if len(found := ranges_of(self.space[name])) < 2:
                has = f"only {found[0]}" if found else "none"
                raise ValueError(
                    f"search.sampler is cmaes, which needs two ranges or more, and space.{name} has {has}: choices "
                    "and single values are none; write { low, high }, or take tpe or gp"
                )

    def _check_rates(self) -> None:
        """Refuse a scaled learning rate that no training can have."""
        if not self.search.reference_batch_size:
            raise ValueError(
                f"search.learning_rate_scaling is {self.search.learning_rate_scaling}, and the batch size at which "
                "space.all.learning_rate is meant is not known: search.reference_batch_size must say it, where the "
                "workload's [default] has no batch_size"
            )
        for name, space in self.space.items():
            ends = [
                self.scaling.actual({"learning_rate": rate, "batch_size": size})["learning_rate"]
                for rate in space["learning_rate"].ends
                for size in (min(space["batch_size"].whole()), max(space["batch_size"].whole()))
            ]
            key = f"space.{name}.learning_rate, scaled with the batch size,"
            check_values(key, ends, LIMITS["learning_rate"])

    def _check_no_loader(self) -> None:
        """Refuse loader workers where nothing is left for them to load."""
        for key, workers in self._most_workers().items():
            if workers > 0:
                todo = "--set space.all.num_workers=0" if self.sweep is None else "--num-workers 0"
                raise ValueError(
                    f"training.data_on_device is true, but {key} is up to {plain(workers)}: {NO_LOADER}; {todo}"
                )

    def _most_workers(self) -> dict[str, float]:
        """The most loader workers that a trial may get, by the key that says so."""
        if self.sweep is None:
            return {
                f"space.{name}.num_workers": max(space["num_workers"].whole()) for name, space in self.space.items()
            }
        varied = {"sweep.over.num_workers": max(map(float, self.sweep.over.get("num_workers", (0,))))}
        return (
            varied
            if set(self.sweep.over) == {"num_workers"}
            else {**varied, "sweep.num_workers": self.sweep.num_workers}
        )

    @property
    def scaling(self) -> Scaling:
        """How the learning rate that is drawn becomes the one that runs."""
        return Scaling(self.search.learning_rate_scaling, max(1, self.search.reference_batch_size))

    def drawn(self, framework_name: str, point: Mapping[str, Any]) -> dict[str, Any]:
        """The draw that stands for a configuration: the base of a scaled rate, its last digits within the space."""
        base, searched = self.scaling.base(point), self.space[framework_name]["learning_rate"]
        if self.search.learning_rate_scaling == "none" or "learning_rate" not in base:
            return base
        rate = base["learning_rate"]
        return {**base, "learning_rate": next((end for end in searched.ends if same(float(end), rate)), rate)}

    @property
    def drawn_apart(self) -> tuple[str, ...]:
        """What CMA-ES, where it is the sampler, leaves to tpe: choices, which have no order."""
        searched = (each for space in self.space.values() for each in space.items())
        choices = dict.fromkeys(name for name, each in searched if isinstance(each, Choices) and not each.single)
        return tuple(choices) if self.search.sampler == "cmaes" else ()

    def also_searched(self, framework_name: str) -> tuple[str, ...]:
        """Hyperparameters and options that are searched, or swept, besides those that always are."""
        if self.sweep is not None:
            return tuple(name for name in self.sweep.over if name not in ALWAYS)
        searched = self.space[framework_name].items()
        return tuple(name for name, values in searched if name not in ALWAYS and not values.single)

    def hyperparameters(self, point: Mapping[str, Any]) -> Hyperparameters:
        """What a point stands for: where it says nothing, ``[training]`` and ``[options]`` do."""
        training, mine = self.training, set(point) - set(HYPERPARAMETERS)
        return Hyperparameters(
            learning_rate=float(point["learning_rate"]),
            batch_size=int(point["batch_size"]),
            num_workers=int(point["num_workers"]),
            optimizer=point.get("optimizer", training.optimizer),
            momentum=float(point.get("momentum", training.momentum)),
            weight_decay=float(point.get("weight_decay", training.weight_decay)),
            schedule=point.get("schedule", training.schedule),
            warm_up=float(point.get("warm_up", training.warm_up)),
            options={**self.options, **{name: point[name] for name in point if name in mine}},
        )

    def spec(self, framework_name: str, point: Mapping[str, Any], *, seed: int, **extra: Any) -> TrainingSpec:
        """The training that a point of the search space stands for."""
        training = self.training
        return TrainingSpec(
            framework=framework_name,
            workload=self.workload,
            hyperparameters=self.hyperparameters(point),
            seed=seed,
            metric=training.metric,
            target=training.target,
            evaluate_every_samples=training.evaluate_every_samples,
            limit_s=training.limit_s,
            epochs=training.epochs,
            device="cuda" if self.slice.gpus else "cpu",
            threads=self.slice.cpus,
            objective=self.search.objective,
            holds=training.holds,
            pinned=self.slice.pinned,
            execution=training.execution,
            **extra,
        )


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
        problem = _first_problem(error)
    raise UserError(f"{where}: {problem}" if where else problem)


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    path = re.sub(r"\.\d+$", "", ".".join(map(str, problem["loc"])))  # of a list the name, not the place in it
    if problem["type"] == "extra_forbidden":
        model: Any = Plan
        for part in problem["loc"][:-1]:
            model = model.model_fields[part].annotation
        return unknown(path, model, Plan)
    if problem["type"] == "missing":
        return f"{path} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":  # ours; some name the key themselves
        return message if not path or f"{path}." in message else f"{path}: {message}"
    return wrong(path, problem)
