"""Options of several commands, a group at a time: one that is added to a group is an option of all its commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from study.cli.options import (
    REAL,
    RESULTS,
    Address,
    AllowMixed,
    CpuHour,
    DataDir,
    ExcludeNode,
    Frameworks,
    GpuHour,
    Name,
    OutDir,
    Settings,
    SharedGpu,
    SweepName,
    SweepSettings,
    SweptFrameworks,
    study_path,
)
from study.cluster.address import Place, place
from trainables.common.errors import UserError

if TYPE_CHECKING:
    from reports.tables.cost import Price
    from study.cluster.choice import NodeChoice


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
        Parameter(each.name, Parameter.KEYWORD_ONLY, default=each.default, annotation=types[each.name])
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
        names = [each.strip() for each in self.frameworks.split(",") if each.strip()]
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
