"""What a driver mends before it goes on: work that was lost, rows that are missing, a journal that is damaged.

Each piece of a study can be made again from the others: rows of the records from the trials' checkpoints, the journal
from the records and the checkpoints, the Parquet files from the log. Damage is told, and the damaged file kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from typing import Any

from optuna.trial import TrialState

from reports.tables.disturbance import disturbed_ids
from reports.winners import MOVED
from study.driver.recorder import lost_s, trial_row
from study.plan.plan import Plan
from study.plan.points import point_of
from study.plan.scaling import same
from study.plan.seeds import search_seed
from study.store.folder import StudyFolder
from study.store.frozen import digest_in, workload_in
from study.store.journal import (
    JournalDamaged,
    Search,
    add_finished,
    add_void,
    enqueue_first_points,
    framework_of,
    open_searches,
    open_storage,
    origin,
    trial_id,
)
from study.store.log import DISTURBED, set_aside
from study.store.manifest import check_manifest
from study.store.records import Records
from trainables import checkpoint
from trainables.contract import Record
from trainables.spec import TrainingSpec
from trainables.training import Training

Say = Callable[[str], None]


def charge_losses(folder: StudyFolder, records: Records, *, seen_at: float | None) -> None:
    """Charge the work that died with an earlier driver: what its running trials did after their last checkpoints.

    Parameters
    ----------
    seen_at
        The earlier driver's last sign of life, seconds since 1970; None where it is not known.
    """
    for name, started_at in list(records.unfinished.items()):
        until = seen_at if seen_at is not None else _last_write(folder)
        records.add_loss(name, lost_s(folder.checkpoints(name), started_at=started_at, until=until))


def retry_failures(folder: StudyFolder, records: Records, only: Collection[str] | None = None) -> int:
    """Let trials that failed run again from their beginning; what they cost stays charged to them.

    The records are told of all at once; what follows from it, the phases find there, in this run or in the next.

    Parameters
    ----------
    only
        Ids of those that are meant; all, if not given.

    Returns
    -------
    How many.
    """
    failed = [
        name for name, row in records.trials.items() if row["outcome"] == "failed" and (only is None or name in only)
    ]
    for name in failed:
        checkpoint.forget(folder.checkpoints(name))
    records.retry(failed)
    return len(failed)


def rerun_disturbed(folder: StudyFolder, records: Records) -> list[str]:
    """Let runs of the race and the confirmation run again that a busy machine disturbed.

    The rule is `reports.tables.disturbance`'s.

    Each keeps its seed and its place, and what it cost stays charged to it. Its rows stay in the log, where others take
    their place.

    Returns
    -------
    Their ids.
    """
    disturbed = disturbed_ids(records.trials.values())
    for name in disturbed:
        checkpoint.forget(folder.checkpoints(name))
    records.retry(disturbed, why=DISTURBED)
    return disturbed


def mend_evaluations(folder: StudyFolder, records: Records) -> None:
    """Take evaluations that the log has lost from the checkpoints of their trials."""
    counts = records.evaluations_by_trial()
    for name, row in records.trials.items():
        if counts[name] < (row["evaluations"] or 0):
            state = checkpoint.read_state(folder.checkpoints(name))
            identity = {key: row[key] for key in ("study", "phase", "framework", "trial_id")}
            records.add_evaluations({**each, **identity} for each in (state or {}).get("evaluations", []))


def mended_searches(
    plan: Plan, folder: StudyFolder, records: Records, *, concurrent: bool, say: Say
) -> dict[str, Search]:
    """The searches from the journal; where it is damaged, or knows less than the records, it is made anew from these.

    Raises
    ------
    UserError
        When the plan is not the one that the study was started with.
    """
    try:
        searches = open_searches(plan, open_storage(folder, say=say), concurrent=concurrent)
        found = (_disagreement(each, plan, folder, records) for each in searches.values())
        problem = next(filter(None, found), None)
    except JournalDamaged as error:
        problem = str(error)
    if problem is not None:
        aside = set_aside(folder.journal)
        say(
            f"{folder.journal} was damaged ({problem}); it is made anew from the records and checkpoints. "
            f"The damaged file is {aside.name}"
        )
        searches = open_searches(plan, open_storage(folder, say=say), concurrent=concurrent)
        for search in searches.values():
            _rebuild(search, plan, folder, records)
    check_manifest(plan, folder, searches)
    enqueue_first_points(plan, searches, workload_in(folder.copies, plan.workload).default)
    return searches


def record_what_ended(plan: Plan, folder: StudyFolder, records: Records, search: Search) -> None:
    """Record trials that ended but were never recorded, because the driver died in between."""
    for trial in search.trials():
        name = trial_id(search.framework, origin(trial))
        if name in records.trials or not search.whole(trial):
            continue
        identity = {"phase": "search", "trial_id": name, "number": origin(trial)}
        point = plan.scaling.actual(trial.params)
        spec = plan.spec(search.framework, point, seed=search_seed(plan, search.place(origin(trial))))
        if recover(plan, folder, records, identity, spec):
            continue
        if trial.state == TrialState.COMPLETE:  # only a scheduler ends a trial before its training does
            outcome = "capped" if plan.search.scheduler == "cap" else "stopped"
            _record(plan, folder, records, identity, spec, {"outcome": outcome, "objective": trial.value})
        elif trial.state == TrialState.FAIL and name not in records.retried:
            _record(plan, folder, records, identity, spec, {"outcome": "failed", "error": "the driver died with it"})


def recover(plan: Plan, folder: StudyFolder, records: Records, identity: Record, spec: TrainingSpec) -> bool:
    """Record a trial from its own checkpoint, when it finished but the driver died before it could record it.

    Returns
    -------
    Whether there was a finished checkpoint.
    """
    return _record(plan, folder, records, identity, spec, None)


def give_up(plan: Plan, folder: StudyFolder, records: Records, identity: Record, spec: TrainingSpec) -> None:
    """Record a run that its machine's loss ended, with what it cost; the next attempt begins anew."""
    _record(plan, folder, records, identity, spec, {"outcome": MOVED, "error": "its machine was lost"})


def _record(
    plan: Plan,
    folder: StudyFolder,
    records: Records,
    identity: Record,
    spec: TrainingSpec,
    ended: Record | None,
) -> bool:
    path = folder.checkpoints(identity["trial_id"])
    training = Training(spec, workload=workload_in(folder.copies, plan.workload), folder=path)
    if ended is None and not training.finished:
        return False
    identity = {"study": folder.name, "framework": spec.framework, **identity}
    records.add_evaluations({**asdict(evaluation), **identity} for evaluation in training.evaluations)
    result = {**training.result(), **(ended or {})}
    lost, digest = records.lost_s(identity["trial_id"]), digest_in(folder.copies)
    records.add_trial(trial_row(identity, plan, spec, result, workload_digest=digest, held_s=0.0, lost_s=lost))
    checkpoint.drop_models(path)
    return True


def _disagreement(search: Search, plan: Plan, folder: StudyFolder, records: Records) -> str | None:
    """What the records or checkpoints have that the journal contradicts; None where all is well."""
    trials = {origin(trial): trial for trial in search.trials()}
    for number, row in _recorded(search, records).items():
        trial = trials.get(number)
        if trial is None:
            return f"it does not know {row['trial_id']}"
        point = point_of(row)
        if search.whole(trial) and _differs(plan.scaling.actual(trial.params), point):
            return f"it has other parameters for {row['trial_id']}"
        if trial.state == TrialState.COMPLETE and trial.value != row["objective"]:
            return f"it has another value for {row['trial_id']}"
        if trial.state == TrialState.WAITING:
            return f"it has {row['trial_id']} still to come"
    for number, begun in _begun(search, folder, records).items():
        drawn = search.drawn(trials[number]) if number in trials else None
        if drawn is None:
            return f"it does not know {trial_id(search.framework, number)}"
        if _differs(plan.scaling.actual(drawn), begun):
            return f"it has other parameters for {trial_id(search.framework, number)}"
    return None


def _differs(point: Mapping[str, Any], recorded: Record) -> bool:
    """Whether a configuration has another value than the records somewhere."""
    return any(not same(value, recorded.get(name)) for name, value in point.items())


def _rebuild(search: Search, plan: Plan, folder: StudyFolder, records: Records) -> None:
    recorded, begun = _recorded(search, records), _begun(search, folder, records)
    for number in range(max([*recorded, *begun], default=-1) + 1):
        if number in recorded:
            add_finished(search, number, point_of(recorded[number]), plan, recorded[number])
        elif number in begun:
            add_finished(search, number, begun[number], plan, None)
        else:
            add_void(search)


def _recorded(search: Search, records: Records) -> dict[int, Record]:
    rows = records.trials.values()
    return {row["number"]: row for row in rows if row["phase"] == "search" and row["framework"] == search.framework}


def _begun(search: Search, folder: StudyFolder, records: Records) -> dict[int, Record]:
    """Hyperparameters of all trials that ever started, by number: from the records, or from their checkpoints."""
    mine = {name: each for name, each in records.begun.items() if framework_of(name) == search.framework}
    found: dict[int, Record] = {_number(name): point_of(each) for name, each in mine.items()}
    for path in folder.checkpoints("").glob("*"):
        if framework_of(path.name) != search.framework:
            continue
        number = _number(path.name)
        if number not in found and (state := checkpoint.read_state(path)) is not None:
            found[number] = point_of(state["spec"]["hyperparameters"])
    return found


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])


def _last_write(folder: StudyFolder) -> float:
    return folder.log.stat().st_mtime if folder.log.exists() else 0.0
