"""The nodes of the cluster: which are up, and whether each can take part."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from trainables.common.errors import UserError
from trainables.frameworks import framework

PROBE_TIMEOUT_S = 120.0


def alive_nodes() -> list[dict[str, Any]]:
    """Ray's description of the nodes that are up."""
    return [node for node in ray.nodes() if node["Alive"]]


def check_nodes(folder: Path, frameworks: Sequence[str]) -> None:
    """Make sure that every node can import the project, has the frameworks, and shares the study's folder.

    Where a node lacks one of these, each trial there fails while Tune itself ends as if all were well.

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
            pending = _probe.options(scheduling_strategy=here, num_cpus=0).remote(str(marker), list(frameworks))
            try:
                problem = ray.get(pending, timeout=PROBE_TIMEOUT_S)
            except Exception as error:  # whatever a foreign node can do wrong, the user needs its name
                problem = first_line(error)
            if problem:
                raise UserError(f"node {node['NodeManagerAddress']} cannot take part: {problem}")
    finally:
        for left in folder.glob(f"{marker.name}*"):
            left.unlink(missing_ok=True)


@ray.remote
def _probe(marker: str, frameworks: list[str]) -> str | None:
    """What a node lacks, or None."""
    path = Path(marker)
    if not path.exists():
        return f"it does not see {path.parent}; --out must be on storage that all nodes share"
    try:
        path.with_name(f"{path.name}-{uuid.uuid4().hex}").write_text("node")
    except OSError as error:
        return f"it cannot write {path.parent} ({error.strerror})"
    return next((problem for name in frameworks if (problem := framework(name).missing())), None)


def first_line(error: Exception) -> str:
    """What an error says, in a line."""
    return str(error).strip().split("\n")[0] or type(error).__name__
