"""Whether a trial's slice fits on a node, and how many fit at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from study.cluster.allowed import Nodes
from study.cluster.nodes import Node
from study.plan.plan import SlicePlan
from trainables.common.errors import UserError

ASK_AGAIN_S = 2.0
LOOK_INTERVAL_S = 1.0


class Slots:
    """How many trials a search may run at once: what fits, and what the plan allows.

    Parameters
    ----------
    nodes
        Those that may be used.
    growing
        Whether nodes may join and leave; else what fits at first is what fits.
    """

    def __init__(self, wanted: SlicePlan, nodes: Nodes, *, growing: bool) -> None:
        self._wanted = wanted
        self._nodes = nodes
        self._growing = growing
        self._fitting = 0
        self._asked_at: float | None = None

    def now(self) -> int:
        """Asked of Ray anew now and then."""
        moment = time.monotonic()
        if self._asked_at is None or (self._growing and moment - self._asked_at > ASK_AGAIN_S):
            self._fitting = sum(node.slots(self._wanted) for node in self._nodes.usable())
            self._asked_at = moment
        return min(self._fitting, self._wanted.max_concurrent or self._fitting)

    @property
    def several(self) -> bool:
        """Whether there may ever be more than one at once."""
        return self._wanted.max_concurrent != 1 and (self._growing or self.now() > 1)


def check_slice(wanted: SlicePlan, nodes: Nodes) -> None:
    """Make sure that a trial's slice fits on a node: Ray would wait for such a node for ever, without a word.

    Raises
    ------
    UserError
        When no node is large enough.
    """
    usable = nodes.usable()
    if not any(node.slots(wanted) for node in usable):
        resources = [node.resources for node in usable]
        have = "; ".join(f"{each.get('CPU', 0):g} CPUs and {each.get('GPU', 0):g} GPUs" for each in resources)
        raise UserError(
            f"no node can hold a slice of {wanted.cpus} CPUs and {wanted.gpus} GPUs (nodes have: {have}); "
            "set slice.cpus and slice.gpus to less"
        )


def nodes_for(wanted: SlicePlan, nodes: Nodes) -> list[Node]:
    """The nodes that are up now, may be used and can hold a slice, in an order that stays."""
    found = [Node(node.id, node.host, slots) for node in nodes.usable() if (slots := node.slots(wanted))]
    return sorted(found, key=lambda node: (node.host, node.id))


class NodeLost(Exception):
    """A node on which a trial has to run is gone."""


class NodeWatch:
    """Looks whether the nodes are up on which trials have to run: for one that is gone Ray would wait for ever.

    Parameters
    ----------
    nodes
        Those that are up.
    """

    def __init__(self, nodes: Callable[[], Sequence[Node]]) -> None:
        self._nodes = nodes
        self._looked_at = 0.0

    def gone(self, node: str) -> bool:
        """Whether the node with this id is not up any more."""
        return node not in {each.id for each in self._nodes()}

    def look(self, waiting: Iterable[tuple[str, str]]) -> None:
        """To be called again and again.

        Parameters
        ----------
        waiting
            Of each trial that waits for its node, the node's id and host.

        Raises
        ------
        NodeLost
            When such a node is gone.
        """
        waiting = list(waiting)
        if not waiting or time.monotonic() - self._looked_at < LOOK_INTERVAL_S:
            return
        self._looked_at = time.monotonic()
        up = {node.id for node in self._nodes()}
        lost = {host for node, host in waiting if node not in up}
        if lost:
            raise NodeLost(f"lost {', '.join(sorted(lost))}")
