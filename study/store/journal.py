"""The searches in Optuna's journal: the only truth about which trials there were and what became of them.

Ray Tune's own restore is never used: it can repeat work, lose it, or lose the study. Every run of the driver is a
fresh Tuner over these searches, after `study.driver.repair` has mended the file and `reconcile` has put right what the
driver before left open.
"""

from __future__ import annotations

import json
import uuid
import warnings
import zlib
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from search_spaces import Value, distributions
from study.plan.first import first_draws
from study.plan.plan import Plan
from study.plan.samplers import PREDECESSOR, make_sampler
from study.store.folder import StudyFolder
from study.store.log import drop_torn_line
from study.store.patience import Patience
from trainables.contract import Record

ORIGIN = "origin"  # number of the trial whose training this one continues
PLAN = "plan"  # of a study: the plan it was started with, as TOML

_CHECKSUM = "crc32"  # in a line of the journal
_FIXED = "fixed_params"  # where Optuna keeps the parameters of a trial that was enqueued


class JournalDamaged(Exception):
    """The journal cannot be read."""


class Search:
    """One framework's search.

    Parameters
    ----------
    hyperparameters
        Those that a whole trial has.
    """

    def __init__(self, framework: str, study: optuna.Study, hyperparameters: Collection[str]) -> None:
        self.framework = framework
        self.study = study
        self._hyperparameters = frozenset(hyperparameters)
        self._left_out_before = [0]  # trials left out of the count below each number, as far as `place` has looked

    def trials(self) -> list[FrozenTrial]:
        """All trials but void ones and interrupted ones that another has replaced."""
        trials = self.study.get_trials(deepcopy=False)
        replaced = replaced_by_others(trials)
        return [trial for trial in trials if trial.number not in replaced and not self._void(trial)]

    def finished(self) -> list[FrozenTrial]:
        """Trials that count: finished, whatever became of them."""
        return [trial for trial in self.trials() if trial.state.is_finished()]

    def owed(self) -> int:
        """How many trials are to be dealt until all that go on have been: interrupted ones, and failed ones again."""
        waiting = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state == TrialState.WAITING]
        return max((place for place, trial in enumerate(waiting, 1) if ORIGIN in trial.user_attrs), default=0)

    def place(self, number: int) -> int:
        """Place of a trial in the search, void ones and those that replace an interrupted one not counted."""
        before = self._left_out_before
        if len(before) <= number:
            trials = self.study.get_trials(deepcopy=False)
            replaced = replaced_by_others(trials)
            for trial in trials[len(before) - 1 : number]:
                left_out = PREDECESSOR in trial.user_attrs or (trial.number not in replaced and self._void(trial))
                before.append(before[-1] + left_out)
        return number - before[number]

    def forget_places(self) -> None:
        """To be called when trials have become void."""
        self._left_out_before = [0]

    def whole(self, trial: FrozenTrial) -> bool:
        """Whether a trial has all its parameters."""
        return self._hyperparameters <= set(trial.params)

    def drawn(self, trial: FrozenTrial) -> Mapping[str, Any] | None:
        """A trial's parameters, also where it was only enqueued with them; None where it has not drawn them all."""
        return trial.params if self.whole(trial) else trial.system_attrs.get(_FIXED)

    def _void(self, trial: FrozenTrial) -> bool:
        """Whether a trial ended before it had all its parameters: it never was."""
        return trial.state.is_finished() and not self.whole(trial)


def replaced_by_others(trials: Iterable[FrozenTrial]) -> set[int]:
    """Numbers of interrupted trials that another has replaced."""
    return {trial.user_attrs[PREDECESSOR] for trial in trials if PREDECESSOR in trial.user_attrs}


def origin(trial: FrozenTrial) -> int:
    """Number under which a trial's training began."""
    number: int = trial.user_attrs.get(ORIGIN, trial.number)
    return number


class PatientJournal(JournalFileBackend):
    """Optuna's journal file, with a checksum in every line.

    It waits for storage that is full or away, and never leaves half a line behind. Optuna and its dashboard pass over
    the checksums; lines that others have added need none.
    """

    def __init__(self, path: Path, *, say: Callable[[str], None]) -> None:
        super().__init__(str(path), lock_obj=_file_lock(path))
        self._path = path
        self._patience = Patience(say)

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        self._patience.attempt(self._path, lambda: self._path.open("rb").close())
        for log in super().read_logs(log_number_from):
            crc32 = log.pop(_CHECKSUM, None)
            if crc32 is not None and crc32 != _crc32(log):
                raise JournalDamaged("a line's checksum does not fit")
            yield log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        checked = [{**log, _CHECKSUM: _crc32(log)} for log in logs]

        def append() -> None:
            if not self._path.exists():  # Optuna would start an empty one where storage has gone away
                raise FileNotFoundError(2, "it is not there", str(self._path))
            try:
                super(PatientJournal, self).append_logs(checked)
            except OSError:
                drop_torn_line(self._path)
                raise

        self._patience.attempt(self._path, append)


def _file_lock(path: Path) -> JournalFileSymlinkLock | JournalFileOpenLock:
    """The lock that works where the journal lies: exFAT, SMB and some of FUSE have no symbolic links.

    Each keeps the other out: whichever takes the name first has it.
    """
    probe = path.with_name(f".{path.name}-{uuid.uuid4().hex}.tmp")
    try:
        probe.symlink_to(path.name)
    except OSError:
        return JournalFileOpenLock(str(path))
    probe.unlink(missing_ok=True)
    return JournalFileSymlinkLock(str(path))


def _crc32(log: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(log, separators=(",", ":")).encode())


def open_storage(folder: StudyFolder, *, say: Callable[[str], None]) -> BaseStorage:
    """The journal, after a crash of its only writer at any moment; to be called with the study's lock held.

    Raises
    ------
    JournalDamaged
        When it cannot be read; `study.driver.repair.mend_journal` makes it anew.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    drop_torn_line(folder.journal)
    for left in folder.path.glob(f"{folder.journal.name}.lock*"):  # of a driver that was killed while it wrote
        left.unlink(missing_ok=True)
    try:
        return JournalStorage(PatientJournal(folder.journal, say=say))
    except OSError:
        raise
    except Exception as error:  # a damaged line can be valid JSON and make Optuna stumble anywhere
        raise JournalDamaged(f"{type(error).__name__}: {error}") from None


def open_searches(plan: Plan, storage: BaseStorage, *, concurrent: bool) -> dict[str, Search]:
    """The search of each framework, made where it does not exist yet.

    Parameters
    ----------
    concurrent
        Whether trials will overlap.
    """
    searches: dict[str, Search] = {}
    for name in plan.frameworks:
        study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
        search = Search(name, study, plan.space[name])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.sampler = make_sampler(
                plan.search.sampler,
                seed=plan.seed,
                startup_trials=plan.search.startup_trials,
                concurrent=concurrent,
                place=search.place,
            )
        searches[name] = search
    return searches


def enqueue_first_points(plan: Plan, searches: Mapping[str, Search], default: Mapping[str, Value]) -> None:
    """Put what is to be tried first in front of every search, once.

    Parameters
    ----------
    default
        The workload's default configuration.
    """
    for name, search in searches.items():
        for drawn in first_draws(plan, name, default):
            search.study.enqueue_trial(drawn, skip_if_exists=True)


def reconcile(searches: Mapping[str, Search], recorded: Mapping[str, Record]) -> list[str]:
    """Close what an earlier driver left open.

    A trial that is still RUNNING although no driver runs it was interrupted. Where its record says that it finished,
    Optuna is told so; else it fails and its parameters are enqueued again, with a link to it, so that the trial that
    replaces it continues its training from its last checkpoint, where there is one. A trial that had not drawn all its
    parameters never was: the next one takes its place, and draws the same.

    Parameters
    ----------
    recorded
        Finished trials by trial id.

    Returns
    -------
    Ids of the trials that were enqueued again.
    """
    again = []
    for search in searches.values():
        trials = search.study.get_trials(deepcopy=False)
        replaced = replaced_by_others(trials)
        for trial in trials:
            if trial.state != TrialState.RUNNING:
                continue
            record = recorded.get(trial_id(search.framework, origin(trial)))
            if record is not None and record["outcome"] != "failed":
                search.study.tell(trial.number, record["objective"])
                continue
            # Enqueue before failing: killed between the two, the next driver finds the replacement and only fails.
            params = search.drawn(trial)
            if record is None and params is not None and trial.number not in replaced:
                links = {ORIGIN: origin(trial), PREDECESSOR: trial.number}
                search.study.enqueue_trial(dict(params), user_attrs=links)
                again.append(trial_id(search.framework, origin(trial)))
            search.study.tell(trial.number, state=TrialState.FAIL)
        search.forget_places()
    return again


def enqueue_again(searches: Mapping[str, Search], retried: Collection[str]) -> int:
    """Let failed trials run again, with the parameters that they had and under their own names.

    Parameters
    ----------
    retried
        Their trial ids; one that is waiting again already is left alone.

    Returns
    -------
    How many were enqueued.
    """
    again = 0
    for search in searches.values():
        for trial in search.trials():
            if trial.state == TrialState.FAIL and trial_id(search.framework, origin(trial)) in retried:
                links = {ORIGIN: origin(trial), PREDECESSOR: trial.number}
                search.study.enqueue_trial(trial.params, user_attrs=links)
                again += 1
    return again


def add_finished(search: Search, number: int, params: Mapping[str, Any], plan: Plan, record: Record | None) -> None:
    """Enter a trial that the journal has lost, at the next number.

    Parameters
    ----------
    number
        Under which its training began.
    record
        Of its end; None when it had not ended, so that it is to go on.
    """
    space = search_distributions(plan, search.framework)
    drawn = plan.drawn(search.framework, {name: params[name] for name in space})
    if record is None:
        search.study.enqueue_trial(drawn, user_attrs={ORIGIN: number})
        return
    failed = record["outcome"] == "failed"
    search.study.add_trial(
        optuna.trial.create_trial(
            state=TrialState.FAIL if failed else TrialState.COMPLETE,
            value=None if failed else record["objective"],
            params=drawn,
            distributions=space,
            user_attrs={ORIGIN: number},
        )
    )


def add_void(search: Search) -> None:
    """Use up a number."""
    search.study.add_trial(
        optuna.trial.create_trial(
            state=TrialState.FAIL,
        )
    )


def trial_id(framework: str, number: int) -> str:
    """Id of a search's trial in records and folders."""
    return f"search-{framework}-{number:05d}"


def framework_of(name: str) -> str | None:
    """Inverse of `trial_id`, but for the number; None where it is the id of no trial of a search."""
    phase, _, rest = name.partition("-")
    return rest.rpartition("-")[0] if phase == "search" else None


def search_distributions(plan: Plan, framework: str) -> dict[str, optuna.distributions.BaseDistribution]:
    """What a framework's search draws from."""
    return distributions(plan.space[framework])
