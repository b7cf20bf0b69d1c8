"""The phases of a study: search and confirm, or sweep; then report. Each does what is left to do: its own resume."""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from types import MappingProxyType
from typing import TypeVar

from ray.tune.schedulers import FIFOScheduler

from reports.page.report import write_report
from reports.tables.cost import Price
from reports.winners import finalists, replaced, winners
from study.cluster.address import Place
from study.cluster.allowed import Nodes, leave_out
from study.cluster.choice import ANY_NODES, NodeChoice
from study.cluster.connection import connected
from study.cluster.joining import Found, Joining
from study.cluster.nodes import Node, asked, check_nodes
from study.cluster.slices import NodeLost, NodeWatch, Slots, check_slice, nodes_for
from study.cluster.starting import StartWatch, start_limit_s
from study.cluster.waiting import ClusterWatch
from study.driver.allowance import Allowance, allowance_of
from study.driver.blame import Blame
from study.driver.caps import Caps, CapScheduler, Stop
from study.driver.notices import Notices
from study.driver.pairs import Balance, Pair, PairSearcher, Run, whole
from study.driver.progress import Progress, describe
from study.driver.recorder import Recorder
from study.driver.repair import (
    charge_losses,
    give_up,
    mend_evaluations,
    mended_searches,
    record_what_ended,
    recover,
    rerun_disturbed,
    retry_failures,
)
from study.driver.retries import Retries, interrupted
from study.driver.searcher import DealingSearcher, last_host, trial_config
from study.driver.supplies import Supplies, weights_for
from study.driver.tuning import fit, make_scheduler
from study.interrupts import Interrupts
from study.plan.files import freeze, thaw
from study.plan.plan import Plan
from study.plan.points import point_of, said
from study.plan.seeds import confirmation_seed, race_seed
from study.store.certificate import attach_certificate
from study.store.folder import StudyFolder, remove_leftovers
from study.store.frozen import workload_in
from study.store.journal import Search, enqueue_again, reconcile
from study.store.lock import is_running, locked
from study.store.parquet import refresh_parquet
from study.store.provenance import record_nodes, record_stops, write_provenance
from study.store.records import Records
from study.strategy.capping import rule_of
from trainables.common.errors import UserError
from trainables.common.load import Busyness, busyness
from trainables.contract import Record
from trainables.frameworks import framework
from trainables.workloads.prepared import facts, store_in
from trainables.workloads.workload import Workload

T = TypeVar("T")


def phases_of(plan: Plan) -> tuple[str, ...]:
    """Names of the functions below that a plan asks for, in order."""
    return ("search", "race", "confirm") if plan.sweep is None else ("sweep",)


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
    supplies: Supplies
    slots: Slots  # trials at once during the search
    start_limit_s: float | None  # for a process to come for a trial; None on a cluster that others use, too
    allowed: Nodes = field(default_factory=Nodes)
    blame: Blame | None = None  # of nodes on which trials keep failing; None on this machine alone
    joining: Joining | None = None  # lets in the nodes that join; likewise
    retries: Retries | None = None
    notices: Notices | None = None

    def recorder(self, stopped: Mapping[str, Stop] = MappingProxyType({})) -> Recorder:
        """For one run of Tune.

        Parameters
        ----------
        stopped
            Trials that a cap has ended, as they become so, by Tune's id.
        """
        starts = StartWatch(self.start_limit_s)
        cluster = None
        if self.joining is not None:
            cluster = ClusterWatch(self.plan.slice, joining=self.joining.look, say=self.progress.say)
        watch = NodeWatch(self.nodes)
        shown, weights = self.progress, self.supplies.weights
        all_along = (self.blame, self.retries, weights, self.notices)
        return Recorder(self.plan, self.folder, self.records, shown, starts, watch, cluster, *all_along, stopped)

    def nodes(self) -> list[Node]:
        """The nodes that are up now, can hold a slice, and may be used."""
        return nodes_for(self.plan.slice, self.allowed)

    def allowance(self) -> Allowance:
        """What the searches may still spend."""
        return allowance_of(self.plan, self.folder, self.records)

    def gives_again(self) -> bool:
        """Whether trials failed on nodes that were left out since; they are to run again, elsewhere."""
        owed = self.blame.owed() if self.blame is not None else []
        count = retry_failures(self.folder, self.records, owed) if owed else 0
        if count:
            self.progress.say(f"trials that failed on a node that was left out, and run again: {count}")
        return count > 0


@contextmanager
def driving(
    plan: Plan,
    folder: StudyFolder,
    *,
    where: Place,
    progress: Progress,
    interrupts: Interrupts,
    retry_failed: bool = False,
    disturbed: bool = False,
    choice: NodeChoice = ANY_NODES,
) -> Iterator[Driver]:
    """Hold the study and a cluster for the time of the block; records are on disk at its end, whatever happens.

    Parameters
    ----------
    interrupts
        Which the trials heed.
    retry_failed
        Whether trials that failed are to run again.
    disturbed
        Whether runs of the race and the confirmation that a busy machine disturbed are.
    choice
        What the user wants of a cluster's nodes.

    Raises
    ------
    UserError
        When another driver holds the study, the cluster cannot be reached, a slice fits on no node, a node cannot take
        part, or nodes differ.
    """
    with interrupts.handled(), locked(folder) as hold:
        if thaw(folder.plan) != plan:
            freeze(plan, folder.plan)
        folder.checkpoints("").mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        records = Records(folder, say=progress.say)
        try:
            charge_losses(folder, records, seen_at=hold.seen_at)
            mend_evaluations(folder, records)
            workload = workload_in(folder.copies, plan.workload)
            data = store_in(folder.data, workload, say=progress.say)
            busyness = _looked_at(progress, local=where.local)
            limit_s = start_limit_s(busyness.share)
            write_provenance(plan, folder, workload, busyness, say=progress.say, place=where.option)
            if retry_failed and (count := retry_failures(folder, records)):
                progress.say(f"failed trials that run again, from their beginning: {count}")
            if disturbed:
                again = rerun_disturbed(folder, records)
                told = f"runs that were disturbed, and run again: {', '.join(again)}"
                progress.say(told if again else "no run of the race or the confirmation was disturbed")

            def left_behind() -> str:
                progress.stop()
                if folder.begun:
                    return f"the study is safe, `{folder.resume_command()}` goes on"
                room = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
                return f"no trial had begun. See that there is memory, and space in {room}, and launch the study again"

            progress.doing("starting Ray" if where.local else "connecting to the cluster")
            with (
                closing(weights_for(folder, workload, plan.frameworks)) as weights,  # which starts while Ray does
                connected(where.address, on_death=left_behind, limit_s=limit_s),
            ):
                interrupts.install()
                hold.note_family()
                nodes = Nodes()
                leave_out(nodes, choice.exclude)
                check_slice(plan.slice, nodes)
                blame = joining = None
                if not where.local:
                    progress.doing("asking the nodes")
                    joining = _checked(folder, plan, workload, nodes, choice, progress)
                    check_slice(plan.slice, nodes)
                    blame = Blame(nodes, say=progress.say)
                slots = Slots(plan.slice, nodes, growing=not where.local)
                supplies = Supplies(hold.lease, workload, data, weights)
                shared = (supplies, slots, limit_s if where.local else None, nodes, blame, joining)
                yield Driver(
                    plan, folder, records, progress, interrupts, *shared, Retries(progress.say), Notices(progress.say)
                )
        finally:
            if folder.begun:  # else there is nothing to build, and a full disk would be waited for
                records.close()


def _checked(
    folder: StudyFolder, plan: Plan, workload: Workload, nodes: Nodes, choice: NodeChoice, progress: Progress
) -> Joining:
    """Have the cluster's nodes checked and recorded; who will do the same with those that join later."""

    def note(found: Found) -> None:
        record_nodes(folder, [each.as_record() for each in found.facts], found.differ, found.left_out)

    checked = check_nodes(folder.path, plan, workload, nodes, choice, say=progress.say, show=progress.show)
    note(Found(checked.facts, checked.differ, nodes.excluded))
    return Joining(
        nodes,
        plan.slice,
        lambda node: asked([node], folder.path, plan, workload),
        facts=checked.facts,
        allow_mixed=choice.allow_mixed,
        say=progress.say,
        note=note,
    )


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
    missing = _until_no_node_is_lost(driver, lambda: _search(driver))
    if missing:
        raise StudyIncomplete(f"the search ended with trials missing: {missing}")
    if driver.gives_again():
        search(driver)


def _search(driver: Driver) -> dict[str, int]:
    """Deal what is left of the searches; how many trials are missing then, by framework."""
    plan, folder, records = driver.plan, driver.folder, driver.records
    say = driver.progress.say
    searches = mended_searches(plan, folder, records, concurrent=driver.slots.several, say=say)
    for each in searches.values():
        record_what_ended(plan, folder, records, each)
    again = reconcile(searches, records.trials)
    enqueue_again(searches, records.retried)
    if again:
        say(interrupted(folder, again))
    wanted = plan.search.trials
    allowance = driver.allowance()
    owed = {name: each.owed() for name, each in searches.items()}
    left = {name: max(0, wanted - len(each.finished())) for name, each in searches.items()}
    left = {name: count if owed[name] or allowance.over(name) is None else 0 for name, count in left.items()}
    if any(left.values()):
        _deal(driver, searches, allowance, left=left, owed=owed)
    over = {name: why for name in searches if (why := allowance.over(name)) is not None}
    for name, why in over.items():
        say(allowance.said(name, why))
        driver.progress.over("search", name)
    record_stops(folder, {name: allowance.as_record(name, why) for name, why in over.items()})
    counts = {name: len(each.finished()) for name, each in searches.items()}
    return {name: wanted - count for name, count in counts.items() if count < wanted and name not in over}


def _deal(
    driver: Driver, searches: Mapping[str, Search], allowance: Allowance, *, left: dict[str, int], owed: dict[str, int]
) -> None:
    """Deal what is left of the searches, as far as their allowance goes; what is owed whatever that says."""
    plan, folder, records = driver.plan, driver.folder, driver.records
    wanted, fresh = plan.search.trials, plan.search.objective == "cold"
    if apart := plan.drawn_apart:
        driver.progress.say(f"cmaes draws ranges alone; tpe draws {', '.join(apart)}")
    before = [row for row in records.trials.values() if row["phase"] == "search"]
    counts = dict.fromkeys(plan.frameworks, wanted)
    caps = Caps(rule_of(plan.search), records)
    scheduler = make_scheduler(plan, samples=facts(driver.supplies.workload).training_samples, caps=caps)
    budget_s = allowance.budget_s

    def stops(name: str, running: int) -> bool:
        now = allowance.stopped(name, running) is not None
        driver.progress.pauses(name, now)
        return now

    with driver.progress.phase("search", counts, before, at_once=driver.slots.now, fresh=fresh, budget_s=budget_s):
        fit(
            plan,
            folder,
            searcher=DealingSearcher(
                plan,
                folder,
                driver.supplies,
                searches,
                left=dict(left),
                dealt=Counter((row["framework"], row["host"]) for row in before),
                hosts={searches[row["framework"]].place(row["number"]): row["host"] for row in before},
                slots=driver.slots.now,
                nodes=driver.nodes,
                cap=caps.now,
                owed=owed,
                stops=stops,
            ),
            trials=sum(left.values()),
            concurrent=sum(left.values()),  # the searcher deals no more than there is room for
            fresh_processes=fresh,
            scheduler=scheduler,
            recorder=driver.recorder(scheduler.stopped if isinstance(scheduler, CapScheduler) else {}),
            interrupts=driver.interrupts,
        )


def race(driver: Driver) -> None:
    """Run the best configurations of every framework's search again, alone, in fresh processes, in pairs.

    The configurations of a rank and a seed are a pair. What is confirmed is the best of this race; and since several
    good configurations of each framework have run, it tells the framework from the luck of its search.

    Raises
    ------
    StudyIncomplete
        When runs are missing at the end.
    Interrupted
        After SIGINT or SIGTERM.
    """
    plan = driver.plan
    entered = finalists(driver.records.trials.values(), plan.race.configurations)

    def runs(repeat: int, rank: int, attempt: int) -> dict[str, Run]:
        found = {}
        for name, rows in entered.items():
            if rank <= len(rows):
                trial = rows[rank - 1]["number"]
                identity = {
                    "phase": "race",
                    "trial_id": f"race-{name}-{trial:05d}-{repeat:03d}",
                    "number": repeat * plan.race.configurations + rank - 1,
                    "confirms": trial,
                    "rank": rank,
                }
                spec = plan.spec(name, point_of(rows[rank - 1]), seed=race_seed(plan, repeat, rank), test_score=True)
                found[name] = Run(_attempted(identity, attempt), spec)
        return found

    most = max(map(len, entered.values()), default=0)
    pairs = [partial(runs, repeat, rank + 1) for repeat in range(plan.race.runs) for rank in range(most)]
    _in_pairs(driver, {name: len(entered[name]) * plan.race.runs for name in plan.frameworks if name in entered}, pairs)


def confirm(driver: Driver) -> None:
    """Run every framework's best configuration with fresh seeds, alone, in fresh processes, in pairs.

    A framework whose search never reached the target has no configuration to confirm, and the report says so.

    Raises
    ------
    StudyIncomplete
        When runs are missing at the end.
    Interrupted
        After SIGINT or SIGTERM.
    """
    plan, records, progress = driver.plan, driver.records, driver.progress
    best = winners(list(records.trials.values()))
    for name in plan.frameworks:
        title = framework(name).title
        progress.say(
            f"{title}: best {describe(best[name], plan.also_searched(name))}"
            if name in best
            else f"{title}: no trial reached the target"
        )
    names = [name for name in plan.frameworks if name in best]

    def runs(number: int, attempt: int) -> dict[str, Run]:
        found = {}
        for name in names:
            winner = best[name]["number"]
            run_id = f"confirm-{name}-{winner:05d}-{number:05d}"  # of this winner: more trials may bring another
            identity = {"phase": "confirm", "trial_id": run_id, "number": number, "confirms": winner}
            spec = plan.spec(name, point_of(best[name]), seed=confirmation_seed(plan, number), test_score=True)
            found[name] = Run(_attempted(identity, attempt), spec)
        return found

    wanted = dict.fromkeys(names, plan.confirm.runs)
    _in_pairs(driver, wanted, [partial(runs, number) for number in range(plan.confirm.runs if names else 0)])


def sweep(driver: Driver) -> None:
    """Train at the fixed configuration for each value of the sweep, alone, in fresh processes, in pairs.

    Raises
    ------
    StudyIncomplete
        When trainings are missing at the end.
    Interrupted
        After SIGINT or SIGTERM.
    """
    plan = driver.plan
    assert plan.sweep is not None
    mended_searches(plan, driver.folder, driver.records, concurrent=False, say=driver.progress.say)  # keep its plan
    over = plan.sweep.over
    points = [
        (repeat, knob, value)
        for repeat in range(plan.sweep.repeats)
        for knob, values in over.items()
        for value in values
    ]

    def runs(number: int, attempt: int) -> dict[str, Run]:
        assert plan.sweep is not None
        repeat, knob, value = points[number]
        found = {}
        for name in plan.frameworks:
            run_id = f"sweep-{name}-{knob}-{said(value, over[knob])}-{repeat:03d}"
            spec = plan.spec(
                name,
                plan.sweep.point(knob, value),
                seed=confirmation_seed(plan, repeat),
                test_score=True,
                training_score=True,
                stop_at_target=False,
            )
            identity = {"phase": "sweep", "trial_id": run_id, "number": number, "varied": knob}
            found[name] = Run(_attempted(identity, attempt), spec)
        return found

    wanted = dict.fromkeys(plan.frameworks, plan.sweep.trainings)
    _in_pairs(driver, wanted, [partial(runs, number) for number in range(len(points))])


def _attempted(identity: Record, attempt: int) -> Record:
    """A run's identity in an attempt; in the first its id is without a number."""
    suffix = f"-{attempt}" if attempt > 1 else ""
    return {**identity, "trial_id": f"{identity['trial_id']}{suffix}", "attempt": attempt}


def _in_pairs(driver: Driver, wanted: dict[str, int], pairs: Sequence[Callable[[int], Mapping[str, Run]]]) -> None:
    """Run the pairs that are left, one run after the other, each alone and in a process of its own.

    Parameters
    ----------
    wanted
        Trainings in the end, by framework.
    pairs
        Of each pair its runs in an attempt, by framework.
    """
    missing = _until_no_node_is_lost(driver, lambda: _run_pairs(driver, wanted, pairs))
    if missing:
        raise StudyIncomplete(f"{missing} trainings are missing")
    if driver.gives_again():
        _in_pairs(driver, wanted, pairs)


def _until_no_node_is_lost(driver: Driver, step: Callable[[], T]) -> T:
    """Do a step, and again what is left of it whenever a node is lost on which trials had to run."""
    while True:
        try:
            return step()
        except NodeLost as lost:
            driver.progress.say(f"{lost}; what has to run there runs elsewhere")
        charge_losses(driver.folder, driver.records, seen_at=time.time())


def _what_is_left(driver: Driver, runs: Callable[[int], Mapping[str, Run]]) -> Pair:
    """The runs that a pair lacks, and where they have to run; a pair that is no longer on one machine begins anew."""
    plan, folder, records = driver.plan, driver.folder, driver.records
    attempt = _last_attempt(driver, runs)
    current = runs(attempt)
    for run in current.values():
        if run.identity["trial_id"] not in records.trials:
            recover(plan, folder, records, run.identity, run.spec)
    left = {name: run for name, run in current.items() if run.identity["trial_id"] not in records.trials}
    rows = _rows(driver, runs)
    if whole(rows, len(current)):
        return Pair({})
    begun = {run.identity["trial_id"]: last_host(folder, run.identity["trial_id"]) for run in left.values()}
    hosts = {host for host in (*(row["host"] for row in rows), *begun.values()) if host}
    if any(map(replaced, rows)) or len(hosts) > 1 or not hosts <= {node.host for node in driver.nodes()}:
        for run in left.values():
            if run.identity["trial_id"] in records.begun:
                give_up(plan, folder, records, run.identity, run.spec)
        return Pair(runs(attempt + 1))
    return Pair(left, next(iter(hosts), None))


def _last_attempt(driver: Driver, runs: Callable[[int], Mapping[str, Run]]) -> int:
    """The last attempt that any of a pair's runs began; 1 where none did."""

    def began(attempt: int) -> bool:
        names = [run.identity["trial_id"] for run in runs(attempt).values()]
        return any(name in driver.records.begun or name in driver.records.trials for name in names)

    return next(attempt for attempt in count(1) if not began(attempt + 1))


def _rows(driver: Driver, runs: Callable[[int], Mapping[str, Run]]) -> list[Record]:
    """The rows of a pair's last attempt."""
    trials = driver.records.trials
    ids = [run.identity["trial_id"] for run in runs(_last_attempt(driver, runs)).values()]
    return [trials[name] for name in ids if name in trials]


def _run_pairs(driver: Driver, wanted: dict[str, int], pairs: Sequence[Callable[[int], Mapping[str, Run]]]) -> int:
    """Run what is left of the pairs; how many runs are missing then."""
    left = [pair for each in pairs if (pair := _what_is_left(driver, each)).runs]
    if left:
        phase = next(iter(left[0].runs.values())).identity["phase"]
        done = [row for each in pairs for row in _rows(driver, each) if not replaced(row)]
        ids = [run.identity["trial_id"] for pair in left for run in pair.runs.values()]
        if going_on := interrupted(driver.folder, [name for name in ids if name in driver.records.begun]):
            driver.progress.say(going_on)
        with driver.progress.phase(phase, wanted, done):
            fit(
                driver.plan,
                driver.folder,
                searcher=PairSearcher(
                    left,
                    Balance(done),
                    nodes=driver.nodes,
                    config=lambda run, node: trial_config(driver.folder, driver.supplies, run.identity, run.spec, node),
                ),
                trials=sum(len(pair.runs) for pair in left),
                concurrent=1,
                fresh_processes=True,
                scheduler=FIFOScheduler(),
                recorder=driver.recorder(),
                interrupts=driver.interrupts,
            )
    sizes = [(each, len(each(1))) for each in pairs]
    return sum(size for each, size in sizes if not whole(_rows(driver, each), size))


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
        raise UserError(f"{folder.path} has no trials yet; `{folder.resume_command()}` runs them")
    if not is_running(folder):
        refresh_parquet(folder, say=say)
    attach_certificate(thaw(folder.plan), folder)
    return write_report(folder.path, folder.report, price=price)
