"""A study run from the command line: what is checked before, and what each way of stopping says.

Heavy imports wait inside the functions: the environment must be prepared before Ray is imported, and ``tuneoff --help``
needs none of them.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from study.cli.output import fail, out, results, told_of_data
from study.cli.working import interrupts, screen
from trainables.common.errors import UserError

if TYPE_CHECKING:
    from reports.tables.cost import Price
    from study.cluster.address import Place
    from study.cluster.choice import NodeChoice
    from study.console import SteadyConsole
    from study.plan.plan import Plan
    from study.store.folder import StudyFolder
    from trainables.workloads.workload import Made, Workload

_SAFE = "the study is safe"


def start(
    plan: Plan,
    path: Path,
    where: Place,
    data_dir: Path | None,
    choice: NodeChoice | None = None,
    prices: Price | None = None,
) -> None:
    """Make a study's folder and run it; one that ends before its first trial leaves no folder behind.

    Where it could not take its folder away, killed or interrupted, the next launch takes that over.
    """
    from reports.tables.cost import Price
    from study.cli.readiness import check_machine_and_models
    from study.driver.allowance import budget_in_s
    from study.plan.completing import refuse_by_data
    from study.store.folder import StudyFolder, clear, create
    from study.store.lock import is_running
    from study.store.price import keep
    from trainables.workloads.workload import find

    interrupts.means = "no trial has begun"
    check_available(plan.frameworks)
    budget_in_s(plan, prices or Price())
    workload = find(plan.workload)
    made = prepare_data(workload, data_dir)
    refuse_by_data(plan, made, workload)
    check_local_slice(plan, where)
    check_machine_and_models(plan, where, workload, made)
    plan = plan.model_copy(update={"workload": workload.name})
    left = StudyFolder(path.absolute())
    if left.plan.exists() and left.lock.exists() and not left.begun and not is_running(left):
        clear(left)
    folder = create(path, plan, workload)
    if prices is not None:
        keep(folder, prices)
    try:
        drive(plan, folder, where, choice=choice)
    except (UserError, SystemExit):
        if folder.plan.exists() and not folder.begun and not is_running(folder):
            shutil.rmtree(folder.path, ignore_errors=True)
        raise


def open_study(path: Path, *, edited: bool = False) -> tuple[StudyFolder, Plan]:
    """An existing study, its plan mended where that is possible.

    Parameters
    ----------
    edited
        Whether a plan will do that was edited since the study began.
    """
    from study.store.folder import find
    from study.store.frozen import refuse_edited_copy
    from study.store.manifest import plan_of, refuse_edited

    found = find(path)
    interrupts.means, interrupts.farewell = _SAFE, f"{_SAFE}. Go on with: {found.resume_command()}"
    plan, notice = plan_of(found)
    if notice:
        out.print(notice, highlight=False)
    if not edited:
        refuse_edited(plan, found)
        refuse_edited_copy(found.copies, plan.workload)
    return found, plan


def keep_prices(folder: StudyFolder, prices: Price) -> bool:
    """Keep the prices that were given; whether there were any."""
    from study.store.price import keep

    keep(folder, prices)
    return prices.given


def go_on(
    plan: Plan,
    folder: StudyFolder,
    where: Place,
    data_dir: Path | None,
    choice: NodeChoice,
    phases: tuple[str, ...] | None = None,
    *,
    retry_failed: bool = False,
    disturbed: bool = False,
) -> None:
    """Check for a study that has begun what `start` checks for a new one, and run what is left of it."""
    from study.cli.readiness import check_machine
    from study.store.frozen import changed_original, workload_in
    from trainables.workloads.prepared import facts

    interrupts.means, interrupts.farewell = _SAFE, f"{_SAFE}. Go on with: {folder.resume_command(where.option)}"
    if notice := changed_original(folder.copies):
        screen.say(notice)
    workload = workload_in(folder.copies, plan.workload)
    check_local_slice(plan, where, begun=True)
    prepare_data(workload, data_dir, folder)
    check_machine(plan, where, made=facts(workload), begun=True)
    drive(plan, folder, where, phases, retry_failed=retry_failed, disturbed=disturbed, choice=choice)


def prepare_data(workload: Workload, data_dir: Path | None, folder: StudyFolder | None = None) -> Made:
    """Make and check the data here, once; not for a study that has them, wherever that was begun."""
    from trainables.workloads.prepared import facts, is_stored_in, prepare

    screen.doing(f"preparing the data: {workload.name}")
    if data_dir is None and folder is not None and is_stored_in(folder.data, workload):
        return facts(workload)
    return prepare(workload, data_dir=data_dir, hear=told_of_data)


def check_local_slice(plan: Plan, where: Place, *, begun: bool = False) -> None:
    """Refuse a slice of more CPUs than there are, before a folder is made or Ray is started.

    Parameters
    ----------
    begun
        Whether the study has begun, so that its slice cannot be changed any more.
    """
    from trainables.common.machine import cpus

    if not where.local:
        return
    ours, wanted = cpus(), plan.slice.cpus
    if wanted > ours.usable:
        todo = f"go on where there are {wanted}" if begun else f"--set slice.cpus={ours.usable}"
        raise UserError(f"slice.cpus is {wanted}, but {ours.told}; {todo} or give the --address of a larger cluster")


def drive(
    plan: Plan,
    folder: StudyFolder,
    where: Place,
    phases: tuple[str, ...] | None = None,
    *,
    retry_failed: bool = False,
    disturbed: bool = False,
    choice: NodeChoice | None = None,
) -> None:
    """Run a study's phases, or those named, then write its report; ends the process where it is stopped.

    Where failures left a framework without a result, too: with exit code 1.
    """
    from study.cluster.admission import enter
    from study.cluster.environment import prepare
    from trainables.frameworks import framework

    _check_encodable(folder.path)
    again = folder.resume_command(where.option)
    interrupts.farewell = f"{_SAFE}. Go on with: {again}"
    screen.say(f"study {folder.name} in {folder.path}: {plan.workload}, {', '.join(plan.frameworks)}")
    screen.doing("loading Ray")
    prepare(local=where.local)
    entered = enter(where)
    if where.local:
        for name in plan.frameworks:
            os.environ.update(framework(name).environment())  # found once, here, for the trials to inherit
    from study.cluster.choice import ANY_NODES
    from study.cluster.connection import ClusterDied
    from study.cluster.starting import NothingStarts
    from study.driver import phases as run
    from study.driver.blame import NoHostLeft
    from study.driver.progress import Progress
    from study.driver.tuning import TuneStopped
    from study.store.patience import StorageGone

    progress = Progress(screen)
    if entered.address is not None:
        progress.say(f"on the Ray cluster at {entered.address} ({entered.source})")
    _say_left_out(plan, folder)
    todo = phases or run.phases_of(plan)
    try:
        with run.driving(
            plan,
            folder,
            where=entered,
            progress=progress,
            interrupts=interrupts,
            retry_failed=retry_failed,
            disturbed=disturbed,
            choice=choice or ANY_NODES,
        ) as driver:
            progress.begin(plan, todo, driver.records.trials.values())
            interrupts.means = f"{_SAFE}, and what the running trials have saved is kept"
            for phase in todo:
                getattr(run, phase)(driver)
            interrupts.means = _SAFE
    except NothingStarts as nothing:
        ran = "; what ran before is safe" if folder.begun else ""
        fail(f"{nothing}{ran}", 1)
    except NoHostLeft as nowhere:
        fail(f"{nowhere}. Mend that, then `{again} --retry-failed` runs them again", 1)
    except (run.StudyIncomplete, ClusterDied, TuneStopped, StorageGone, OSError) as stopped:
        unnamed = isinstance(stopped, OSError) and stopped.filename is None
        why = f"{stopped}: {folder.path}" if unnamed else str(stopped)
        if not folder.begun:
            fail(f"no trial could begin: {why}. Mend that, then launch it again; `tuneoff doctor` may know more", 1)
        fail(f"the study stopped ({why}) and is safe. Go on with: {again}", 1)
    write_report(folder)
    _say_left_out(plan, folder, results)
    tell_failures(plan, folder, where)


def _say_left_out(plan: Plan, folder: StudyFolder, console: SteadyConsole = out) -> None:
    """A line for every framework that could take part and does not, at a study's start and at its end."""
    from study.store.frozen import workload_in
    from study.store.provenance import left_out
    from trainables.frameworks import framework

    for name, reason in left_out(plan, workload_in(folder.copies, plan.workload)).items():
        console.print(f"{framework(name).title} is left out: {reason}", highlight=False)


def _check_encodable(path: Path) -> None:
    """Refuse a path that Ray cannot take: with letters that the locale's encoding does not have."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{path} is no text in the encoding of this locale, and Ray takes no such path; "
            "set PYTHONUTF8=1, or choose another with --name or --out"
        ) from None


def write_report(folder: StudyFolder) -> None:
    """Write the report, with the prices that the study was given, and print its verdict."""
    interrupts.means = "the records are safe, the report is not written"
    interrupts.farewell = f"the records are safe. Write the report with: tuneoff report {shlex.quote(str(folder.path))}"
    screen.doing("writing the report")
    from study.driver.phases import report as write
    from study.store.price import kept_price

    def say(text: str) -> None:
        out.print(text, highlight=False)

    try:
        said = write(folder, price=kept_price(folder, say=say), say=say)
    except OSError as error:
        fail(
            f"cannot write the report ({error.filename or folder.report}: {error.strerror or error}); "
            f"`tuneoff report {shlex.quote(str(folder.path))}` does when that can be written",
            1,
        )
    results.print(said, style="bold", highlight=False)
    results.print(f"report: {folder.report / 'index.html'}", highlight=False)


def tell_failures(plan: Plan, folder: StudyFolder, where: Place) -> None:
    """Say which trials failed, if any; ends the process where that left a framework without a result."""
    from study.driver.failures import failures, fruitless
    from study.store.log import read_log
    from trainables.frameworks import framework

    rows = list(read_log(folder.log).trials.values())
    without = fruitless(rows, plan.frameworks)
    found = failures(row for row in rows if not without or row["framework"] in without)
    if found is None:
        return
    again = f"`{folder.resume_command(where.option)} --retry-failed` runs them again"
    if not without:
        results.print(f"{found}. {again}", highlight=False)
        return
    who = " and ".join(framework(name).title for name in without)
    fail(f"{who}: no usable result, {found}. Mend that, then {again}", 1)


def check_available(frameworks: Iterable[str]) -> None:
    """Refuse a framework that cannot run here, with what to do."""
    from trainables.frameworks import framework

    for name in frameworks:
        if problem := framework(name).missing():
            raise UserError(problem)
