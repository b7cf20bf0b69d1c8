"""What stands in for trainings, whatever it was recorded by."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from study.plan.plan import Plan
from study.replay.training import Terms, Training


class Recording(Protocol):
    """What stands in for trainings: a table, or a finished study."""

    @property
    def said(self) -> str:
        """What it is, in a line."""

    @property
    def plan(self) -> Plan:
        """The plan that it was recorded under, and that is replayed unless another is asked for."""

    @property
    def training_samples(self) -> int:
        """In an epoch."""

    def nearest(self, framework: str, point: Mapping[str, Any]) -> Hashable:
        """The recorded configuration that stands for a drawn one."""

    def configurations(self, framework: str) -> Sequence[Hashable]:
        """All of them."""

    def shown(self, configuration: Hashable) -> dict[str, Any]:
        """A configuration, for people."""

    def training(self, framework: str, configuration: Hashable, seed: int, terms: Terms) -> Training:
        """What a training under a seed would do."""

    def trainings(self, framework: str, configuration: Hashable, terms: Terms) -> Sequence[Training]:
        """All that were recorded of a configuration."""

    def evidence(self, framework: str, configuration: Hashable, terms: Terms) -> Sequence[tuple[float, Training]]:
        """The trainings that tell what a configuration is worth, each with its weight."""


def pick(seed: int, count: int) -> int:
    """Which of several recorded seeds a training's seed stands for: evenly, and not in turn."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0]) % count
