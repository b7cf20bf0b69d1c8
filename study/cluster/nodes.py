"""Whether the nodes of the cluster can take part, and whether times from them can be compared."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from study.cluster.allowed import Member, Nodes
from study.cluster.choice import NodeChoice
from study.cluster.differences import differences, node_table
from study.cluster.probing import Probed, probe
from study.plan.plan import Plan
from trainables.common.errors import UserError
from trainables.common.machine import Cpus
from trainables.node import NodeFacts
from trainables.workloads.workload import Workload

CLOCK_OFF_S = 1.0  # from here on the times of records tell another order than things had
NICENESS_TODO = "start Ray there with RAY_worker_niceness=0"


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


@dataclass(frozen=True)
class Checked:
    """The nodes of a study as they were found.

    Parameters
    ----------
    facts
        Of all that were asked.
    differ
        In what those that take part differ, each in a line; empty where they are alike.
    """

    facts: tuple[NodeFacts, ...] = ()
    differ: tuple[str, ...] = ()


def check_nodes(
    folder: Path,
    plan: Plan,
    workload: Workload,
    nodes: Nodes,
    choice: NodeChoice,
    *,
    say: Callable[[str], None],
    show: Callable[[Table], None],
) -> Checked:
    """Make sure that every node can run trials, and that all are alike; ask them all at once.

    Where a node lacks something, each trial there fails while Tune itself ends as if all were well; and where nodes
    differ, times tell the nodes and not the frameworks. Nodes too small for a slice get no trial, and are not asked.

    Parameters
    ----------
    workload
        What is trained, in a folder that they see.
    nodes
        Those that may be used; the ones that are gone, or cannot take part, are left out of it.
    say
        Told of what must be known and stops nothing.
    show
        Given the table of the nodes where a study is refused or goes on with mixed ones.

    Raises
    ------
    UserError
        Naming the node and what it lacks, or what differs; and what to do.
    """
    large = [each for each in nodes.usable() if each.slots(plan.slice)]
    checked = judge(asked(large, folder, plan, workload), nodes, choice, say=say, show=show)
    nodes.admit(large)
    return checked


def asked(large: Sequence[Member], folder: Path, plan: Plan, workload: Workload) -> Probed:
    """What nodes answer that are large enough for a slice; whether they see a study's folder, too."""
    marker = folder / f".probe-{uuid.uuid4().hex}"
    marker.write_text("driver")
    try:
        return probe(large, plan, workload, str(marker))
    finally:
        for left in folder.glob(f"{marker.name}*"):
            left.unlink(missing_ok=True)


def judge(
    found: Probed, nodes: Nodes, choice: NodeChoice, *, say: Callable[[str], None], show: Callable[[Table], None]
) -> Checked:
    """Decide who takes part; parameters and errors as in `check_nodes`."""
    for node in found.gone:
        nodes.exclude(node.address, "gone")
        say(f"node {node.address} is gone, though Ray still lists it: it is left out")
    unable = [each for each in found.facts if each.lacks]
    able = [each for each in found.facts if not each.lacks]
    differ = tuple(map(str, differences(able)))
    if unable or differ:
        show(node_table(found.facts))
    if unable and not choice.allow_mixed:
        raise UserError(f"{'; '.join(map(cannot, unable))}. Mend that, or {_ways_out(unable)}")
    if differ and not choice.allow_mixed:
        raise UserError(
            f"the nodes differ, and times would tell nodes apart, not frameworks ({'. '.join(differ)}); "
            "leave some out with --exclude-node ADDRESS, or go on with --allow-mixed, which the report will say"
        )
    for each in unable:
        nodes.exclude(each.address, "; ".join(each.lacks))
        say(f"{cannot(each)}; it is left out")
    if not able:
        raise UserError("no node of the cluster can take part")
    for line in (*(f"the nodes differ ({each})" for each in differ), *notices(able)):
        say(line)
    return Checked(found.facts, differ)


def cannot(facts: NodeFacts) -> str:
    """What keeps a node from taking part, in a line."""
    return f"node {facts.address} cannot take part: {'; '.join(facts.lacks)}"


def notices(facts: Sequence[NodeFacts]) -> list[str]:
    """What must be known of nodes that take part: each a line, with what to do."""
    found = []
    for each in facts:
        if notice := too_many(each.dealt, Cpus(each.cpus, each.cpus_present, each.cpus_limited_by)):
            found.append(f"node {each.address}: {notice}")
        skew_s, within_s = each.clock_skew_s, each.clock_skew_within_s
        if skew_s is not None and within_s is not None and abs(skew_s) > max(CLOCK_OFF_S, within_s):
            side = "ahead of" if skew_s > 0 else "behind"
            found.append(f"node {each.address}: its clock is {abs(skew_s):.1f} s {side} the driver's; set it by NTP")
    for niceness in sorted({each.niceness for each in facts if each.niceness}):
        slowed = ", ".join(each.address for each in facts if each.niceness == niceness)
        found.append(
            f"trials run at niceness {niceness} on {slowed}, so that anything else there slows them; {NICENESS_TODO}"
        )
    return found


def too_many(dealt: float, ours: Cpus) -> str | None:
    """What is wrong where Ray, which counts a machine's CPUs, deals out more of them than it may use."""
    if dealt <= ours.usable:
        return None
    return (
        f"Ray deals out {dealt:g} CPUs, but may use {ours}, so trials will share them; "
        f"start it there with `ray start --num-cpus={ours.usable}`"
    )


def first_line(error: Exception) -> str:
    """What an error says, in a line."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def _ways_out(unable: Sequence[NodeFacts]) -> str:
    exclude = " ".join(f"--exclude-node {each.address}" for each in unable)
    return f"go on without: {exclude}, or --allow-mixed, which takes every node that can"
