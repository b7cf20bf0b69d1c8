"""Nodes on which trials keep failing alike get no more of them: a fault of a node must not become a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from study.cluster.allowed import Nodes
from study.driver.failures import kind_of

IN_A_ROW = 3  # trials of one framework that fail alike on one node, with none between them that worked


class NoHostLeft(Exception):
    """Trials failed alike on every node."""


@dataclass
class _Streak:
    """Failures in a row of one framework on one node."""

    kind: str = ""
    trials: set[str] = field(default_factory=set)


class Blame:
    """Counts failures by node, and leaves a node out where they repeat.

    Parameters
    ----------
    nodes
        Of the cluster.
    say
        Told when a node is left out.
    """

    def __init__(self, nodes: Nodes, *, say: Callable[[str], None]) -> None:
        self._nodes = nodes
        self._say = say
        self._streaks: dict[tuple[str, str], _Streak] = {}  # by node and framework
        self._failed_at: dict[str, str] = {}  # where the last attempt of a trial was that failed for good, by its id
        self._last_error = ""

    def worked(self, framework: str, node_id: str) -> None:
        """A trial has evaluated on the node with Ray's id."""
        self._streaks.pop((node_id, framework), None)

    def failed(self, trial_id: str, framework: str, node_id: str, error: str, *, for_good: bool = False) -> None:
        """An attempt failed there; ``for_good`` where it was the trial's last."""
        address = self._nodes.address(node_id)
        if address is None:
            return
        if for_good:
            self._failed_at[trial_id] = address
        if self._nodes.is_out(address):
            return
        streak = self._streaks.setdefault((node_id, framework), _Streak())
        if streak.kind != (kind := kind_of(error)):
            streak.kind, streak.trials = kind, set()
        streak.trials.add(trial_id)
        if len(streak.trials) == IN_A_ROW:
            self._take_out(address, error)

    def _take_out(self, address: str, error: str) -> None:
        self._nodes.exclude(address, f"{IN_A_ROW} trials in a row failed there with: {error}")
        self._last_error = f"{IN_A_ROW} trials in a row failed on {address} with: {error}"
        rest = "; what failed there runs again elsewhere" if self._nodes.usable() else ""
        self._say(f"node {address} gets no more trials: {IN_A_ROW} in a row failed there with: {error}{rest}")

    def owed(self) -> list[str]:
        """Ids of trials that failed where no trial should have been, once each."""
        found = [name for name, address in self._failed_at.items() if self._nodes.is_out(address)]
        for name in found:
            del self._failed_at[name]
        return found

    def look(self) -> None:
        """To be called between trials.

        Raises
        ------
        NoHostLeft
            When no node is left to which trials could be given.
        """
        if self._last_error and not self._nodes.usable():
            raise NoHostLeft(f"no node is left that trials do not fail on: {self._last_error}")
