"""What happens to a shared cluster while a study runs there: nodes come and go, and others hold the CPUs."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

import ray
from ray.util import placement_group_table

from study.cluster.allowed import Member, members
from study.plan.plan import SlicePlan

LOOK_INTERVAL_S = 2.0
PATIENCE_S = 5.0
SAY_AGAIN_S = 60.0


class ClusterWatch:
    """Tells of nodes that join, are drained or are gone, and of trials that wait because others hold what they need.

    Parameters
    ----------
    wanted
        A trial's slice.
    joining
        Called where nodes may have joined: lets them in.
    say
        Told in a line.
    """

    def __init__(self, wanted: SlicePlan, *, joining: Callable[[], None], say: Callable[[str], None]) -> None:
        self._wanted = wanted
        self._joining = joining
        self._say = say
        self._nodes = _nodes()
        self._looked_at = float("-inf")
        self._waiting_since: float | None = None
        self._said_at: float | None = None

    def look(self, states: Collection[str], *, now: float | None = None) -> None:
        """To be called again and again.

        Parameters
        ----------
        states
            Tune's of all trials.
        now
            ``time.monotonic()``, if not given.
        """
        now = time.monotonic() if now is None else now
        if now - self._looked_at < LOOK_INTERVAL_S:
            return
        self._looked_at = now
        self._tell_nodes()
        self._joining()
        self._tell_waiting(states, now)

    def _tell_nodes(self) -> None:
        before, nodes = self._nodes, _nodes()
        for each in before.keys() - nodes.keys():
            rest = "" if before[each].draining else "; its trials run elsewhere"
            self._say(f"node {before[each].address} is gone{rest}")
        for each in nodes.keys() - before.keys():
            self._say(f"node {nodes[each].address} has joined, with {nodes[each].resources.get('CPU', 0.0):g} CPUs")
        for each, node in nodes.items():
            if node.draining and not (each in before and before[each].draining):
                self._say(f"node {node.address} is being drained: it gets no more trials, and those on it go on")
        self._nodes = nodes

    def _tell_waiting(self, states: Collection[str], now: float) -> None:
        if "RUNNING" in states or "PENDING" not in states or _has_slice():
            if self._said_at is not None:
                self._say("going on")
            self._waiting_since = self._said_at = None
            return
        self._waiting_since = now if self._waiting_since is None else self._waiting_since
        due = self._waiting_since + PATIENCE_S if self._said_at is None else self._said_at + SAY_AGAIN_S
        if now >= due:
            self._said_at = now
            kind, needed = ("GPU", self._wanted.gpus) if self._wanted.gpus else ("CPU", self._wanted.cpus)
            self._say(f"waiting: {_free(kind)} free; a trial needs {needed} on one node")


def _nodes() -> dict[str, Member]:
    """The nodes that are up, by Ray's id: one that came again has another."""
    return {node.id: node for node in members()}


def _has_slice() -> bool:
    """Whether Ray has given us one, in which a trial's process may still be starting."""
    job = ray.get_runtime_context().get_job_id()  # the ids of what a job creates end with its own
    groups = placement_group_table().values()
    return any(each["state"] == "CREATED" and each["placement_group_id"].endswith(job) for each in groups)


def _free(kind: str) -> str:
    """For instance ``0 of 8 CPUs``."""
    free, there = ray.available_resources().get(kind, 0.0), ray.cluster_resources().get(kind, 0.0)
    return f"{free:g} of {there:g} {kind}s"
