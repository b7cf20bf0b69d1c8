"""Whether a trial's slice fits on a node, and how many fit at once."""

from __future__ import annotations

from collections.abc import Sequence

from study.cluster.nodes import alive_nodes
from study.plan.plan import SlicePlan
from trainables.common.errors import UserError


def check_slice(wanted: SlicePlan) -> int:
    """Make sure that a trial's slice fits on some node: Ray would wait for such a node for ever, without a word.

    Returns
    -------
    How many trials can run at once.

    Raises
    ------
    UserError
        When no node is large enough.
    """
    fitting = slices_that_fit(wanted, [node["Resources"] for node in alive_nodes()])
    if fitting == 0:
        nodes = "; ".join(
            f"{node['Resources'].get('CPU', 0):g} CPUs and {node['Resources'].get('GPU', 0):g} GPUs"
            for node in alive_nodes()
        )
        raise UserError(
            f"no node can hold a slice of {wanted.cpus} CPUs and {wanted.gpus} GPUs (nodes have: {nodes}); "
            "set slice.cpus and slice.gpus to less"
        )
    return fitting


def slices_that_fit(wanted: SlicePlan, nodes: Sequence[dict[str, float]]) -> int:
    """How many slices the nodes hold at once, each slice within one node; resources are Ray's ``CPU`` and ``GPU``."""
    total = 0
    for node in nodes:
        by_cpu = int(node.get("CPU", 0) // wanted.cpus)
        total += min(by_cpu, wanted.on_gpus(node.get("GPU", 0))) if wanted.gpus else by_cpu
    return total
