"""Ray Tune searchers: one that deals trials to the frameworks in turn, one that works through a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from study.plan.plan import Plan
from study.store.folder import StudyFolder
from study.store.journal import ORIGIN, Search, search_distributions, trial_id
from trainables.common.house import code_digest
from trainables.common.lease import Lease
from trainables.contract import Record
from trainables.spec import TrainingSpec
from trainables.tune_trainable import CODE, DATA, EVERY_EVALUATION, FOLDER, LEASE, OBJECTIVE, SPEC
from trainables.workloads.datasets import dataset
from trainables.workloads.shipped import workload

IDENTITY = "identity"  # in a Tune config: phase, trial id and number, for the records

BLOCK = 5  # trials by which one framework's search may run ahead of another's


class _NeverRestored(Searcher):
    """Tune pickles its searcher and asks it to save itself; here the journal and the records have it all."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("a study is resumed from its journal, never by Tuner.restore")


class DealingSearcher(_NeverRestored):
    """Deals trials to the frameworks in turn, each from an OptunaSearch of its own.

    Parameters
    ----------
    left
        Trials still to be dealt, by framework. A framework whose process has become free is next, so that start-up and
        compilation are paid once and not at every trial, as long as its search is less than `BLOCK` trials ahead; then
        the one with the most left, so that all searches advance together; among equals the one with the fewest trials
        running; then the plan's order.
    slots
        Trials at once, and so processes: asked before each is dealt, since a cluster's nodes come and go.
    """

    def __init__(
        self,
        plan: Plan,
        folder: StudyFolder,
        lease: Lease,
        searches: Mapping[str, Search],
        *,
        left: dict[str, int],
        slots: Callable[[], int],
    ) -> None:
        super().__init__(metric=OBJECTIVE, mode="min")
        self._plan = plan
        self._folder = folder
        self._lease = lease
        self._left = left
        self._slots = slots
        self._place = {name: search.place for name, search in searches.items()}
        self._owner: dict[str, str] = {}  # framework of each running trial
        self._free: Counter[str] = Counter()  # processes that wait for a trial of their framework
        self._dealt: dict[str, dict[str, Any]] = {}
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
        name = self._next()
        if self._left[name] <= 0:
            return Searcher.FINISHED
        slots = max(1, self._slots())  # one may wait for a node; without any, Tune would not look again
        if len(self._owner) >= slots:
            return None
        if self._free[name] > 0:
            self._free[name] -= 1
        elif len(self._owner) + self._free.total() >= slots:  # Tune ends a free process to make room
            self._free[max(self._free, key=lambda each: self._free[each])] -= 1
        self._owner[trial_id] = name
        self._left[name] -= 1
        self._searchers[name].suggest(trial_id)
        return self._dealt.pop(name)

    def _next(self) -> str:
        """The framework of the next trial."""
        behind, running = max(self._left.values()), Counter(self._owner.values())

        def rank(name: str) -> tuple[bool, int, int]:
            left = self._left[name]
            resident = self._free[name] > 0 and left > 0 and behind - left < BLOCK
            return not resident, -left, running[name]

        return min(self._left, key=rank)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self._searchers[self._owner[trial_id]].on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        name = self._owner.pop(trial_id)
        self._free[name] += 1
        self._searchers[name].on_trial_complete(trial_id, result, error)

    def _draw(self, framework: str) -> Any:
        """The define-by-run function of a framework's OptunaSearch.

        It is handed Optuna's trial, and so knows its number and whose training it continues.
        """
        space = search_distributions(self._plan, framework)

        def draw(trial: optuna.Trial) -> None:
            values = {name: suggest(trial, name, distribution) for name, distribution in space.items()}
            number = trial.user_attrs.get(ORIGIN, trial.number)
            spec = self._plan.spec(framework, values, seed=search_seed(self._plan, self._place[framework](number)))
            identity = {"phase": "search", "trial_id": trial_id(framework, number), "number": number}
            self._dealt[framework] = trial_config(
                self._folder, self._lease, identity, spec, every_evaluation=self._plan.search.scheduler != "fifo"
            )

        return draw


class ListSearcher(_NeverRestored):
    """Hands out configs in the order given."""

    def __init__(self, configs: Sequence[dict[str, Any]]) -> None:
        super().__init__(metric=OBJECTIVE, mode="min")
        self._configs = list(reversed(configs))

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        return self._configs.pop() if self._configs else Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing to learn from."""


def trial_config(
    folder: StudyFolder, lease: Lease, identity: Record, spec: TrainingSpec, *, every_evaluation: bool = False
) -> dict[str, Any]:
    """The Tune config of one trial.

    Parameters
    ----------
    lease
        Of the driver that runs it.
    identity
        Phase, trial id and number, as they go into the records.
    every_evaluation
        Whether Tune must hear of each evaluation at once: a scheduler wants that.
    """
    return {
        SPEC: spec.as_dict(),
        FOLDER: str(folder.checkpoints(identity["trial_id"])),
        DATA: str(folder.data / dataset(workload(spec.workload).dataset).arrays),
        LEASE: lease.as_dict(),
        CODE: code_digest(),
        EVERY_EVALUATION: every_evaluation,
        IDENTITY: identity,
    }


def search_seed(plan: Plan, place: int) -> int:
    """Seed of a search's trial: the same for every framework at the same place, another at the next.

    One seed for all would let the search pick a configuration for that seed's luck.
    """
    return plan.seed * 1_000_003 % 2**30 + place


def confirmation_seed(plan: Plan, number: int) -> int:
    """Seed of a confirmation run: the same for every framework, and none that the search used."""
    return 2**30 + plan.seed * 1_000_003 % 2**30 + number


def suggest(trial: optuna.Trial, name: str, distribution: optuna.distributions.BaseDistribution) -> Any:
    """Draw one hyperparameter."""
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high, log=distribution.log)
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
