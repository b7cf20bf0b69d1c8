"""The plan of a study: what it says, and what a valid one is. `plan_files` reads, completes and writes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from search_spaces import Choices, Range, Searched
from search_spaces.spaces import HYPERPARAMETERS
from study.plan.possible import NO_LOADER, not_offered
from study.plan.samplers import SamplerName
from trainables.common.errors import UserError
from trainables.common.suggest import nearest
from trainables.contract import Execution, Hyperparameters, MemoryFormat, Optimizer, Precision
from trainables.spec import Clock, TrainingSpec

SMALLEST_SHARE = 0.01  # of a GPU; Ray counts in ten-thousandths


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


def _whole_where_it_is(number: float) -> float:
    return int(number) if number == int(number) else number


class SlicePlan(_Section):
    """What one trial gets."""

    cpus: int = Field(ge=1)
    gpus: Annotated[float, Field(ge=0), AfterValidator(_whole_where_it_is)]
    max_concurrent: int = Field(ge=0, description="trials at once during the search; 0: as many as fit")
    allow_shared_gpu: bool = Field(default=False, description="a trial may get a part of a GPU; marks the report")

    def on_gpus(self, whole: float) -> int:
        """How many slices that want GPUs so many of them hold; a part of a slice lies on one GPU."""
        return int(whole // self.gpus) if self.gpus >= 1 else int(whole) * int(round(1 / self.gpus, 6))


class TrainingPlan(_Section):
    """What every trial of the study shares."""

    optimizer: Optimizer
    momentum: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    target: float = Field(gt=0, le=1, description="validation accuracy, a fraction")
    limit_s: float = Field(gt=0)
    epochs: int = Field(ge=1)
    evaluate_every_samples: int = Field(ge=1)
    precision: Precision = Field(default="float32", description="bf16: forward passes in bfloat16")
    memory_format: MemoryFormat = Field(default="contiguous", description="of images and weights")
    data_on_device: bool = Field(default=False, description="the training split lies on the device; no loader runs")

    @property
    def execution(self) -> Execution:
        """How it is computed."""
        return Execution(self.precision, self.memory_format, self.data_on_device)


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
            lowest, whole = {"learning_rate": (1e-12, False), "batch_size": (1, True), "num_workers": (0, True)}[name]
            for value in values:
                if value < lowest or (whole and value != int(value)):
                    raise ValueError(
                        f"sweep.over.{name} has {value:g}; it takes {'whole ' * whole}numbers from {lowest}"
                    )
        return self


def _searched(values: object) -> object:
    if isinstance(values, int | float) and not isinstance(values, bool):
        return Choices((values,))
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
        _check_gpus(self.slice)
        for name, searched in self.space.items():
            _check_space(name, searched, self.slice.cpus)
        for point in self.search.initial_points:
            for name in self.frameworks:
                _check_point(point, self.space[name])
        for name in self.frameworks:
            if problem := not_offered(
                name, self.training.execution, key="training.{}", todo="--set training.{}={}, or leave {} out"
            ):
                raise ValueError(problem)
        if self.training.data_on_device:
            self._check_no_loader()
        return self

    def _check_no_loader(self) -> None:
        """Refuse loader workers where nothing is left for them to load."""
        for key, workers in self._most_workers().items():
            if workers > 0:
                todo = "--set space.all.num_workers=0" if self.sweep is None else "--num-workers 0"
                raise ValueError(
                    f"training.data_on_device is true, but {key} is up to {workers:g}: {NO_LOADER}; {todo}"
                )

    def _most_workers(self) -> dict[str, float]:
        """The most loader workers that a trial may get, by the key that says so."""
        if self.sweep is None:
            return {
                f"space.{name}.num_workers": max(space["num_workers"].whole()) for name, space in self.space.items()
            }
        varied = {"sweep.over.num_workers": max(self.sweep.over.get("num_workers", (0,)))}
        return (
            varied
            if set(self.sweep.over) == {"num_workers"}
            else {**varied, "sweep.num_workers": self.sweep.num_workers}
        )

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


def _check_gpus(wanted: SlicePlan) -> None:
    """Whole ones, or a share of one where that is allowed."""
    if wanted.gpus == int(wanted.gpus):
        return
    if not SMALLEST_SHARE <= wanted.gpus < 1:
        raise ValueError(f"slice.gpus is {wanted.gpus:g}; give whole GPUs, or a share of one from {SMALLEST_SHARE} on")
    if not wanted.allow_shared_gpu:
        raise ValueError(
            f"slice.gpus is {wanted.gpus:g}, but trials that share a GPU slow one another down, and their times say "
            "little; give whole GPUs, or --allow-shared-gpu, which marks the report"
        )


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
