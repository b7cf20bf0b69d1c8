"""``tuneoff doctor --address``: what the nodes of a running cluster are, and which cannot take part."""

from __future__ import annotations

import json

from study.cluster.allowed import Nodes
from study.cluster.connection import connected
from study.cluster.differences import differences, node_table
from study.cluster.nodes import cannot, notices
from study.cluster.probing import Probed, probe
from study.console import SteadyConsole
from study.plan.files import load_plan
from trainables.workloads.workload import find


def ask_nodes(address: str | None, workload: str | None = None) -> Probed:
    """Let every node that holds a slice of the default plan take a training step of each framework that is here.

    Parameters
    ----------
    workload
        A shipped one's name, or a folder that the nodes see; the default plan's, if not given.

    Raises
    ------
    UserError
        When the cluster cannot be reached.
    """
    settings = [] if workload is None else [f"workload={workload}"]
    plan = load_plan("quickstart", settings=settings)
    with connected(address, on_death=lambda: "its nodes could not be asked"):
        large = [node for node in Nodes().usable() if node.slots(plan.slice)]
        return probe(large, plan, find(plan.workload), None)


def healthy(found: Probed) -> bool:
    """Whether there are nodes, and all of them can take part."""
    return bool(found.facts) and not any(each.lacks for each in found.facts)


def as_json(found: Probed) -> str:
    """What was found, for a program."""
    values = {
        "ok": healthy(found),
        "nodes": [each.as_record() for each in found.facts],
        "differ": [str(each) for each in differences(found.facts)],
        "gone": [node.address for node in found.gone],
    }
    return json.dumps(values, indent=2)


def print_nodes(found: Probed, out: SteadyConsole) -> None:
    """The table of the nodes, and below it what there is to say of them."""
    out.print(node_table(found.facts), soft_wrap=False)
    for line in findings(found):
        out.print(line, highlight=False)
    able = sum(not each.lacks for each in found.facts)
    out.print(f"{able} of {len(found.facts)} nodes can take part.", highlight=False)


def findings(found: Probed) -> list[str]:
    """Each a line."""
    able = [each for each in found.facts if not each.lacks]
    return [
        *(f"node {node.address} is gone, though Ray still lists it" for node in found.gone),
        *(cannot(each) for each in found.facts if each.lacks),
        *(f"the nodes differ ({each}); a study needs --exclude-node or --allow-mixed" for each in differences(able)),
        *notices(able),
    ]
