"""Whether a framework's search may deal another trial, as the records tell: `study.strategy.spending` has the rules."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

from reports.tables.cost import Price
from study.plan.budget import budget_of
from study.plan.plan import Plan
from study.store.folder import StudyFolder
from study.store.journal import framework_of
from study.store.price import kept_price, slice_hour
from study.strategy.spending import Ended, Limits, Stopped, stopped
from trainables.common.errors import UserError
from trainables.contract import Record
from trainables.frameworks import framework


class Ledger(Protocol):
    """What is asked of a study's records."""

    @property
    def trials(self) -> Mapping[str, Record]:
        """Finished trials by id."""

    @property
    def unfinished(self) -> Mapping[str, float]:
        """Trials that were started and have not ended: when, seconds since 1970."""

    @property
    def begun(self) -> Mapping[str, Record]:
        """Trials that were ever started."""


@dataclass(frozen=True)
class Allowance:
    """What the searches of a plan may still spend."""

    plan: Plan
    records: Ledger
    budget_s: float | None = None

    @property
    def limits(self) -> Limits:
        """The plan's."""
        search = self.plan.search
        startup = 0 if search.sampler == "random" else search.startup_trials
        return Limits(self.budget_s, search.pays_after, startup)

    def stopped(self, name: str, running: int = 0) -> Stopped | None:
        """Why a framework's search deals no more trials; None where it goes on, or has had them all.

        Parameters
        ----------
        running
            Trials of it that were dealt and have not ended.
        """
        if self.budget_s is None and not self.plan.search.pays_after:
            return None
        ended = self._ended(name)
        if len(ended) >= self.plan.search.trials:
            return None
        now = time.time()
        costs = [now - at for each, at in self.records.unfinished.items() if framework_of(each) == name][:running]
        return stopped(self.limits, ended, costs + [0.0] * (running - len(costs)))

    def over(self, name: str) -> Stopped | None:
        """The same of a search of which nothing is still to end: no trial that began is open."""
        begun = self.records.begun.keys() - self.records.trials.keys()
        return None if any(framework_of(each) == name for each in begun) else self.stopped(name)

    def _ended(self, name: str) -> list[Ended]:
        rows = self.records.trials.values()
        return ended_of(row for row in rows if row["phase"] == "search" and row["framework"] == name)

    def said(self, name: str, why: Stopped) -> str:
        """In a line what a framework's search did."""
        search, count = self.plan.search, len(self._ended(name))
        stops = f"{framework(name).title}: stopped after {count} of {search.trials} trials: "
        if why.gain is None:
            assert self.budget_s is not None
            allows = f"{self.budget_s:.0f} slice-s that search.budget = {search.budget} allows"
            return f"{stops}they cost {why.spent_s:.0f} of the {allows}"
        after = why.gain.pays_after
        pays = f"so it pays after {after:.0f} trainings" if isfinite(after) else "so it would never pay"
        return (
            f"{stops}another would cost {_seconds(why.gain.cost_s)} and save {_seconds(why.gain.saves_s)} a training, "
            f"{pays}, more than the {search.pays_after} asked for"
        )

    def as_record(self, name: str, why: Stopped) -> dict[str, Any]:
        """The same as JSON, for the report."""
        return {
            "trials": len(self._ended(name)),
            "planned": self.plan.search.trials,
            "why": "budget" if why.gain is None else "gain",
            "spent_s": why.spent_s,
            "budget_s": self.budget_s,
            "cost_s": why.gain and why.gain.cost_s,
            "saves_s": why.gain and why.gain.saves_s,
            "pays_after": why.gain.pays_after if why.gain is not None and isfinite(why.gain.pays_after) else None,
            "asked": self.plan.search.pays_after or None,
        }


def ended_of(rows: Iterable[Record]) -> list[Ended]:
    """What rows of a framework's search say of cost and gain, in the order of the search."""
    return [
        Ended(row["slice_s"] or 0.0, row["objective"] if row["reached"] else None)
        for row in sorted(rows, key=lambda row: row["number"])
    ]


def budget_in_s(plan: Plan, price: Price) -> float | None:
    """A plan's budget in slice-seconds; None where it has none.

    Raises
    ------
    UserError
        Where it is money, and nobody said what an hour costs.
    """
    budget = budget_of(plan.search.budget)
    hour = slice_hour(price, plan.slice)
    if budget.money is not None and not hour:
        flag = "--gpu-hour or --cpu-hour" if plan.slice.gpus else "--cpu-hour"
        raise UserError(f"search.budget is {plan.search.budget}, and what an hour costs is not known; give {flag}")
    return budget.slice_s(hour)


def allowance_of(plan: Plan, folder: StudyFolder, records: Ledger) -> Allowance:
    """Of a study, at the prices that it keeps; `UserError` as `budget_in_s`."""
    return Allowance(plan, records, budget_in_s(plan, kept_price(folder, say=lambda _: None)))


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value < 1000 else f"{value:.0f} s"
