"""Options of several commands, a group at a time: one that is added to a group is an option of all its commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from study.cli.options import (
    REAL,
    RESULTS,
    Address,
    AllowMixed,
    CpuHour,
    DataDir,
    ExcludeNode,
    FrameworkOption,
    Frameworks,
    GpuHour,
    Name,
    OutDir,
    Settings,
    SharedGpu,
    SweepName,
    SweepSettings,
    SweptFrameworks,
    WorkloadOption,
    named,
    study_path,
    value_of,
)
from study.cluster.address import Place, place
from trainables.common.errors import UserError

if TYPE_CHECKING:
    from reports.tables.cost import Price
    from study.cluster.choice import NodeChoice

_USUAL = "the workload's"


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, in place of each parameter that is a dataclass, an option for each of its fields."""
    known = signature(command, eval_str=True)
    groups: dict[str, Any] = {
        name: each.annotation for name, each in known.parameters.items() if is_dataclass(each.annotation)
    }

    @wraps(command)
    def run(**given: Any) -> None:
        for name, kind in groups.items():
            given[name] = kind(**{each.name: given.pop(each.name) for each in fields(kind)})
        command(**given)

    options = (_options(each.annotation) if name in groups else [each] for name, each in known.parameters.items())
    own = known.replace(parameters=[each for several in options for each in several])
    run.__signature__ = own  # type: ignore[attr-defined]
    return run


def _options(kind: type) -> list[Parameter]:
    types = get_type_hints(kind, include_extras=True)
    return [
        Parameter(
            each.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if each.default is MISSING else each.default,
            annotation=types[each.name],
        )
        for each in fields(kind)
    ]


@dataclass(frozen=True)
class Begun:
    """What a study that is begun is called, and where it lies."""

    name: Name = None
    out_dir: OutDir = RESULTS

    def path(self, default: str, source: str) -> Path:
        """The study's folder; parameters as of `study_path`."""
        return study_path(self.out_dir, self.name, default, source)


@dataclass(frozen=True)
class BegunSweep(Begun):
    """The same of a sweep."""

    name: SweepName = None


@dataclass(frozen=True)
class Changes:
    """What is to be changed of a plan."""

    frameworks: Frameworks = None
    settings: Settings = None
    allow_shared_gpu: SharedGpu = False

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self.frameworks or self.settings or self.allow_shared_gpu)

    def of_plan(self) -> dict[str, list[str] | None]:
        """Keyword arguments of whoever loads the plan."""
        sharing = ["slice.allow_shared_gpu=true"] * self.allow_shared_gpu
        return {"settings": [*(self.settings or []), *sharing], "frameworks": self._names()}

    def _names(self) -> list[str] | None:
        if self.frameworks is None:
            return None
        names = named(self.frameworks)
        if not names:
            raise UserError(f"--frameworks names none; give {', '.join(REAL)} or available")
        return names


@dataclass(frozen=True)
class SweepChanges(Changes):
    """The same of a sweep's plan."""

    frameworks: SweptFrameworks = None
    settings: SweepSettings = None


@dataclass(frozen=True)
class Running:
    """Where a study runs, and with which data."""

    address: Address = None
    exclude_node: ExcludeNode = None
    allow_mixed: AllowMixed = False
    data_dir: DataDir = None

    @property
    def place(self) -> Place:
        """The cluster."""
        return place(self.address)

    @property
    def choice(self) -> NodeChoice:
        """What is wanted of its nodes."""
        from study.cluster.choice import NodeChoice

        return NodeChoice(tuple(self.exclude_node or ()), self.allow_mixed)


@dataclass(frozen=True)
class Prices:
    """What an hour of hardware costs."""

    gpu_hour: GpuHour = None
    cpu_hour: CpuHour = None

    def checked(self) -> Price:
        """`UserError` where one is no price."""
        from study.store.price import checked

        return checked(self.gpu_hour, self.cpu_hour)


@dataclass(frozen=True)
class Training:
    """A training outside a study, as it was typed; None where the workload says it."""

    framework: FrameworkOption
    workload: WorkloadOption
    learning_rate: Annotated[
        float | None, typer.Option(metavar="RATE", help="Learning rate, at its highest.", show_default=_USUAL)
    ] = None
    batch_size: Annotated[int | None, typer.Option(metavar="N", help="Samples in a batch.", show_default=_USUAL)] = None
    num_workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Loader processes or threads; 0 loads in line.", show_default=_USUAL),
    ] = None
    optimizer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The optimizer: sgd, nesterov, adam or adamw.", show_default=_USUAL),
    ] = None
    momentum: Annotated[
        float | None,
        typer.Option(metavar="X", help="Momentum of sgd and nesterov, from 0 to below 1.", show_default=_USUAL),
    ] = None
    weight_decay: Annotated[
        float | None,
        typer.Option(metavar="X", help="L2, added to the gradient; of adamw, apart from it.", show_default=_USUAL),
    ] = None
    schedule: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of the learning rate: constant, cosine or one_cycle.", show_default=_USUAL),
    ] = None
    warm_up: Annotated[
        float | None,
        typer.Option(metavar="X", help="Share of all steps over which the rate rises.", show_default=_USUAL),
    ] = None
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="An option of the model, as in hidden=64; give it again for others.",
            show_default=_USUAL,
        ),
    ] = None
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Train so many, whatever the accuracy; with --target, at most so many.",
            show_default="until the target",
        ),
    ] = None
    target: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Validation accuracy to stop at, a fraction; or validation loss.",
            show_default=_USUAL,
        ),
    ] = None
    device: Annotated[str, typer.Option(metavar="NAME", help="Where to train: auto, cpu or cuda.")] = "auto"
    precision: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="float32, or bf16 for forward passes in bfloat16.", show_default=_USUAL),
    ] = None
    memory_format: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of images and weights: contiguous or channels_last.", show_default=_USUAL),
    ] = None
    data_on_device: Annotated[
        bool, typer.Option("--data-on-device", help="Keep the training split on the device; no loader runs.")
    ] = False
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="Compute threads.", show_default="every usable CPU")
    ] = None
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the sample order and of the initial weights.")] = 0

    def options(self) -> dict[str, bool | int | float | str]:
        """The model's options by name; `UserError` where one is not written so."""
        return dict(_option(each) for each in self.option or [])


def _option(text: str) -> tuple[str, bool | int | float | str]:
    """``hidden=64`` as a name and its value."""
    name, separator, value = text.partition("=")
    if not separator or not name.strip() or not value.strip():
        raise UserError(f"--option {text}: write name=value, as in --option hidden=64")
    return name.strip(), value_of(value.strip())
