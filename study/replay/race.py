"""What follows a search: the plan's race between its best, one run after the other, each in a process of its own."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from reports.winners import finalists, winners
from search_spaces import HYPERPARAMETERS
from study.plan.plan import Plan
from study.plan.points import options_text
from study.plan.seeds import race_seed
from study.replay.clock import Trial
from study.replay.recording import Recording
from study.replay.training import Terms
from trainables.contract import Record


@dataclass(frozen=True)
class Raced:
    """What a race came to.

    Parameters
    ----------
    winner
        The configuration that would be confirmed; None where no trial reached the target.
    cost_s
        Slice-seconds of its runs.
    """

    winner: Hashable | None
    cost_s: float
    runs: int


def race(plan: Plan, framework: str, recording: Recording, trials: Iterable[Trial]) -> Raced:
    """Race the best trials of a search, as the driver does; without a race, its best wins and nothing is spent."""
    known = {trial.number: trial for trial in trials}
    rows = [_row(trial, framework) for trial in known.values()]
    entered = finalists(rows, plan.race.configurations).get(framework, [])
    terms, cost_s = Terms.of(plan), 0.0
    raced: list[Record] = []
    for repeat in range(plan.race.runs):
        for rank, row in enumerate(entered, 1):
            seed = race_seed(plan, repeat, rank)
            training = recording.training(framework, known[row["number"]].configuration, seed, terms)
            # The test split is touched once at the end of each run; that is taken for one more evaluation.
            cost_s += training.slice_s(training.points[-1], fresh=True) + training.costs.evaluation_s
            raced.append(_run(row, framework, training.value, seed))
    best = winners([*rows, *raced]).get(framework)
    return Raced(None if best is None else known[best["number"]].configuration, cost_s, len(raced))


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The trial that a search without a race returns: of those that reached the target, else of all, the best."""
    hits = [trial for trial in trials if trial.outcome == "reached"] or trials
    return min(hits, key=lambda trial: trial.value, default=None)


def _row(trial: Trial, framework: str) -> Record:
    """A trial as the records have it, as far as `reports.winners` looks at it."""
    known: dict[str, Any] = {
        "phase": "search",
        "framework": framework,
        "number": trial.number,
        "reached": trial.outcome == "reached",
        "objective": trial.value,
    }
    options = {name: value for name, value in trial.point.items() if name not in HYPERPARAMETERS}
    return {**trial.point, "options": options_text(options), **known}


def _run(row: Record, framework: str, value: float, seed: int) -> Record:
    return {"phase": "race", "framework": framework, "confirms": row["number"], "objective": value, "seed": seed}
