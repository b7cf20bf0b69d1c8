"""The search's Ray Tune searcher, which deals trials to the frameworks in turn; `study.driver.pairs` has the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import optuna
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from study.cluster.nodes import Node
from study.driver.supplies import Supplies
from study.plan.plan import Plan
from study.plan.samplers import suggest
from study.plan.seeds import search_seed
from study.store.folder import StudyFolder
from study.store.journal import ORIGIN, Search, search_distributions, trial_id
from trainables import checkpoint
from trainables.cap import NO_CAP, Cap
from trainables.common.house import code_digest
from trainables.contract import Record
from trainables.spec import TrainingSpec
from trainables.tune_trainable import (
    CAP,
    CODE,
    DATA,
    EVERY_EVALUATION,
    FOLDER,
    LEASE,
    NO_WEIGHTS,
    NODE,
    OBJECTIVE,
    SPEC,
    WEIGHTS,
    WORKLOAD,
)

IDENTITY = "identity"  # in a Tune config: phase, trial id and number, for the records

HOST = "host"  # likewise: the name of the machine on which it runs

BLOCK = 5  # trials by which one framework's search may run ahead of another's


class NeverRestored(Searcher):
    """Tune pickles its searcher and asks it to save itself; here the journal and the records have it all."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("a study is resumed from its journal, never by Tuner.restore")


class DealingSearcher(NeverRestored):
    """Deals trials to the frameworks in turn, each from an OptunaSearch of its own, on every node by itself.

    A process of a framework that has become free on a node is next there, so that start-up and compilation are paid
    once and not at every trial, as long as its framework is not a block of trials ahead on this node; then the
    framework that has had the fewest trials there, so that none owns a node and all advance together. Trials at the
    same place of their searches, which have the same seed, run on the same machine: on a slow one a good configuration
    looks bad, and should to all. A trial that is continued goes where it was.

    Optuna hears of a trial's end alone: it would write every report into its journal, and no sampler reads them.

    Parameters
    ----------
    left
        Trials still to be dealt, by framework.
    dealt
        Trials that each framework has had on each machine before.
    hosts
        The machines of those, by their places in the search.
    slots
        Trials at once, and so processes: asked before each is dealt, since a cluster's nodes come and go.
    nodes
        The nodes that are up and can hold a slice.
    cap
        What a framework's trial on a machine must keep up with; asked for when it is dealt.
    owed
        Trials by framework that are dealt whatever the search has spent: those that go on, and what waits before them.
    stops
        Whether a framework's search deals no more trials, so many of it being dealt and not ended.
    """

    def __init__(
        self,
        plan: Plan,
        folder: StudyFolder,
        supplies: Supplies,
        searches: Mapping[str, Search],
        *,
        left: dict[str, int],
        dealt: Counter[tuple[str, str]],
        hosts: dict[int, str],
        slots: Callable[[], int],
        nodes: Callable[[], Sequence[Node]],
        cap: Callable[[str, str], Cap] = lambda *_: NO_CAP,
        owed: Mapping[str, int] = MappingProxyType({}),
        stops: Callable[[str, int], bool] = lambda *_: False,
    ) -> None:
        super().__init__(metric=OBJECTIVE, mode="min")
        self._owed = Counter(owed)
        self._stops = stops
        self._plan = plan
        self._folder = folder
        self._supplies = supplies
        self._left = left
        self._hosts = hosts
        self._count = dealt
        self._slots = slots
        self._nodes = nodes
        self._cap = cap
        self._place = {name: search.place for name, search in searches.items()}
        self._owner: dict[str, tuple[str, str]] = {}  # framework and node of each running trial
        self._free: Counter[tuple[str, str]] = Counter()  # processes that wait for a trial, by the same
        self._dealt: dict[str, tuple[Record, TrainingSpec]] = {}
        self._searchers = {
            name: OptunaSearch(
                space=self._draw(name),
                metric=OBJECTIVE,
                mode="min",
                sampler=search.study.sampler,
                study_name=name,
                storage=search.study._storage,  # the same storage object: two on one journal would race
            )
            for name, search in searches.items()
        }

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        if not any(self._left.values()):
            return Searcher.FINISHED
        slots = max(1, self._slots())  # one may wait for a node; without any, Tune would not look again
        up = self._nodes()
        if not up or len(self._owner) >= slots:
            return None
        wanted = self._wanted()
        if not wanted:  # what still runs may change that: it costs less, or shows that another would pay
            return None if self._owner else Searcher.FINISHED
        name, node = self._next(wanted, up)
        self._left[name] -= 1
        self._owed[name] -= 1
        self._searchers[name].suggest(trial_id)
        identity, spec = self._dealt.pop(name)
        place = self._place[name](identity["number"])
        host = last_host(self._folder, identity["trial_id"]) or self._hosts.get(place)
        node = _on(host, up) or node
        self._hosts.setdefault(place, node.host)
        self._take_slot(name, node, slots)
        self._owner[trial_id] = name, node.id
        self._count[name, node.host] += 1
        return trial_config(
            self._folder,
            self._supplies,
            identity,
            spec,
            node,
            cap=self._cap(name, node.host),
            every_evaluation=self._plan.search.scheduler == "asha",
        )

    def _take_slot(self, name: str, node: Node, slots: int) -> None:
        """Note which free process serves the next trial, or is ended by Tune to make room for it."""
        here = Counter({key: count for key, count in self._free.items() if key[1] == node.id and count})
        if here[name, node.id]:
            self._free[name, node.id] -= 1
        elif here and self._running(node) + here.total() >= node.slots:
            self._free[here.most_common(1)[0][0]] -= 1
        elif self._free.total() and len(self._owner) + self._free.total() >= slots:
            self._free[self._free.most_common(1)[0][0]] -= 1

    def _running(self, node: Node) -> int:
        return sum(each == node.id for _, each in self._owner.values())

    def _wanted(self) -> list[str]:
        """The frameworks that deal another trial."""
        running = Counter(name for name, _ in self._owner.values())
        left = [name for name, count in self._left.items() if count > 0]
        return [name for name in left if self._owed[name] > 0 or not self._stops(name, running[name])]

    def _next(self, wanted: Sequence[str], up: Sequence[Node]) -> tuple[str, Node]:
        """The framework of the next trial, of those that deal one, and its node."""
        running = Counter(name for name, _ in self._owner.values())
        block = BLOCK if len(up) == 1 else max(1, min(BLOCK, self._plan.search.trials // (2 * len(up))))

        def rank(choice: tuple[str, Node]) -> tuple[bool, bool, int, int, int, float]:
            name, node = choice
            counts = [self._count[each, node.host] for each in wanted]
            mine = self._count[name, node.host]
            resident = self._free[name, node.id] > 0 and mine - min(counts) < block
            taken = sum(self._count[each, node.host] for each in self._left) / node.slots
            full = self._running(node) >= node.slots
            return full, not resident, mine - max(counts), -self._left[name], running[name], taken

        return min(((name, node) for name in wanted for node in self._open_to(name, up)), key=rank)

    def _open_to(self, name: str, up: Sequence[Node]) -> Sequence[Node]:
        """Where a framework's next trial may run: where another has had the one at the same place, or anywhere."""
        node = _on(self._hosts.get(self._plan.search.trials - self._left[name]), up)
        return up if node is None else [node]

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        name, node = self._owner.pop(trial_id)
        self._free[name, node] += 1
        self._searchers[name].on_trial_complete(trial_id, result, error)

    def _draw(self, framework: str) -> Any:
        """The define-by-run function of a framework's OptunaSearch.

        It is handed Optuna's trial, and so knows its number and whose training it continues.
        """
        space = search_distributions(self._plan, framework)

        def draw(trial: optuna.Trial) -> None:
            values = {name: suggest(trial, name, distribution) for name, distribution in space.items()}
            number = trial.user_attrs.get(ORIGIN, trial.number)
            seed = search_seed(self._plan, self._place[framework](number))
            spec = self._plan.spec(framework, self._plan.scaling.actual(values), seed=seed)
            identity = {"phase": "search", "trial_id": trial_id(framework, number), "number": number}
            self._dealt[framework] = identity, spec

        return draw


def _on(host: str | None, up: Sequence[Node]) -> Node | None:
    """The node of a machine; None where it is not up."""
    return next((node for node in up if node.host == host), None)


def last_host(folder: StudyFolder, trial_id: str) -> str | None:
    """The machine on which a trial ran last, as its checkpoint says; None where there is none."""
    state = checkpoint.read_state(folder.checkpoints(trial_id))
    return state["segments"][-1]["host"] if state and state["segments"] else None


def trial_config(
    folder: StudyFolder,
    supplies: Supplies,
    identity: Record,
    spec: TrainingSpec,
    node: Node,
    *,
    cap: Cap = NO_CAP,
    every_evaluation: bool = False,
) -> dict[str, Any]:
    """The Tune config of one trial.

    Parameters
    ----------
    identity
        Phase, trial id and number, as they go into the records.
    node
        On which it runs.
    cap
        What it must keep up with.
    every_evaluation
        Whether Tune must hear of each evaluation at once: a scheduler wants that.
    """
    weights, no_weights = _weights(supplies, identity["trial_id"], spec)
    return {
        SPEC: spec.as_dict(),
        FOLDER: str(folder.checkpoints(identity["trial_id"])),
        WORKLOAD: str(supplies.workload.folder),
        DATA: str(supplies.data),
        WEIGHTS: weights,
        NO_WEIGHTS: no_weights,
        LEASE: supplies.lease.as_dict(),
        CAP: None if cap == NO_CAP else cap.as_dict(),
        CODE: code_digest(),
        EVERY_EVALUATION: every_evaluation,
        IDENTITY: identity,
        NODE: node.id,
        HOST: node.host,
    }


def _weights(supplies: Supplies, trial_id: str, spec: TrainingSpec) -> tuple[str | None, str | None]:
    """The file of a trial's initial parameters, or why there is none: that fails the trial, and no other."""
    try:
        path = supplies.weights.draw(trial_id, spec)
    except (RuntimeError, OSError) as error:
        return None, str(error)
    return (None if path is None else str(path)), None
