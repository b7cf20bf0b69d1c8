"""What provenance.json says of hardware and software, and what changed while a study ran."""

from __future__ import annotations

from typing import Any

import pandas as pd

from reports.names import title
from reports.sentences import Sentence, rows

# What can move a time or a result; not where a machine's name or the moment of a resume differ.
MATTERS = ("processor", "cpus", "gpus", "platform", "python", "versions", "git")


def flat(prefix: str, values: dict[str, Any]) -> dict[str, str]:
    """Nested values by dotted name, as text."""
    found: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}.{key}" if prefix else key
        found |= flat(name, value) if isinstance(value, dict) else {name: str(value)}
    return found


def changes(provenance: dict[str, Any]) -> pd.DataFrame:
    """What was not the same as at the launch when a study was resumed.

    Returns
    -------
    Columns: at (of the resume), what, launched (its value then), resumed (its value at the resume). A change that lasts
    is there once.
    """
    table: list[tuple[str, str, str, str]] = []
    first = flat("", {key: provenance[key] for key in MATTERS if key in provenance})
    for resume in provenance.get("resumed", []):
        then = flat("", {key: resume[key] for key in MATTERS if key in resume})
        known = {(what, value) for _, what, _, value in table}
        table += [
            (str(resume.get("at", "")), what, first[what], value)
            for what, value in then.items()
            if what in first and value != first[what] and (what, value) not in known
        ]
    return pd.DataFrame(table, columns=["at", "what", "launched", "resumed"])


def plan_changes(provenance: dict[str, Any], trials: pd.DataFrame) -> pd.DataFrame:
    """How the plan was changed after the launch, and what was known by then.

    Returns
    -------
    Columns: at (of the resume), key (of the plan), before, after; trials (of the search) and runs (that confirm its
    winners) that had ended by then.
    """
    table = []
    before = flat("", provenance.get("plan", {}))
    for resume in provenance.get("resumed", []):
        after = flat("", resume.get("plan", {}))
        ended = trials[trials["ended_at"] < pd.Timestamp(resume["at"]).timestamp()] if after else trials
        counts = [int((ended["phase"] == each).sum()) for each in ("search", "confirm")]
        for key in after.keys() & before.keys():
            if after[key] != before[key]:
                table.append((resume["at"], key, before[key], after[key], *counts))
        before |= after
    return pd.DataFrame(table, columns=["at", "key", "before", "after", "trials", "runs"])


def plan_change_sentences(changed: pd.DataFrame) -> list[Sentence]:
    """What a reader must know of changes that were made with results in sight.

    Parameters
    ----------
    changed
        `plan_changes`; with a column study it is said whose plan it is.
    """
    said: list[Sentence] = []
    for row in rows("plan_changes", changed):
        if not (row["runs"] or row["trials"]):
            continue
        what, ended = ("runs", " confirmation run") if row["runs"] else ("trials", " trial")
        ended += "s" * (row[what] != 1)
        whose = f"{row['study']}: the plan" if row.values.get("study") else "The plan"
        told: Sentence = (f"{whose} was changed after ", row.say(what, "count"), f"{ended} had ended: ")
        told += (row.say("key", "text"), " from ", row.say("before", "text"), " to ", row.say("after", "text"))
        why = "; who looks and adds runs finds differences more often than the intervals say" * bool(row["runs"])
        said.append((*told, f"{why}."))
    return said


def mixed_nodes(provenance: dict[str, Any]) -> str:
    """A caution where the study ran on nodes that differ; else empty."""
    differ = provenance.get("nodes_differ", [])
    if not differ:
        return ""
    return f"It ran on nodes that differ, and times compare nodes as well as frameworks: {'. '.join(differ)}."


def _node(each: dict[str, Any]) -> str:
    """What a node is, in a line."""
    if each.get("lacks"):
        return f"could not take part: {'; '.join(each['lacks'])}"
    versions = [f"{name} {number}" for name, number in each["versions"].items()]
    hardware = [each["processor"], *each["gpus"], f"{each['cpus']} CPUs", f"{each['memory_bytes'] / 2**30:.1f} GiB"]
    return ", ".join([*hardware, f"python {each['python']}", *versions, f"niceness {each['niceness']}"])


def own_workload(provenance: dict[str, Any]) -> str | None:
    """Where in its folder a study has what it trained; None of what comes with tuneoff, which has its name anywhere."""
    workload = provenance.get("workload", {})
    name, named = workload.get("name"), workload.get("named")
    return f"workload/{name}" if named and named != name else None


def facts(provenance: dict[str, Any]) -> list[tuple[str, str]]:
    """Hardware, versions and data for people: what, and its value."""
    keys = ("processor", "cpus", "gpus", "platform", "python", "git")
    found = [(key.replace("_", " "), provenance.get(key)) for key in keys]
    if provenance.get("cpus_limited_by"):
        found[1] = ("cpus", f"{provenance['cpus']} of {provenance['cpus_present']} ({provenance['cpus_limited_by']})")
    if "memory_bytes" in provenance:
        limit = provenance.get("memory_limited_by")
        found.insert(2, ("memory", f"{provenance['memory_bytes'] / 2**30:.1f} GiB{f' ({limit})' if limit else ''}"))
    if provenance.get("load_average") is not None:
        load = f"load average {provenance['load_average']:.1f}, a thread of its own got {provenance['cpu_share']:.0%}"
        found.insert(3, ("when it began", f"{load} of a CPU"))
    for name, digest in provenance.get("lockfiles_sha256", {}).items():
        found.append((f"SHA-256 of {title(name)}'s lock file", digest))
    versions = provenance.get("versions", {})
    found.append(("versions", ", ".join(f"{name} {number}" for name, number in versions.items() if number)))
    found += [(f"node {each['address']}", _node(each)) for each in provenance.get("nodes", [])]
    found += [(f"node {address} left out", why) for address, why in provenance.get("nodes_left_out", {}).items()]
    if "dataset" in provenance:
        sums = ", ".join(f"{name} {value}" for name, value in provenance.get("md5", {}).items())
        found.append(("data set", f"{provenance['dataset']}; MD5: {sums}"))
    if digest := provenance.get("workload", {}).get("digest"):
        found.append(("workload", f"{provenance['workload']['name']}, SHA-256 of its files {digest}"))
    if warm := provenance.get("warm_start"):
        taken = ", ".join(f"{count} in {title(name)}" for name, count in warm["configurations"].items())
        found.append(("searches began with the best of", f"{warm['from']} ({taken})"))
    times = len(provenance.get("resumed", []))
    found.append(("resumed", "once" if times == 1 else f"{times} times" if times else ""))
    return [(what, ", ".join(map(str, each)) if isinstance(each, list) else str(each)) for what, each in found if each]
