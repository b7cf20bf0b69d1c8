"""All nodes are asked at once what they are, each in a trial's slice of its own; none may keep the others waiting."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray._private.state import available_resources_per_node
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.cluster.allowed import Member, members
from study.plan.completing import told
from study.plan.loading import loadings, smallest
from study.plan.plan import Plan
from trainables.common.helpers import telling
from trainables.common.house import code_digest
from trainables.contract import Device
from trainables.frameworks import framework
from trainables.node import NodeFacts, Request, clock, look
from trainables.rehearsal import Piece
from trainables.workloads.prepared import facts
from trainables.workloads.workload import Workload

ANSWER_S = 60.0  # for all nodes together, besides the steps that they take
KNOCK_TIMEOUT_S = 5.0
CLOCK_TIMEOUT_S = 10.0
_ROUNDS = 3  # of asking for the time; the quickest answer counts


@dataclass(frozen=True)
class Probed:
    """What came of asking.

    Parameters
    ----------
    facts
        Of every node that is there.
    gone
        Nodes that Ray lists as alive, and that are not.
    """

    facts: tuple[NodeFacts, ...]
    gone: tuple[Member, ...]


def probe(
    nodes: Sequence[Member], plan: Plan, workload: Workload, marker: str | None, *, timeout_s: float | None = None
) -> Probed:
    """Ask nodes what they are, and let each take a training step of every framework of a plan.

    Parameters
    ----------
    workload
        What the plan trains, in a folder that the nodes see.
    marker
        See `trainables.node.Request`.
    timeout_s
        For all of them together; if not given, what the frameworks' first steps may take one after the other.
    """
    if timeout_s is None:
        timeout_s = ANSWER_S + sum(framework(name).first_step_s for name in plan.frameworks)
    there = _there(nodes)
    free = available_resources_per_node()
    pending = {_send(node, plan, workload, marker, free.get(node.id, {})): node for node in nodes if node.id in there}
    answered, _ = ray.wait(list(pending), num_returns=len(pending), timeout=timeout_s) if pending else ([], [])
    facts: list[NodeFacts] = []
    gone = [node for node in nodes if node.id not in there]
    for reference, node in pending.items():
        if reference in set(answered):
            found, failed = _answer(reference, node)
        else:
            ray.cancel(reference, force=True)
            found, failed = NodeFacts(node.address, (f"it did not answer in {timeout_s:g} s",), node.host), True
        if failed and not _there([node]):
            gone.append(node)
        else:
            facts.append(replace(found, dealt=node.resources.get("CPU", 0.0)))
    return Probed(tuple(_with_skews(facts, nodes)), tuple(gone))


def _send(node: Member, plan: Plan, workload: Workload, marker: str | None, free: dict[str, float]) -> Any:
    """Ask a node, in a slice where one is free: what others hold is not worth waiting for."""
    gpus = plan.slice.gpus
    idle = free.get("CPU", 0.0) >= plan.slice.cpus and free.get("GPU", 0.0) >= gpus
    trainings = tuple(_trainings(plan, workload, node, gpu=idle and gpus > 0))
    asked: Any = ray.remote(look).options(
        num_cpus=plan.slice.cpus if idle else 0,
        num_gpus=gpus if idle else 0,
        max_retries=0,
        scheduling_strategy=_on(node),
    )
    return asked.remote(Request(code_digest(), marker, trainings))


def _trainings(plan: Plan, workload: Workload, node: Member, *, gpu: bool) -> list[Piece]:
    """A small training of every framework, and what its loader workers must do there."""
    fitting = max(1, node.slots(plan.slice))
    device: Device = "cuda" if gpu else "cpu"
    made = facts(workload)
    return [
        Piece(
            replace(smallest(plan, name), device=device),
            told(workload),
            made,
            tuple(loadings(plan, name, made=made, fitting=fitting)),
        )
        for name in plan.frameworks
    ]


def _answer(reference: Any, node: Member) -> tuple[NodeFacts, bool]:
    """What a node said; and whether the asking itself failed."""
    try:
        return NodeFacts(node.address, **ray.get(reference)), False
    except Exception as error:  # whatever a foreign node can do wrong, the user needs its name
        return NodeFacts(node.address, (telling(str(error)) or type(error).__name__,), node.host), True


def _there(nodes: Sequence[Member]) -> set[str]:
    """Ids of the nodes that are up and answer: Ray takes its time to notice that one is gone."""
    up = {node.id for node in members()}
    with ThreadPoolExecutor(max_workers=32) as pool:
        answers = pool.map(_answers, nodes)
        return {node.id for node, answers in zip(nodes, answers, strict=True) if answers and node.id in up}


def _answers(node: Member) -> bool:
    try:
        socket.create_connection((node.address, node.port), timeout=KNOCK_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _with_skews(facts: Sequence[NodeFacts], nodes: Sequence[Member]) -> list[NodeFacts]:
    """Say of each node that can take part how far its clock is off, from the time that asking takes."""
    by_address = {node.address: node for node in nodes}
    able = [each.address for each in facts if not each.lacks]
    best: dict[str, tuple[float, float]] = {}
    for _ in range(_ROUNDS):
        for address, (skew_s, within_s) in _skews([by_address[address] for address in able]).items():
            if address not in best or within_s < best[address][1]:
                best[address] = (skew_s, within_s)
    return [
        replace(each, clock_skew_s=best[each.address][0], clock_skew_within_s=best[each.address][1])
        if each.address in best
        else each
        for each in facts
    ]


def _skews(nodes: Sequence[Member]) -> dict[str, tuple[float, float]]:
    """Skew and uncertainty in seconds, by address; all nodes at once."""
    asked: Any = ray.remote(clock)
    sent, left = {}, {}
    for node in nodes:
        reference = asked.options(num_cpus=0, max_retries=0, scheduling_strategy=_on(node)).remote()
        sent[reference], left[reference] = time.time(), node
    deadline, found = time.monotonic() + CLOCK_TIMEOUT_S, {}
    while left and (remaining := deadline - time.monotonic()) > 0:
        ready, _ = ray.wait(list(left), num_returns=1, timeout=remaining)
        now = time.time()
        for reference in ready:
            node = left.pop(reference)
            try:
                told = float(ray.get(reference))
            except Exception:  # gone meanwhile; its trials will tell
                continue
            half_s = (now - sent[reference]) / 2
            found[node.address] = (round(told - sent[reference] - half_s, 4), round(half_s, 4))
    return found


def _on(node: Member) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node.id, soft=False)
