"""How long the rest of a study takes, over all its phases: from what its trials took so far, and from nothing else.

A trial in the search takes as long as those of its framework did on average. A run of the race or of the confirmation
takes what runs like it took; before there is one, what the training of the configurations took that reached the target,
and the start of a process besides. Nothing is said before every framework that has something left to do has finished a
trial.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from reports.winners import confirmations, standing, winners
from study.plan.plan import Plan
from trainables.contract import Record

_SEARCH = "search"
_AFTER_SEARCH = ("race", "confirm")  # what is run with what it found
_PARTS = ("train_s", "eval_s", "checkpoint_s")  # of a row, what is done again in a confirmation run
_STARTS = ("startup_s", "compile_s")  # what a fresh process does besides


def wanted_by(plan: Plan, phases: Sequence[str]) -> dict[str, dict[str, int]]:
    """Trials in the end, by phase and framework; one that does not reach the target will have none after the search."""
    counts = {
        "search": plan.search.trials,
        "race": min(plan.race.configurations, plan.search.trials) * plan.race.runs,
        "confirm": plan.confirm.runs,
        "sweep": plan.sweep.trainings if plan.sweep is not None else 0,
    }
    return {phase: dict.fromkeys(plan.frameworks, counts[phase]) for phase in phases}


def counted(rows: Iterable[Record], phase: str) -> list[Record]:
    """The rows that count for a phase: not those of runs that others have replaced or that confirm a former winner."""
    rows = list(rows)
    if phase == "confirm":
        return confirmations(rows)
    mine = [row for row in rows if row["phase"] == phase]
    return mine if phase == _SEARCH else standing(mine)


@dataclass
class _Slot:
    """A trial that runs."""

    framework: str
    since: float  # when what it has taken so far began
    began: float  # when it itself began


@dataclass
class Outlook:
    """What is wanted, what was done, and what it took.

    Parameters
    ----------
    wanted
        Trials in the end, by phase and framework.
    clock
        ``time.monotonic``, if not given.
    """

    wanted: dict[str, dict[str, int]]
    clock: Callable[[], float] = time.monotonic
    _rows: dict[str, Record] = field(default_factory=dict)  # by trial id
    _took_s: dict[str, float] = field(default_factory=dict)  # likewise: with the wait for its process
    _starts_s: list[float] = field(default_factory=list)  # waits for a fresh process
    _running: dict[str, _Slot] = field(default_factory=dict)
    _free: list[float] = field(default_factory=list)  # since when slots have been waiting for a trial
    _dealt: dict[str, float] = field(default_factory=dict)  # since when trials have been waiting for a process
    _counted: dict[str, list[Record]] = field(default_factory=dict)  # by phase: asked for whenever a line is drawn
    _phase: str = ""
    _ask_slots: Callable[[], int] = lambda: 1
    _at_once: int = 1
    _fresh: bool = True
    _pausing: set[str] = field(default_factory=set)  # frameworks that deal no trial, unless what runs changes that
    _budget_s: float | None = None  # slice-seconds that each framework may spend in the phase

    def know(self, rows: Iterable[Record]) -> None:
        """Rows of trials that were finished before."""
        self._rows.update((row["trial_id"], row) for row in rows)
        self._counted.clear()

    def begin(self, phase: str, *, at_once: Callable[[], int], fresh: bool, budget_s: float | None = None) -> None:
        """A phase begins, or what is left of it.

        Parameters
        ----------
        at_once
            Tells how many trials run at a time.
        fresh
            Whether each has a process of its own.
        budget_s
            Slice-seconds that each framework may spend; None: no limit.
        """
        self._phase, self._fresh, self._budget_s = phase, fresh, budget_s
        self._ask_slots, self._at_once = at_once, max(1, at_once())
        for each in (self._running, self._free, self._dealt, self._pausing):
            each.clear()

    def pauses(self, framework: str, pausing: bool) -> None:
        """Whether a framework deals no trial for now."""
        (self._pausing.add if pausing else self._pausing.discard)(framework)

    def over(self, phase: str, framework: str) -> None:
        """A framework has no more to do in a phase than it has done."""
        done = sum(row["framework"] == framework for row in self._that_count(phase))
        self.wanted[phase] = {**self.wanted.get(phase, {}), framework: done}

    def dealt(self, trial_id: str) -> None:
        """A trial waits for a process."""
        if trial_id not in self._running:
            self._dealt.setdefault(trial_id, self.clock())

    def started(self, trial_id: str, framework: str) -> None:
        """A trial has a process, for the first time or again."""
        now = self.clock()
        self._at_once = max(1, self._ask_slots())  # here: lines are drawn by another thread, which must ask nobody
        if trial_id in self._running:
            return
        dealt, free = self._dealt.pop(trial_id, now), self._free.pop(0) if self._free else None
        if free is None or self._fresh:
            self._starts_s.append(now - dealt)
        began = dealt if self._fresh else now  # the start of a process that serves many is no part of its first trial
        since = began if free is None else free
        self._running[trial_id] = _Slot(framework, since, now)

    def finished(self, row: Record) -> None:
        """A trial ended, one way or another."""
        now = self.clock()
        self.know([row])
        slot = self._running.pop(row["trial_id"], None)
        if slot is not None:
            self._free.append(now)
            self._took_s[row["trial_id"]] = now - slot.since

    def done(self, phase: str) -> int:
        """Trials of a phase that are finished and count."""
        return len(self._that_count(phase))

    @property
    def total(self) -> int:
        """Trials of all phases in the end."""
        return sum(sum(each.values()) for each in self.wanted.values())

    def left_s(self) -> float | None:
        """Seconds until the last trial ends; None where there is no basis yet."""
        total = 0.0
        for phase, wanted in self.wanted.items():
            seconds = self._phase_left_s(phase, wanted)
            if seconds is None:
                return None
            total += seconds
        return total

    def _phase_left_s(self, phase: str, wanted: Mapping[str, int]) -> float | None:
        rows = self._that_count(phase)
        at_once = self._at_once if phase == _SEARCH else 1
        now = self.clock()
        work_s, longest_s = 0.0, 0.0
        for name, count in wanted.items():
            mine = [row for row in rows if row["framework"] == name]
            left = count - len(mine)
            if left <= 0 or (phase in _AFTER_SEARCH and self._reached_nothing(name)):
                continue
            each_s = self._mean_s(mine) if mine else self._expected_s(name, phase)
            if each_s is None:
                return None
            running = [slot for slot in self._running.values() if slot.framework == name] * (phase == self._phase)
            rests = [max(0.0, each_s - (now - slot.since)) for slot in running[:left]]
            to_come_s = each_s * (left - len(rests)) * (phase != self._phase or name not in self._pausing)
            if phase == self._phase and self._budget_s is not None:
                spent_s = sum(row["slice_s"] or 0.0 for row in mine) + each_s * len(rests)
                to_come_s = min(to_come_s, max(0.0, self._budget_s - spent_s))
            work_s += to_come_s + sum(rests)
            longest_s = max([longest_s, *rests])
        return max(work_s / at_once, longest_s)

    def _reached_nothing(self, framework: str) -> bool:
        """Whether a framework's search is over and never reached the target."""
        searched = [row for row in self._that_count(_SEARCH) if row["framework"] == framework]
        over = len(searched) >= self.wanted.get(_SEARCH, {}).get(framework, 0)
        return over and not any(row["reached"] for row in searched)

    def _that_count(self, phase: str) -> list[Record]:
        if phase not in self._counted:
            self._counted[phase] = counted(self._rows.values(), phase)
        return self._counted[phase]

    def _mean_s(self, rows: Sequence[Record]) -> float:
        return fmean(self._took_s.get(row["trial_id"], row["slice_s"] or 0.0) for row in rows)

    def _expected_s(self, framework: str, phase: str) -> float | None:
        """What a run after the search takes before there is one like it; None where nothing is known of it yet."""
        if phase not in _AFTER_SEARCH:
            return None
        raced, searched = (
            [row for row in self._that_count(each) if row["framework"] == framework] for each in ("race", _SEARCH)
        )
        if phase == "confirm" and raced:
            return self._mean_s(raced)
        if not searched:
            return None
        start_s = median(self._starts_s) if self._starts_s else 0.0
        start_s += max(_sum(row, _STARTS) for row in searched)
        hits = [row for row in searched if row["reached"]] or searched
        best = winners(searched).get(framework) if phase == "confirm" else None
        return start_s + fmean(_sum(row, _PARTS) for row in ([best] if best is not None else hits))


def _sum(row: Record, parts: Sequence[str]) -> float:
    return sum(row.get(part) or 0.0 for part in parts)


def in_words(seconds: float | None) -> str:
    """A time that is left, no more precise than it is known; empty where it is not."""
    if seconds is None:
        return ""
    if seconds < 10:
        return "a few s left"
    if seconds < 100:
        return f"about {10 * round(seconds / 10)} s left"
    minutes = seconds / 60
    if minutes < 10:
        return f"about {max(2, round(minutes))} min left"
    if minutes < 90:
        return f"about {5 * round(minutes / 5)} min left"
    hours = minutes / 60
    if hours < 36:
        return f"about {round(hours)} h left"
    return f"about {round(hours / 24)} days left"
