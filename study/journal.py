"""The searches in Optuna's journal: the only truth about which trials there were and what became of them.

Ray Tune's own restore is never used: it can repeat work, lose it, or lose the study. Every run of the driver is a
fresh Tuner over these searches, after `reconcile` has put right what the driver before left open.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from search_spaces import distributions
from study.folder import StudyFolder
from study.plan import Plan
from study.samplers import make_sampler
from trainables.contract import Record
from trainables.errors import UserError

ORIGIN = "origin"  # number of the trial whose training this one continues
_PREDECESSOR = "predecessor"  # number of the interrupted trial that this one replaces


@dataclass(frozen=True)
class Search:
    """One framework's search."""

    framework: str
    study: optuna.Study

    def trials(self) -> list[FrozenTrial]:
        """All trials but the interrupted ones that another has replaced."""
        trials = self.study.get_trials(deepcopy=False)
        replaced = {trial.user_attrs.get(_PREDECESSOR) for trial in trials}
        return [trial for trial in trials if trial.number not in replaced]

    def finished(self) -> list[FrozenTrial]:
        """Trials that count: finished, whatever became of them."""
        return [trial for trial in self.trials() if trial.state.is_finished()]

    def place(self, number: int) -> int:
        """Place of a trial in the search, trials that replace an interrupted one not counted."""
        trials = self.study.get_trials(deepcopy=False)
        return number - sum(_PREDECESSOR in trial.user_attrs for trial in trials if trial.number < number)


def origin(trial: FrozenTrial) -> int:
    """Number under which a trial's training began."""
    number: int = trial.user_attrs.get(ORIGIN, trial.number)
    return number


def open_storage(folder: StudyFolder) -> BaseStorage:
    """The journal.

    Raises
    ------
    UserError
        When the journal is damaged.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return JournalStorage(JournalFileBackend(str(folder.journal)))
    except (ValueError, KeyError, OSError) as error:
        raise UserError(f"{folder.journal} is damaged ({error}); put back a copy of it, if you have one") from None


def open_searches(plan: Plan, storage: BaseStorage, *, concurrent: bool) -> dict[str, Search]:
    """The search of each framework, made where it does not exist yet; initial points are enqueued once.

    Parameters
    ----------
    concurrent
        Whether trials will overlap.
    """
    searches: dict[str, Search] = {}
    for name in plan.frameworks:
        search = Search(name, optuna.create_study(storage=storage, study_name=name, load_if_exists=True))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            search.study.sampler = make_sampler(
                plan.search.sampler,
                seed=plan.seed,
                startup_trials=plan.search.startup_trials,
                concurrent=concurrent,
                place=search.place,
            )
        for point in plan.search.initial_points:
            search.study.enqueue_trial(point, skip_if_exists=True)
        searches[name] = search
    return searches


def reconcile(searches: Mapping[str, Search], recorded: Mapping[str, Record]) -> int:
    """Close what an earlier driver left open.

    A trial that is still RUNNING although no driver runs it was interrupted. Where its record says that it finished,
    Optuna is told so; else it fails and its parameters are enqueued again, with a link to it, so that the trial that
    replaces it continues its training from its last checkpoint.

    Parameters
    ----------
    recorded
        Finished trials by trial id.

    Returns
    -------
    How many trials were enqueued again.
    """
    again = 0
    for search in searches.values():
        trials = search.study.get_trials(deepcopy=False)
        replaced = {trial.user_attrs.get(_PREDECESSOR) for trial in trials}
        for trial in trials:
            if trial.state != TrialState.RUNNING:
                continue
            record = recorded.get(trial_id(search.framework, origin(trial)))
            if record is not None and record["outcome"] != "failed":
                search.study.tell(trial.number, record["objective"])
                continue
            # Enqueue before failing: killed between the two, the next driver finds the replacement and only fails.
            failed = record is not None
            if not failed and trial.params and trial.number not in replaced:
                links = {ORIGIN: origin(trial), _PREDECESSOR: trial.number}
                search.study.enqueue_trial(trial.params, user_attrs=links)
                again += 1
            search.study.tell(trial.number, state=TrialState.FAIL)
    return again


def trial_id(framework: str, number: int) -> str:
    """Id of a search's trial in records and folders."""
    return f"search-{framework}-{number:05d}"


def search_distributions(plan: Plan, framework: str) -> dict[str, optuna.distributions.BaseDistribution]:
    """What a framework's search draws from."""
    return distributions(plan.space[framework])
