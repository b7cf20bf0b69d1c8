"""The frameworks by name, and the module that holds each one's backend, imported only where it is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from trainables.common.errors import UserError
from trainables.common.suggest import nearest
from trainables.contract import Start, StartTrace
from trainables.flux import runtime as julia_runtime


@dataclass(frozen=True)
class Framework:
    """One framework. Adding another is one entry here and one backend module."""

    name: str
    title: str
    module: str
    requires: str  # the import name that must be installed
    distribution: str | None  # whose version a study's provenance records
    real: bool = True  # False keeps it out of "available": it is for tests
    also_requires: Callable[[], str | None] | None = None  # what else is missing here, and what to do

    def missing(self) -> str | None:
        """Why it cannot run here and what to do, or None when it can."""
        if find_spec(self.requires) is None:
            return f"{self.title} is not installed; run `pip install {self.requires}`"
        return self.also_requires() if self.also_requires is not None else None

    def start(self) -> Start:
        """Import the backend, and with it the framework; only ever call this in a trial's process."""
        return cast(Start, import_module(self.module).start)

    def start_trace(self) -> StartTrace:
        """Like `start`, for ``tuneoff verify``."""
        return cast(StartTrace, import_module(self.module).start_trace)


FRAMEWORKS = {
    framework.name: framework
    for framework in (
        Framework("pytorch", "PyTorch", "trainables.pytorch.backend", requires="torch", distribution="torch"),
        Framework(
            "flux",
            "Flux",
            "trainables.flux.backend",
            requires="juliacall",
            distribution="juliacall",
            also_requires=julia_runtime.missing,
        ),
        Framework(
            "simulated",
            "Simulated",
            "trainables.simulated.backend",
            requires="numpy",
            distribution=None,
            real=False,
        ),
    )
}


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
    """Names of the real frameworks that can run here."""
    return [framework.name for framework in FRAMEWORKS.values() if framework.real and framework.missing() is None]
