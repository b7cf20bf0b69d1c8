"""In what nodes differ that changes times or results, and how their facts are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table

from trainables.node import NodeFacts

_NOT_COMPARED = frozenset({"numpy"})  # recorded alone: it draws the same numbers in every release
_TITLES = {"torch": "PyTorch", "julia": "Julia", "flux": "Flux"}
_MANY = 4  # addresses that a sentence names one by one


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same on all nodes."""

    what: str
    values: tuple[tuple[str, tuple[str, ...]], ...]  # each value, and the addresses of the nodes that have it

    def __str__(self) -> str:
        return f"{self.what}: " + "; ".join(f"{value} on {_named(where)}" for value, where in self.values)


def differences(facts: Sequence[NodeFacts]) -> list[Difference]:
    """What differs between nodes: processor, GPUs, Python's minor version, and versions of what computes."""
    able = [each for each in facts if not each.lacks]
    found = []
    for what in dict.fromkeys(name for each in able for name in _compared(each)):
        where: dict[str, list[str]] = {}
        for each in able:
            where.setdefault(_compared(each).get(what) or "none", []).append(each.address)
        if len(where) > 1:
            found.append(Difference(what, tuple((value, tuple(names)) for value, names in where.items())))
    return found


def node_table(facts: Iterable[NodeFacts]) -> Table:
    """All nodes, for a terminal of 80 columns."""
    table = Table(title="nodes", title_justify="left")
    for column in ("node", "processor, GPUs", "versions"):
        table.add_column(column, overflow="fold")
    for column in ("CPUs", "GiB free", "nice"):
        table.add_column(column, justify="right")
    for each in sorted(facts, key=lambda node: node.address):
        table.add_row(
            "\n".join(dict.fromkeys(filter(None, (each.address, each.host)))),
            "\n".join([each.processor, *each.gpus]),
            "\n".join(f"{name} {value}" for name, value in _versions(each).items()),
            str(each.cpus) if each.processor else "",
            f"{each.free_memory_bytes / 2**30:.0f}" if each.processor else "",
            "" if each.niceness is None else str(each.niceness),
        )
    return table


def _compared(facts: NodeFacts) -> dict[str, str]:
    return {
        "processor": facts.processor,
        "GPU": ", ".join(sorted(set(facts.gpus))),  # how many are seen at once is the slice's matter
        **_versions(facts),
    }


def _versions(facts: NodeFacts) -> dict[str, str]:
    python = {"Python": ".".join(facts.python.split(".")[:2])} if facts.python else {}
    computing = {_TITLES.get(name, name): value for name, value in facts.versions.items() if name not in _NOT_COMPARED}
    return python | computing


def _named(addresses: Sequence[str]) -> str:
    return ", ".join(addresses) if len(addresses) <= _MANY else f"{addresses[0]} and {len(addresses) - 1} more"
