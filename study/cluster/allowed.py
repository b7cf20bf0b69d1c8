"""Which nodes of the cluster may be used now: the one place that knows which were left out, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray

from trainables.common.errors import UserError


@dataclass(frozen=True)
class Member:
    """A node that is up, as Ray describes it."""

    id: str
    address: str
    host: str
    port: int  # of its raylet
    resources: dict[str, float]

    def holds(self, *, cpus: float, gpus: float) -> bool:
        """Whether it is large enough for a slice."""
        return self.resources.get("CPU", 0.0) >= cpus and self.resources.get("GPU", 0.0) >= gpus


def members() -> list[Member]:
    """The nodes that Ray takes to be up."""
    return [_member(each) for each in ray.nodes() if each["Alive"]]


class Nodes:
    """The nodes that may be used: all that are up, those that join later included, but for those that were left out."""

    def __init__(self) -> None:
        self._out: dict[str, str] = {}  # why, by address

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
        return [node for node in members() if node.address not in self._out]

    def avoided(self) -> list[str]:
        """Ray's ids of those that must not be used."""
        if not self._out:
            return []
        return sorted(node.id for node in members() if node.address in self._out)

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


def _member(described: dict[str, Any]) -> Member:
    return Member(
        described["NodeID"],
        described["NodeManagerAddress"],
        described["NodeManagerHostname"],
        int(described["NodeManagerPort"]),
        dict(described["Resources"]),
    )
