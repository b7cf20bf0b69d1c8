"""Which nodes of the cluster may be used now: the one place that knows which were left out, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray._private.state import state

from study.plan.plan import SlicePlan
from trainables.common.errors import UserError


@dataclass(frozen=True)
class Member:
    """A node that is up, as Ray describes it."""

    id: str
    address: str
    host: str
    port: int  # of its raylet
    resources: dict[str, float]
    draining: bool = False  # it ends when its work does, or at a time limit, and takes nothing new

    def slots(self, wanted: SlicePlan) -> int:
        """How many slices it holds at once; none where it is too small."""
        return wanted.fitting(self.resources.get("CPU", 0.0), self.resources.get("GPU", 0.0))


def members() -> list[Member]:
    """The nodes that Ray takes to be up."""
    leaving = draining()
    return [_member(each, leaving) for each in ray.nodes() if each["Alive"]]


def draining() -> frozenset[str]:
    """Ray's ids of the nodes that are being drained."""
    return frozenset(state.get_draining_nodes())


class Nodes:
    """The nodes that may be used: those that are up, but for those that were left out, or not let in.

    A node that joins while a study runs is a stranger until it is let in; before `admit` is called all are used.
    """

    def __init__(self) -> None:
        self._out: dict[str, str] = {}  # why, by address
        self._admitted: set[str] | None = None  # Ray's ids

    def admit(self, nodes: Iterable[Member]) -> None:
        """Use these, and from now on none that was not admitted."""
        self._admitted = (self._admitted or set()) | {node.id for node in nodes}

    def strangers(self) -> list[Member]:
        """Those that are up and were neither admitted nor left out."""
        if self._admitted is None:  # Ray is not asked for nothing
            return []
        return [node for node in self._not_left_out() if node.id not in self._admitted]

    def exclude(self, address: str, why: str) -> None:
        """From now on no trial is placed there."""
        self._out.setdefault(address, why)

    def is_out(self, address: str | None) -> bool:
        """Whether a node was left out."""
        return address in self._out

    @property
    def excluded(self) -> dict[str, str]:
        """Why each was left out, by address."""
        return dict(self._out)

    def usable(self) -> list[Member]:
        """Those that are up and may be used now."""
        return [node for node in self._not_left_out() if self._admitted is None or node.id in self._admitted]

    def _not_left_out(self) -> list[Member]:
        return [node for node in members() if node.address not in self._out and not node.draining]

    def address(self, node_id: str) -> str | None:
        """The address of a node, that is up or was; None where it is not known."""
        return next((node.address for node in map(_member, ray.nodes()) if node.id == node_id), None)


def leave_out(nodes: Nodes, unwanted: Sequence[str]) -> None:
    """Leave out what the user does not want.

    Raises
    ------
    UserError
        When there is no such node, or none is left.
    """
    up = members()
    for name in unwanted:
        meant = [node for node in up if name in (node.address, node.host)]
        if not meant:
            there = ", ".join(sorted({node.address for node in up}))
            raise UserError(f"--exclude-node {name}: the cluster has no such node (it has {there})")
        for node in meant:
            nodes.exclude(node.address, "excluded by --exclude-node")
    if not nodes.usable():
        raise UserError("--exclude-node leaves no node of the cluster")


def _member(described: dict[str, Any], leaving: Collection[str] = ()) -> Member:
    return Member(
        described["NodeID"],
        described["NodeManagerAddress"],
        described["NodeManagerHostname"],
        int(described["NodeManagerPort"]),
        dict(described["Resources"]),
        described["NodeID"] in leaving,
    )
