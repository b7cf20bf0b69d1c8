"""A finished study as a recording: its own trials stand in for those that another search would run.

Of use where they lie close to one another: a study with many trials, drawn at random, none of them stopped early. A
drawn configuration is the trial nearest to it in the unit cube of the search space: ranges by their share, or their
logarithm's, and another choice as far away as the whole range.
"""

from __future__ import annotations

import tomllib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite, log
from pathlib import Path
from statistics import median
from typing import Any

from search_spaces import Choices, Searched
from study.plan.files import as_toml, thaw
from study.plan.plan import Plan
from study.plan.points import point_of
from study.replay.plans import replayed
from study.replay.training import Costs, Terms, Training, under
from study.store.folder import find
from study.store.frozen import workload_in
from study.store.log import Log
from study.store.others import records_of
from trainables.cap import score_of
from trainables.common.errors import UserError
from trainables.contract import Record
from trainables.frameworks import framework
from trainables.workloads.prepared import facts
from trainables.workloads.workload import shipped

LEAST_TRIALS = 10  # of a framework
_RECORDED = ("workload", "frameworks", "seed", "slice", "training", "options", "space")  # of its plan
_WHOLE = ("reached", "out_of_time", "out_of_epochs", "diverged")


@dataclass(frozen=True)
class Recorded:
    """One trial: its configuration, and what its evaluations were."""

    point: Mapping[str, Any]
    seconds: tuple[float, ...]
    scores: tuple[float, ...]
    ticks: tuple[int, ...]
    costs: Costs


@dataclass(frozen=True)
class DenseStudy:
    """The trials of a study's searches, by framework and trial id."""

    said: str
    plan: Plan
    training_samples: int
    trials: Mapping[str, Mapping[str, Recorded]]
    _made: dict[Any, Training] = field(default_factory=dict, repr=False, compare=False)

    def nearest(self, framework: str, point: Mapping[str, Any]) -> str:
        """Id of the nearest trial; of equals, the first."""
        space = self.plan.space[framework]
        trials = self.trials[framework]
        return min(trials, key=lambda name: _distance(space, trials[name].point, point))

    def configurations(self, framework: str) -> list[str]:
        """Ids of all trials."""
        return list(self.trials[framework])

    def shown(self, configuration: Hashable) -> dict[str, Any]:
        """By hyperparameters' names; of what was searched alone."""
        name = str(configuration)
        which = next(each for each, trials in self.trials.items() if name in trials)
        point = self.trials[which][name].point
        return {knob: point[knob] for knob, values in self.plan.space[which].items() if not values.single}

    def training(self, framework: str, configuration: Hashable, seed: int, terms: Terms) -> Training:  # noqa: ARG002
        """The trial's own: there is one, whatever the seed."""
        key = framework, configuration, terms
        if key not in self._made:
            of = self.trials[framework][str(configuration)]
            self._made[key] = under(terms, of.costs, seconds=of.seconds, scores=of.scores, ticks=of.ticks)
        return self._made[key]

    def trainings(self, framework: str, configuration: Hashable, terms: Terms) -> Sequence[Training]:
        """The same."""
        return [self.training(framework, configuration, 0, terms)]

    def evidence(self, framework: str, configuration: Hashable, terms: Terms) -> list[tuple[float, Training]]:
        """The same: its neighbours may differ in anything."""
        return [(1.0, self.training(framework, configuration, 0, terms))]


def read_study(path: Path, settings: Sequence[str] = ()) -> DenseStudy:
    """A study's trials. It is searched as any plan says, not as it was: that it was dense is no wish for another.

    Parameters
    ----------
    settings
        As of `study.replay.plans.replayed`.

    Raises
    ------
    UserError
        Where there is no study, its trials are too few, or some of them were stopped before their end.
    """
    folder = find(path)
    frozen = thaw(folder.plan)
    if frozen.sweep is not None:
        raise UserError(f"{path} is a sweep, and a search cannot be replayed on it; it takes a study that searched")
    workload = workload_in(folder.copies, frozen.workload)
    named = frozen.workload if frozen.workload in shipped() else str(workload.folder)
    values = {key: each for key, each in tomllib.loads(as_toml(frozen)).items() if key in _RECORDED}
    plan = replayed({**values, "workload": named}, settings, str(path))
    log = records_of(folder)
    trials = {name: _trials(log, name, path, plan) for name in plan.frameworks}
    counts = {framework(name).title: len(each) for name, each in trials.items()}
    said = (
        f"{folder.name} ({workload.name}): {', '.join(f'{count} trials of {title}' for title, count in counts.items())}"
    )
    return DenseStudy(said, plan, facts(workload).training_samples, trials)


def _trials(log: Log, name: str, path: Path, plan: Plan) -> dict[str, Recorded]:
    """A framework's trials, each with its evaluations."""
    rows = [row for row in log.trials.values() if row["phase"] == "search" and row["framework"] == name]
    if early := [row for row in rows if row["outcome"] in ("capped", "stopped")]:
        raise UserError(
            f"{path}: {len(early)} of {len(rows)} trials of {framework(name).title} were stopped before their end, and "
            "what they would have come to is not known; record a study with search.scheduler=fifo, "
            "search.sampler=random and many trials"
        )
    evaluations: dict[str, list[Record]] = {row["trial_id"]: [] for row in rows if row["outcome"] in _WHOLE}
    for (trial, _), row in sorted(log.evaluations.items()):
        if trial in evaluations:
            evaluations[trial].append(row)
    counts = {trial: len(each) for trial, each in evaluations.items() if each}
    whole = [row for row in rows if row["evaluations"] == counts.get(row["trial_id"], -1)]  # some may be lost for good
    if len(whole) < LEAST_TRIALS:
        raise UserError(
            f"{path} has {len(whole)} trials of {framework(name).title} that ran to their end; a replay takes "
            f"{LEAST_TRIALS} at least, and better hundreds"
        )
    fresh_s, resident_s = _starts(whole)
    cadence = plan.training.evaluate_every_samples
    return {
        row["trial_id"]: _recorded(row, evaluations[row["trial_id"]], cadence, fresh_s, resident_s) for row in whole
    }


def _starts(rows: Sequence[Record]) -> tuple[float, float]:
    """Median seconds until a trial trains: in a process of its own, and in one that had run another."""
    took: dict[bool, list[float]] = {True: [], False: []}
    for row in rows:
        took[bool(row["fresh_process"])].append(row["startup_s"] + row["compile_s"])
    fresh, resident = took[True] or took[False], took[False] or took[True]
    return median(fresh), median(resident)


def _recorded(row: Record, evaluations: Sequence[Record], cadence: int, fresh_s: float, resident_s: float) -> Recorded:
    around_s = (row["eval_s"] + row["checkpoint_s"]) / len(evaluations)
    scores = (
        score_of(row["metric"] or "accuracy", accuracy=each["validation_accuracy"], loss=each["validation_loss"])
        for each in evaluations
    )
    return Recorded(
        point=point_of(row),
        seconds=tuple(each["train_s"] for each in evaluations),
        scores=tuple(score if isfinite(score) else -inf for score in scores),
        ticks=tuple(each["samples"] // cadence for each in evaluations),
        costs=Costs(fresh_s, resident_s, around_s),
    )


def _distance(space: Mapping[str, Searched], one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Squared, in the unit cube."""
    return sum(_apart(values, one[name], other[name]) ** 2 for name, values in space.items() if not values.single)


def _apart(values: Searched, one: Any, other: Any) -> float:
    if isinstance(values, Choices):
        return float(one != other)
    if values.log:
        return log(one / other) / log(values.high / values.low)
    return float((one - other) / (values.high - values.low))
