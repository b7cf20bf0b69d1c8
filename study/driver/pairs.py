"""Pairs: the frameworks' runs of one seed, which belong on one machine, one after the other.

Were they dealt A B A B to whichever node is free, two nodes would take them in turn too, and each framework would own
one: the verdict would compare machines. So the node is chosen when a pair begins, the one that has had the fewest
pairs; and the order within pairs alternates on every node, so that what comes second is not always the same framework.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray.tune.search import Searcher

from reports.winners import replaced
from study.cluster.nodes import Node
from study.driver.searcher import NeverRestored
from trainables.contract import Record
from trainables.spec import TrainingSpec
from trainables.tune_trainable import OBJECTIVE


@dataclass(frozen=True)
class Run:
    """A run of one framework: who it is in the records, and what it trains."""

    identity: Record
    spec: TrainingSpec


@dataclass(frozen=True)
class Pair:
    """Runs of a pair that are left, by framework; ``host`` is where they have to run, None for anywhere."""

    runs: Mapping[str, Run]
    host: str | None = None


class Balance:
    """How many pairs each machine has had, and in which order the frameworks ran there.

    Parameters
    ----------
    finished
        Rows of runs that count, in any order.
    """

    def __init__(self, finished: Iterable[Record]) -> None:
        self._pairs: Counter[str] = Counter()
        self._orders: Counter[tuple[str, tuple[str, ...]]] = Counter()
        for rows in by_pair(finished).values():
            ran = sorted(rows, key=lambda row: row["began_at"] or 0.0)
            self._count(ran[0]["host"] or "", tuple(row["framework"] for row in ran))

    def node(self, up: Sequence[Node]) -> Node:
        """The node for the next pair: of those that have had the fewest, the first."""
        return min(up, key=lambda node: self._pairs[node.host])

    def order(self, host: str, frameworks: Sequence[str]) -> tuple[str, ...]:
        """The order of the next pair's frameworks on a machine, which is noted: the one that was used there least."""

        def used(order: tuple[str, ...]) -> tuple[int, int]:
            everywhere = sum(count for (_, each), count in self._orders.items() if each == order)
            return self._orders[host, order], everywhere

        chosen = min(_orders(frameworks), key=used)
        self._count(host, chosen)
        return chosen

    def _count(self, host: str, order: tuple[str, ...]) -> None:
        self._pairs[host] += 1
        self._orders[host, order] += 1


def _orders(frameworks: Sequence[str]) -> list[tuple[str, ...]]:
    """Each rotation and its reverse: every framework comes as often first as last, and after each other."""
    turned = [(*frameworks[start:], *frameworks[:start]) for start in range(len(frameworks))]
    return list(dict.fromkeys(order for each in turned for order in (each, each[::-1])))


class PairSearcher(NeverRestored):
    """Hands out the runs of one pair after the other, each pair to one node; for one run at a time.

    Parameters
    ----------
    pairs
        Those that must run on a certain machine come first. Where that is gone when they are due they are passed over.
    nodes
        The nodes that are up and can hold a slice.
    config
        Makes the Tune config of a run on a node.
    """

    def __init__(
        self,
        pairs: Iterable[Pair],
        balance: Balance,
        *,
        nodes: Callable[[], Sequence[Node]],
        config: Callable[[Run, Node], dict[str, Any]],
    ) -> None:
        super().__init__(metric=OBJECTIVE, mode="min")
        self._pairs = sorted(pairs, key=lambda pair: pair.host is None)
        self._balance = balance
        self._nodes = nodes
        self._config = config
        self._due: list[dict[str, Any]] = []  # of the pair that has begun

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        while not self._due:
            if not self._pairs:
                return Searcher.FINISHED
            up = self._nodes()
            if not up:
                return None  # until a node joins
            self._begin(self._pairs.pop(0), up)
        return self._due.pop(0)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing to learn from."""

    def _begin(self, pair: Pair, up: Sequence[Node]) -> None:
        names = tuple(pair.runs)
        if pair.host is None:
            node = self._balance.node(up)
            names = self._balance.order(node.host, names)
        else:
            there = [node for node in up if node.host == pair.host]
            if not there:
                return
            node = there[0]
        self._due = [self._config(pair.runs[name], node) for name in names]


def whole(rows: Sequence[Record], members: int) -> bool:
    """Whether all of a pair's runs are there, each on the one machine on which all of them were."""
    hosts = {row["host"] for row in rows if row["host"]}
    return len(rows) == members and not any(map(replaced, rows)) and len(hosts) < 2


def by_pair(rows: Iterable[Record]) -> dict[int, list[Record]]:
    """Rows by the number of their pair."""
    found: dict[int, list[Record]] = {}
    for row in rows:
        found.setdefault(row["number"], []).append(row)
    return found
