"""Live progress of a study: one bar for all of it on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from search_spaces import Value
from study.console import Measure, Screen, listed
from study.driver.outlook import Outlook, in_words, wanted_by
from study.plan.plan import Plan
from study.plan.points import point_of
from study.scores import scored
from study.strategy.capping import elapsed_s
from trainables.contract import Record
from trainables.frameworks import framework

LINE_INTERVAL_S, LONGEST_INTERVAL_S = 5.0, 60.0  # plain lines about running trials come no more often
PATIENCE = 0.02  # of the time that a phase has taken: so long apart are those lines, in between


@dataclass
class _Lane:
    """One framework's progress in a phase."""

    wanted: int
    done: int = 0
    reached: int = 0
    failed: int = 0
    capped: int = 0
    cost_s: float = 0.0
    best: Record | None = None


@dataclass(frozen=True)
class _Running:
    """A trial that has a process."""

    host: str
    said: str = "starting"


@dataclass
class _Phase:
    """What is shown of one."""

    name: str
    lanes: dict[str, _Lane]
    began: float = field(default_factory=time.monotonic)
    running: dict[str, _Running] = field(default_factory=dict)
    most_lines: int = 1  # of trials: so many stay, that the bar does not jump


class Progress:
    """What a study has done so far. Only ever shows; everything it knows is in the records.

    Parameters
    ----------
    screen
        Where it is shown.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._outlook = Outlook({})
        self._phase = _Phase("", {})
        self._last_line = 0.0
        self._also: dict[str, tuple[str, ...]] = {}  # what of a configuration is told besides three, by framework

    def say(self, message: str) -> None:
        """One line, above what moves."""
        self._screen.say(message)

    def show(self, table: Table) -> None:
        """A table of facts, once."""
        self._screen.show(table)

    def doing(self, what: str) -> None:
        """What takes its time now."""
        self._screen.doing(what)
        if not self._screen.moves:
            self.say(what)

    def stop(self) -> None:
        """Give the terminal back at once."""
        self._screen.end()

    def begin(self, plan: Plan, phases: Sequence[str], rows: Iterable[Record]) -> None:
        """From now on know the whole study.

        Parameters
        ----------
        phases
            Those that will run.
        rows
            Of all trials that were finished before.
        """
        self._also = {name: plan.also_searched(name) for name in plan.frameworks}
        self._outlook = Outlook(wanted_by(plan, phases))
        self._outlook.know(rows)

    @contextmanager
    def phase(
        self,
        name: str,
        wanted: dict[str, int],
        records: list[Record],
        *,
        at_once: Callable[[], int] = lambda: 1,
        fresh: bool = True,
        budget_s: float | None = None,
    ) -> Iterator[None]:
        """Show a phase while the block runs.

        Parameters
        ----------
        name
            ``search``, ``confirm`` or ``sweep``.
        wanted
            Trials in the end, by framework.
        records
            Trials of this phase that were finished before.
        at_once
            Tells how many trials run at a time.
        fresh
            Whether each has a process of its own.
        budget_s
            Slice-seconds that each framework may spend.
        """
        self._phase = _Phase(name, {each: _Lane(count) for each, count in wanted.items()})
        for row in records:
            self._count(row)
        self._outlook.wanted[name] = wanted
        self._outlook.begin(name, at_once=at_once, fresh=fresh, budget_s=budget_s)
        self._screen.doing(name)
        self._screen.showing(self._measure, self._lines)
        try:
            yield
        finally:
            self._screen.showing()
        for each, lane in self._phase.lanes.items():
            self.say(f"{name}, {framework(each).title}: {_whole(lane)}, {lane.cost_s:.0f} slice-s")

    def pauses(self, framework: str, pausing: bool) -> None:
        """Whether a framework deals no trial for now."""
        self._outlook.pauses(framework, pausing)

    def over(self, phase: str, framework: str) -> None:
        """A framework has no more to do in a phase than it has done."""
        self._outlook.over(phase, framework)

    def dealt(self, trial_id: str) -> None:
        """A trial waits for a process."""
        self._outlook.dealt(trial_id)

    def started(self, identity: Record) -> None:
        """A trial has a process."""
        self._outlook.started(identity["trial_id"], identity["framework"])
        self._phase.running[identity["trial_id"]] = _Running(identity["host"])

    def evaluated(self, identity: Record, result: dict[str, Any]) -> None:
        """A running trial reported an evaluation."""
        score = scored(result["validation_accuracy"], result["validation_loss"])
        said = f"{score} after {result['train_s']:.1f} s"
        self._phase.running[identity["trial_id"]] = _Running(identity["host"], said)
        now = time.monotonic()
        due_s = min(LONGEST_INTERVAL_S, max(LINE_INTERVAL_S, PATIENCE * (now - self._phase.began)))
        if not self._screen.moves and now - self._last_line > due_s:
            self._last_line = now
            self.say(f"  running {identity['trial_id']} {said}")

    def finished(self, row: Record) -> None:
        """A trial ended, one way or another."""
        self._count(row)
        self._outlook.finished(row)
        lane = self._phase.lanes[row["framework"]]
        if not self._screen.moves:
            title = framework(row["framework"]).title
            parts = [
                f"{self._phase.name} {title} {lane.done}/{lane.wanted}: {self._described(row)}",
                f"best {tta(lane.best)}",
                f"cost {lane.cost_s:.0f} slice-s",
                in_words(self._outlook.left_s()),
            ]
            self.say("; ".join(filter(None, parts)))

    def _count(self, row: Record) -> None:
        lane = self._phase.lanes[row["framework"]]
        lane.done += 1
        lane.cost_s += row["slice_s"] or 0.0
        self._phase.running.pop(row["trial_id"], None)
        lane.failed += row["outcome"] == "failed"
        lane.capped += row["outcome"] == "capped"
        if row["reached"]:
            lane.reached += 1
            if lane.best is None or row["objective"] < lane.best["objective"]:
                lane.best = row

    def _described(self, row: Record) -> str:
        return describe(row, self._also.get(row["framework"], ()))

    def _measure(self) -> Measure:
        counts = self._outlook.wanted.items()
        done = sum(min(self._outlook.done(phase), sum(each.values())) for phase, each in counts)
        return Measure(done, self._outlook.total, in_words(self._outlook.left_s()))

    def _lines(self, width: int, room: int) -> list[str]:
        """The frameworks, and below them the trials that run, as far as there is room."""
        phase = self._phase
        titles = {framework(name).title: lane for name, lane in list(phase.lanes.items())}
        best = {title: self._described(lane.best) for title, lane in titles.items() if lane.best is not None}
        whole = {title: _whole(lane, best.get(title)) for title, lane in titles.items()}
        found = listed(whole, width, indent=None)
        running = list(phase.running.items())
        several = len({each.host for _, each in running}) > 1
        said = {name: f"{each.said}{f' on {each.host}' if several else ''}" for name, each in running}
        trials = listed(said, width, indent=4) if said else ["waiting for a process"]
        trials += [""] * (phase.most_lines - len(trials))
        phase.most_lines = len(trials)
        if (over := len(found) + len(trials) - room) > 0:
            trials = [*trials[: -over - 1], f"and {over + 1} lines more"]
        return [*found, *trials]


def _whole(lane: _Lane, best: str | None = None) -> str:
    others = "".join(f", {count} {what}" for what, count in (("capped", lane.capped), ("failed", lane.failed)) if count)
    winner = f", best {best}" if best is not None else ""
    return f"{lane.done} of {lane.wanted}, {lane.reached} reached{others}{winner}"


def tta(row: Record | None) -> str:
    """Time to accuracy of a trial in words."""
    return "none yet" if row is None else f"{row['objective']:.2f} s"


def describe(row: Record, also: Sequence[str] = ()) -> str:
    """A trial's outcome and configuration in a line.

    Parameters
    ----------
    also
        Names of hyperparameters and options that are told, too: `Plan.also_searched`.
    """
    point = point_of(row)
    told = [f"lr {row['learning_rate']:.3g}", f"batch {row['batch_size']}", f"workers {row['num_workers']}"]
    told += [f"{name} {_short(point[name])}" for name in also if name in point]
    knobs = ", ".join(told)
    if row["reached"]:
        return f"{row['objective']:.2f} s ({knobs})"
    if row["outcome"] == "failed":
        return f"failed: {row['error']} ({knobs})"
    best, loss = row["best_validation_accuracy"], row.get("best_validation_loss")
    outcome = f"capped after {elapsed_s(row, row['objective_clock']):.2f} s" if _was_capped(row) else row["outcome"]
    if best is None and loss is None:
        return f"{outcome} ({knobs})"
    return f"{outcome} at {scored(best, loss)} ({knobs})"


def _was_capped(row: Record) -> bool:
    return row["outcome"] == "capped" and row.get("train_s") is not None


def _short(value: Value) -> str:
    return f"{value:.3g}" if type(value) is float else str(value).lower() if isinstance(value, bool) else str(value)
