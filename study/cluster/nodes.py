"""The nodes of the cluster: which are up, and whether each can take part."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.plan.loading import loadings
from study.plan.plan import Plan
from trainables.common.errors import UserError
from trainables.common.machine import Cpus, cpus
from trainables.contract import Loading
from trainables.frameworks import framework

PROBE_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Node:
    """A node that is up and can hold a slice.

    Parameters
    ----------
    id
        Ray's; it is new whenever a machine joins again.
    host
        The machine's name, as in the records.
    slots
        Slices that it holds at once.
    """

    id: str
    host: str
    slots: int


def alive_nodes() -> list[dict[str, Any]]:
    """Ray's description of the nodes that are up."""
    return [node for node in ray.nodes() if node["Alive"]]


def check_nodes(folder: Path, plan: Plan, *, say: Callable[[str], None]) -> None:
    """Make sure that every node can import the project, has the frameworks, and shares the study's folder.

    Loader workers are tried there, too: in shared memory of a container's default size large batches have no room.
    Where a node lacks one of these, each trial there fails while Tune itself ends as if all were well.

    Parameters
    ----------
    say
        Told of nodes whose Ray deals out more CPUs than they may use.

    Raises
    ------
    UserError
        Naming the node and what it lacks.
    """
    marker = folder / f".probe-{uuid.uuid4().hex}"
    marker.write_text("driver")
    try:
        for node in alive_nodes():
            here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            fitting = int(node["Resources"].get("CPU", 0) // plan.slice.cpus)
            wanted = {name: loadings(plan, name, fitting=fitting) if fitting else [] for name in plan.frameworks}
            pending = _probe.options(scheduling_strategy=here, num_cpus=0).remote(str(marker), wanted)
            try:
                problem, ours = ray.get(pending, timeout=PROBE_TIMEOUT_S)
            except Exception as error:  # whatever a foreign node can do wrong, the user needs its name
                problem, ours = first_line(error), None
            if problem:
                raise UserError(f"node {node['NodeManagerAddress']} cannot take part: {problem}")
            if ours is not None and (notice := too_many(node["Resources"].get("CPU", 0.0), ours)):
                say(f"node {node['NodeManagerAddress']}: {notice}")
    finally:
        for left in folder.glob(f"{marker.name}*"):
            left.unlink(missing_ok=True)


def too_many(dealt: float, ours: Cpus) -> str | None:
    """What is wrong where Ray, which counts a machine's CPUs, deals out more of them than it may use."""
    if dealt <= ours.usable:
        return None
    return (
        f"Ray deals out {dealt:g} CPUs, but may use {ours}, so trials will share them; "
        f"start it there with `ray start --num-cpus={ours.usable}`"
    )


@ray.remote
def _probe(marker: str, wanted: dict[str, list[Loading]]) -> tuple[str | None, Cpus]:
    """What a node lacks, or None; and its CPUs.

    Parameters
    ----------
    wanted
        What loader workers must do there, by framework.
    """
    return _lacks(Path(marker), wanted), cpus()


def _lacks(path: Path, wanted: dict[str, list[Loading]]) -> str | None:
    if not path.exists():
        return f"it does not see {path.parent}; --out must be on storage that all nodes share"
    try:
        path.with_name(f"{path.name}-{uuid.uuid4().hex}").write_text("node")
    except OSError as error:
        return f"it cannot write {path.parent} ({error.strerror})"
    return next((problem for name, some in wanted.items() if (problem := _cannot(name, some))), None)


def _cannot(name: str, wanted: list[Loading]) -> str | None:
    """Why a framework cannot run here, or its loader workers cannot; None where both can."""
    asked = framework(name)
    if (problem := asked.missing()) or not wanted:
        return problem
    found = asked.examine(loadings=wanted)
    return found.broken or next(filter(None, found.no_loading), None)


def first_line(error: Exception) -> str:
    """What an error says, in a line."""
    return str(error).strip().split("\n")[0] or type(error).__name__
