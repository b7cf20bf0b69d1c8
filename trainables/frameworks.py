"""The frameworks. One entry and one folder each; whatever tells frameworks apart elsewhere is read from the entry.

The folder is ``trainables/NAME``; its ``backend`` module is imported only where the framework runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trainables.common.errors import UserError
from trainables.common.house import HOUSE
from trainables.common.suggest import nearest
from trainables.contract import Device, Execution, Loading, Option, Readiness, Tried
from trainables.examination import examine, try_models
from trainables.workloads.workload import MODEL_FILES, Made, Workload

if TYPE_CHECKING:
    from trainables.contract import Start, StartTrace


@dataclass(frozen=True)
class Framework:
    """One framework.

    Parameters
    ----------
    name
        In plans and records; its folder's, too.
    title
        As its authors write it.
    colour, colour_on_dark
        In figures; on a dark page.
    imports
        What its folder may import and nobody else may; the first is what must be installed; none where all have them.
    distribution
        Whose version a study's provenance records; None for none.
    runtime
        A module that knows what else it needs: ``missing() -> str | None``, ``versions() -> dict``, ``environment() ->
        dict`` (variables for its trials), ``lockfile() -> Path | None`` (exact versions of its own packages).
    check
        A module with a ``look`` (`trainables.contract.Look`), which finds what it can use on a machine, and a
        ``try_model`` (`trainables.contract.TryModel`), which builds a model; None where that is not known before it
        runs.
    language
        Of its models' files, a key of `Workload.models`; None where it trains whatever there is: simulated ones.
    sources
        Files and folders, beside its own folder, that decide what it computes.
    offers
        Fields of `contract.Execution` and values of theirs that its backend has besides the defaults.
    traced
        Whether its backend has ``start_trace``, so that ``tuneoff verify`` can compare it; the first is the reference.
    real
        False keeps it out of ``available``: it is for tests.
    on_request
        True keeps it out of ``available``, too, and out of what ``tuneoff verify`` compares: it is asked for by name.
    first_step_s
        Seconds within which its first step must be done on a busy machine, where nodes are asked: it may compile.
    home, module
        Where its backend lies, when that is not ``trainables/NAME/backend.py``: a folder and a file in it.
    """

    name: str
    title: str
    colour: str
    colour_on_dark: str
    imports: tuple[str, ...]
    distribution: str | None = None
    runtime: str | None = None
    check: str | None = None
    language: str | None = None
    sources: tuple[str, ...] = ()
    offers: tuple[tuple[str, object], ...] = ()
    traced: bool = True
    real: bool = True
    on_request: bool = False
    first_step_s: float = 120.0  # importing a framework from a cold, slow disk takes half of it
    home: str = ""
    module: str = "backend"

    def missing(self) -> str | None:
        """Why it cannot run here and what to do, or None when it can."""
        if self.imports and find_spec(self.imports[0]) is None:
            return f"{self.title} is not installed; run `pip install {self.distribution or self.imports[0]}`"
        return cast("str | None", self._runtime("missing", None))

    def versions(self) -> dict[str, str | None]:
        """Versions of what it computes with."""
        if self.distribution is None:
            return {}
        try:
            installed: str | None = version(self.distribution)
        except PackageNotFoundError:
            installed = None
        return {self.distribution: installed, **self._runtime("versions", {})}

    def environment(self) -> dict[str, str]:
        """Variables that its trials need, found once by the driver; `UserError` when it cannot run here."""
        return dict(self._runtime("environment", {}))

    def examine(self, *, device: Device = "cpu", loadings: Sequence[Loading] = ()) -> Readiness:
        """What it can use on this machine, found in a process of its own; seconds.

        Parameters
        ----------
        device
            What trainings shall run on; GPUs are looked for only where it is ``cuda``.
        loadings
            What loader workers will have to do, at most; each is tried.
        """
        if self.check is None:
            return Readiness(no_device=f"{self.title} has none", no_loading=(None,) * len(loadings))
        return examine(self.check, device=device, loadings=loadings)

    def try_models(self, workload: Workload, points: Sequence[Mapping[str, Option]], made: Made) -> list[Tried]:
        """Build a workload's model with each of these options, in a process of its own; up to the first that fails.

        Parameters
        ----------
        made
            What the data come to.
        """
        if self.check is None or self.language is None:
            return []
        model = self.model_file(workload)
        variables = self.environment()
        return try_models(self.check, model, points, shape=made.shape, outputs=made.outputs, environment=variables)

    def lacking(self, wanted: Execution) -> Iterator[tuple[str, object, object]]:
        """What is wanted and not offered: name of the field, value, and the default that is offered."""
        for each in fields(wanted):
            value = getattr(wanted, each.name)
            if value != each.default and (each.name, value) not in self.offers:
                yield each.name, value, each.default

    def trains(self, workload: Workload) -> bool:
        """Whether a workload has a model for it."""
        return self.language is None or self.language in workload.models

    def model_file(self, workload: Workload) -> Path:
        """The file of a workload that builds its model; `UserError` where there is none."""
        if not self.trains(workload):
            file = MODEL_FILES[self.language or ""]
            raise UserError(f"{self.title} cannot train {workload.name}: {workload.folder} has no {file}")
        return workload.folder if self.language is None else workload.models[self.language]

    def lockfile(self) -> Path | None:
        """The file that names the exact versions of its own packages, where it has one."""
        return cast("Path | None", self._runtime("lockfile", None))

    def files(self) -> list[Path]:
        """What decides what it computes: the files of its folder and of `sources`."""
        folders = [HOUSE / "trainables" / (self.home or self.name), *(HOUSE / source for source in self.sources)]
        return [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in (".py", ".jl")]

    def start(self) -> Start:
        """Import the backend, and with it the framework; only ever call this in a trial's process."""
        return cast("Start", self._backend().start)

    def start_trace(self) -> StartTrace:
        """Like `start`, for ``tuneoff verify``."""
        return cast("StartTrace", self._backend().start_trace)

    def _backend(self) -> Any:
        return import_module(f"trainables.{self.home or self.name}.{self.module}")

    def _runtime(self, function: str, default: Any) -> Any:
        if self.runtime is None:
            return default
        call: Callable[[], Any] = getattr(import_module(self.runtime), function)
        return call()


_ALL = (("precision", "bf16"), ("memory_format", "channels_last"), ("data_on_device", True))
_FRAMEWORKS = (  # colours: Okabe and Ito's palette, told apart by all kinds of colour vision
    Framework(
        "pytorch",
        "PyTorch",
        colour="#d55e00",
        colour_on_dark="#ff8f45",
        imports=("torch", "torchvision"),
        distribution="torch",
        language="python",
        check="trainables.pytorch.check",
        offers=_ALL,
    ),
    Framework(
        "flux",
        "Flux",
        colour="#0072b2",
        colour_on_dark="#5bb4f0",
        imports=("juliacall", "juliapkg"),
        distribution="juliacall",
        language="julia",
        runtime="trainables.flux.runtime",
        check="trainables.flux.check",
        sources=("julia/src",),
        first_step_s=300.0,  # Julia compiles a model that it has not seen
    ),
    Framework(
        "pytorch-compile",
        "PyTorch compiled",
        colour="#009e73",
        colour_on_dark="#3cc79c",
        imports=("torch",),
        distribution="torch",
        language="python",
        runtime="trainables.pytorch_compile.runtime",
        check="trainables.pytorch.check",
        sources=("trainables/pytorch",),
        offers=_ALL,
        on_request=True,
        first_step_s=600.0,  # half a minute of a CPU's time, in three compilers' processes: a tenth of one is enough
        home="pytorch_compile",
    ),
    Framework(
        "simulated",
        "Simulated",
        colour="#e69f00",
        colour_on_dark="#f5b93a",
        imports=("numpy",),
        offers=_ALL,  # and minds none
        traced=False,
        real=False,
    ),
    Framework(
        "simulated2",  # so that a study of two frameworks can be simulated
        "Simulated 2",
        colour="#cc79a7",
        colour_on_dark="#e29bc4",
        imports=("numpy",),
        offers=_ALL,
        traced=False,
        real=False,
        home="simulated",
        module="slower",
    ),
)
FRAMEWORKS = {each.name: each for each in _FRAMEWORKS}


def framework(name: str) -> Framework:
    """The framework of this name.

    Raises
    ------
    UserError
        When there is none; the message names the nearest.
    """
    if name not in FRAMEWORKS:
        raise UserError(f"unknown framework '{name}'{nearest(name, FRAMEWORKS)}")
    return FRAMEWORKS[name]


def available() -> list[str]:
    """Names of the real frameworks that can run here and need not be asked for by name."""
    return [each.name for each in FRAMEWORKS.values() if each.real and not each.on_request and each.missing() is None]


def traced() -> list[str]:
    """Names of those that ``tuneoff verify`` can compare, the reference first."""
    return [each.name for each in FRAMEWORKS.values() if each.traced]
