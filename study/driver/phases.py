"""The phases of a study: search and confirm, or sweep; then report. Each does what is left to do: its own resume."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import FIFOScheduler

from reports.page.report import write_report
from reports.tables.cost import Price
from reports.winners import confirmations, winners
from study.cluster.address import Place
from study.cluster.connection import connected
from study.cluster.nodes import check_nodes
from study.cluster.slices import Slots, check_slice
from study.cluster.starting import START_LIMIT_S, StartWatch
from study.cluster.waiting import ClusterWatch
from study.driver.progress import Progress, describe
from study.driver.recorder import Recorder
from study.driver.repair import (
    charge_losses,
    mend_evaluations,
    mended_searches,
    record_what_ended,
    recover,
    retry_failures,
)
from study.driver.searcher import DealingSearcher, ListSearcher, confirmation_seed, trial_config
from study.driver.tuning import fit, make_scheduler
from study.interrupts import Interrupts
from study.plan.files import freeze, thaw
from study.plan.plan import Plan
from study.store.certificate import attach_certificate
from study.store.folder import StudyFolder, remove_leftovers
from study.store.journal import enqueue_again, reconcile
from study.store.lock import is_running, locked
from study.store.parquet import refresh_parquet
from study.store.provenance import write_provenance
from study.store.records import Records
from trainables.common.errors import UserError
from trainables.common.lease import Lease
from trainables.common.load import Busyness, busyness
from trainables.contract import Record
from trainables.frameworks import framework
from trainables.workloads.prepared import store_in
from trainables.workloads.shipped import workload


def phases_of(plan: Plan) -> tuple[str, ...]:
    """Names of the functions below that a plan asks for, in order."""
    return ("search", "confirm") if plan.sweep is None else ("sweep",)


class StudyIncomplete(Exception):
    """A phase ended with trials missing, although nothing reported an error."""


@dataclass(frozen=True)
class Driver:
    """What the phases of one run of the driver share."""

    plan: Plan
    folder: StudyFolder
    records: Records
    progress: Progress
    interrupts: Interrupts
    lease: Lease
    slots: Slots  # trials at once during the search
    local: bool  # whether Ray was started for this study alone

    def recorder(self) -> Recorder:
        """For one run of Tune."""
        starts = StartWatch(START_LIMIT_S if self.local else None)
        cluster = None if self.local else ClusterWatch(self.plan.slice, say=self.progress.say)
        return Recorder(self.plan, self.folder, self.records, self.progress, starts, cluster)


@contextmanager
def driving(
    plan: Plan, folder: StudyFolder, *, where: Place, progress: Progress, retry_failed: bool = False
) -> Iterator[Driver]:
    """Hold the study and a cluster for the time of the block; records are on disk at its end, whatever happens.

    Parameters
    ----------
    retry_failed
        Whether trials that failed are to run again.

    Raises
    ------
    UserError
        When another driver holds the study, the cluster cannot be reached, or a slice fits on no node.
    """
    with Interrupts().handled() as interrupts, locked(folder) as hold:
        if thaw(folder.plan) != plan:
            freeze(plan, folder.plan)
        folder.checkpoints("").mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        records = Records(folder, say=progress.say)
        try:
            charge_losses(folder, records, seen_at=hold.seen_at)
            mend_evaluations(folder, records)
            store_in(folder.data, workload(plan.workload).dataset, say=progress.say)
            write_provenance(plan, folder, _looked_at(progress, local=where.local), say=progress.say)
            if retry_failed and (count := retry_failures(folder, records)):
                progress.say(f"failed trials that run again, from their beginning: {count}")

            def left_behind() -> str:
                progress.stop()
                if folder.begun:
                    return f"the study is safe, `tuneoff resume{where.option}` goes on"
                room = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
                return f"no trial had begun. See that there is memory, and space in {room}, and launch the study again"

            with connected(where.address, on_death=left_behind):
                interrupts.install()
                hold.note_family()
                check_slice(plan.slice)
                if not where.local:
                    check_nodes(folder.path, plan, say=progress.say)
                slots = Slots(plan.slice, growing=not where.local)
                yield Driver(plan, folder, records, progress, interrupts, hold.lease, slots, where.local)
        finally:
            if folder.begun:  # else there is nothing to build, and a full disk would be waited for
                records.close()


def _looked_at(progress: Progress, *, local: bool) -> Busyness:
    """How busy this machine is; told where trials will run on it and be slowed."""
    found = busyness()
    if found.busy and local:
        progress.say(f"this machine is busy ({found}): times will be too long, and fewer trials will be in time")
    return found


def search(driver: Driver) -> None:
    """Bring every framework's search to the plan's number of trials.

    Raises
    ------
    StudyIncomplete
        When trials are missing at the end.
    Interrupted
        After SIGINT or SIGTERM; the trials that were running are continued by the next driver.
    """
    plan, folder, records = driver.plan, driver.folder, driver.records
    say = driver.progress.say
    searches = mended_searches(plan, folder, records, concurrent=driver.slots.several, say=say)
    for each in searches.values():
        record_what_ended(plan, folder, records, each)
    again = reconcile(searches, records.trials)
    enqueue_again(searches, records.retried)
    if again:
        say(f"interrupted trials that go on from their last checkpoints: {again}")
    wanted = plan.search.trials
    left = {name: wanted - len(each.finished()) for name, each in searches.items()}
    if any(count > 0 for count in left.values()):
        before = [row for row in records.trials.values() if row["phase"] == "search"]
        with driver.progress.phase("search", dict.fromkeys(plan.frameworks, wanted), before):
            fit(
                plan,
                folder,
                searcher=DealingSearcher(plan, folder, driver.lease, searches, left=dict(left), slots=driver.slots.now),
                trials=sum(left.values()),
                concurrent=sum(left.values()),  # the searcher deals no more than there is room for
                fresh_processes=plan.search.objective == "cold",
                scheduler=make_scheduler(plan),
                recorder=driver.recorder(),
                interrupts=driver.interrupts,
            )
    counts = {name: len(each.finished()) for name, each in searches.items()}
    missing = {name: wanted - count for name, count in counts.items() if count < wanted}
    if missing:
        raise StudyIncomplete(f"the search ended with trials missing: {missing}")


def confirm(driver: Driver) -> None:
    """Run every framework's best configuration with fresh seeds, alone, in fresh processes, the frameworks in turn.

    A framework whose search never reached the target has no configuration to confirm, and the report says so.

    Raises
    ------
    StudyIncomplete
        When runs are missing at the end.
    Interrupted
        After SIGINT or SIGTERM.
    """
    plan, folder, records, progress = driver.plan, driver.folder, driver.records, driver.progress
    best = winners(list(records.trials.values()))
    for name in plan.frameworks:
        title = framework(name).title
        progress.say(
            f"{title}: best {describe(best[name])}" if name in best else f"{title}: no trial reached the target"
        )
    left = []
    for number in range(plan.confirm.runs):  # A B A B
        for name in (name for name in plan.frameworks if name in best):
            winner = best[name]["number"]
            run_id = f"confirm-{name}-{winner:05d}-{number:05d}"  # of this winner: more trials may bring another
            spec = plan.spec(name, best[name], seed=confirmation_seed(plan, number), test_accuracy=True)
            identity = {"phase": "confirm", "trial_id": run_id, "number": number, "confirms": winner}
            if run_id not in records.trials and not recover(plan, folder, records, identity, spec):
                left.append(trial_config(folder, driver.lease, identity, spec))
    wanted = {name: plan.confirm.runs for name in plan.frameworks if name in best}
    _alone(driver, "confirm", left, wanted, lambda: confirmations(records.trials.values()))


def sweep(driver: Driver) -> None:
    """Train at the fixed configuration for each value of the sweep, alone, in fresh processes, the frameworks in turn.

    Raises
    ------
    StudyIncomplete
        When trainings are missing at the end.
    Interrupted
        After SIGINT or SIGTERM.
    """
    plan, folder, records = driver.plan, driver.folder, driver.records
    assert plan.sweep is not None
    left, number = [], 0
    for repeat in range(plan.sweep.repeats):
        for hyperparameter, values in plan.sweep.over.items():
            for value in values:
                for name in plan.frameworks:
                    run_id = f"sweep-{name}-{hyperparameter}-{value:g}-{repeat:03d}"
                    point = plan.sweep.point(hyperparameter, value)
                    spec = plan.spec(
                        name,
                        point,
                        seed=confirmation_seed(plan, repeat),
                        test_accuracy=True,
                        training_accuracy=True,
                        stop_at_target=False,
                    )
                    identity = {"phase": "sweep", "trial_id": run_id, "number": number, "varied": hyperparameter}
                    if run_id not in records.trials and not recover(plan, folder, records, identity, spec):
                        left.append(trial_config(folder, driver.lease, identity, spec))
                number += 1
    wanted = dict.fromkeys(plan.frameworks, plan.sweep.trainings)
    _alone(driver, "sweep", left, wanted, lambda: [row for row in records.trials.values() if row["phase"] == "sweep"])


def _alone(
    driver: Driver,
    phase: str,
    left: list[dict[str, Any]],
    wanted: dict[str, int],
    done: Callable[[], list[Record]],
) -> None:
    """Run trainings one after the other, each with the whole slice to itself and in a process of its own.

    Parameters
    ----------
    left
        Tune configs of those that are missing, in order.
    wanted
        Trainings in the end, by framework.
    done
        Records of those that there are.
    """
    if left:
        with driver.progress.phase(phase, wanted, done()):
            fit(
                driver.plan,
                driver.folder,
                searcher=ListSearcher(left),
                trials=len(left),
                concurrent=1,
                fresh_processes=True,
                scheduler=FIFOScheduler(),
                recorder=driver.recorder(),
                interrupts=driver.interrupts,
            )
    missing = sum(wanted.values()) - len(done())
    if missing > 0:
        raise StudyIncomplete(f"{missing} trainings of phase {phase} are missing")


def report(folder: StudyFolder, *, say: Callable[[str], None], price: Price | None = None) -> str:
    """Write the report from the records.

    Parameters
    ----------
    say
        Told of damaged files that are built anew.
    price
        Of an hour, where the cost is to be shown in money.

    Returns
    -------
    The verdict.

    Raises
    ------
    UserError
        When there are no records yet.
    """
    if not folder.log.exists() and not folder.trials.exists():
        raise UserError(f"{folder.path} has no trials yet; `tuneoff resume {folder.path}` runs them")
    if not is_running(folder):
        refresh_parquet(folder, say=say)
    attach_certificate(thaw(folder.plan), folder)
    return write_report(folder.path, folder.report, price=price)
