"""Live progress of a study: a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trainables.contract import Record
from trainables.frameworks import framework

LINE_INTERVAL_S = 5.0  # plain lines about running trials come no more often


@dataclass
class _Lane:
    """One framework's progress in a phase."""

    wanted: int
    done: int = 0
    reached: int = 0
    cost_s: float = 0.0
    best: Record | None = None
    running: dict[str, str] = field(default_factory=dict)


class Progress:
    """What a phase of a study has done so far. Only ever shows; everything it knows is in the records."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._lanes: dict[str, _Lane] = {}
        self._phase = ""
        self._started = time.monotonic()
        self._done_before = 0
        self._last_line = 0.0

    def say(self, message: str) -> None:
        """One line, kept above the table."""
        self._console.print(message, highlight=False, soft_wrap=True)

    def show(self, table: Table) -> None:
        """A table of facts, once."""
        self._console.print(table, soft_wrap=False)

    def stop(self) -> None:
        """Give the terminal back at once."""
        if self._live is not None:
            self._live.stop()

    @contextmanager
    def phase(self, name: str, wanted: dict[str, int], records: list[Record]) -> Iterator[None]:
        """Show a phase while the block runs.

        Parameters
        ----------
        name
            ``search`` or ``confirm``.
        wanted
            Trials in the end, by framework.
        records
            Trials of this phase that were finished before.
        """
        self._phase = name
        self._lanes = {each: _Lane(count) for each, count in wanted.items()}
        for row in records:
            self._count(row)
        self._started = time.monotonic()
        self._done_before = sum(lane.done for lane in self._lanes.values())
        if not self._console.is_terminal:
            yield
            return
        with Live(self._table(), console=self._console, refresh_per_second=4, transient=True) as self._live:
            yield
        self._live = None
        self._console.print(self._table())

    def evaluated(self, identity: Record, result: dict[str, Any]) -> None:
        """A running trial reported an evaluation."""
        lane = self._lanes[identity["framework"]]
        text = f"{identity['trial_id']} {result['validation_accuracy']:.1%} after {result['train_s']:.1f} s"
        lane.running[identity["trial_id"]] = text
        if not self._console.is_terminal and time.monotonic() - self._last_line > LINE_INTERVAL_S:
            self._last_line = time.monotonic()
            self.say(f"  running {text}")
        self.refresh()

    def finished(self, row: Record) -> None:
        """A trial ended, one way or another."""
        self._count(row)
        lane = self._lanes[row["framework"]]
        if not self._console.is_terminal:
            parts = [
                f"{self._phase} {framework(row['framework']).title} {lane.done}/{lane.wanted}: {describe(row)}",
                f"best {tta(lane.best)}",
                f"cost {lane.cost_s:.0f} slice-s",
                f"left {self._left()}",
            ]
            self.say("; ".join(parts))
        self.refresh()

    def refresh(self) -> None:
        """Redraw the table, where there is one."""
        if self._live is not None:
            self._live.update(self._table())

    def _count(self, row: Record) -> None:
        lane = self._lanes[row["framework"]]
        lane.done += 1
        lane.cost_s += row["slice_s"] or 0.0
        lane.running.pop(row["trial_id"], None)
        if row["reached"]:
            lane.reached += 1
            if lane.best is None or row["objective"] < lane.best["objective"]:
                lane.best = row

    def _left(self) -> str:
        done = sum(lane.done for lane in self._lanes.values())
        wanted = sum(lane.wanted for lane in self._lanes.values())
        if done == self._done_before:
            return "unknown"
        seconds = (time.monotonic() - self._started) / (done - self._done_before) * (wanted - done)
        return f"about {seconds:.0f} s" if seconds < 120 else f"about {seconds / 60:.0f} min"

    def _table(self) -> Group:
        table = Table(title=f"{self._phase}, left: {self._left()}", title_justify="left")
        for column in ("framework", "done", "reached", "best time to accuracy", "cost in slice-s", "running"):
            table.add_column(column)
        for name, lane in self._lanes.items():
            table.add_row(
                framework(name).title,
                f"{lane.done}/{lane.wanted}",
                str(lane.reached),
                Text(describe(lane.best) if lane.best else "none yet"),
                f"{lane.cost_s:.0f}",
                Text("\n".join(lane.running.values())),
            )
        return Group(table)


def tta(row: Record | None) -> str:
    """Time to accuracy of a trial in words."""
    return "none yet" if row is None else f"{row['objective']:.2f} s"


def describe(row: Record) -> str:
    """A trial's outcome and configuration in a line."""
    knobs = f"lr {row['learning_rate']:.3g}, batch {row['batch_size']}, workers {row['num_workers']}"
    if row["reached"]:
        return f"{row['objective']:.2f} s ({knobs})"
    if row["outcome"] == "failed":
        return f"failed: {row['error']} ({knobs})"
    if row["best_validation_accuracy"] is None:
        return f"{row['outcome']} ({knobs})"
    return f"{row['outcome']} at {row['best_validation_accuracy']:.1%} ({knobs})"
