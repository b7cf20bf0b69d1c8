"""Adaptive capping in a running search: which cap a trial gets, and how a better one reaches it while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from study.driver.searcher import HOST
from study.store.records import Records
from study.strategy.capping import CapRule, Curve, cap_for, curve_of, elapsed_s
from trainables.cap import NO_CAP, Cap, Reason, score_of
from trainables.contract import Record
from trainables.objective import objective_value
from trainables.spec import TrainingSpec
from trainables.tune_trainable import OBJECTIVE, RESULT, SPEC


class Caps:
    """What the next trial of a framework on a machine must keep up with: from the records, and nothing else.

    So a search that was interrupted goes on with the caps that it would have had.

    Parameters
    ----------
    rule
        None: there are none.
    """

    def __init__(self, rule: CapRule | None, records: Records) -> None:
        self._rule = rule
        self._records = records
        self._curves: dict[str, Curve] = {}  # of trials that reached the target, by id
        self._known: dict[tuple[str, str], tuple[int, Cap]] = {}  # made when there were so many trials

    def now(self, framework: str, host: str) -> Cap:
        """As it is known now."""
        if self._rule is None:
            return NO_CAP
        trials = self._records.trials
        made_from, cap = self._known.get((framework, host), (0, NO_CAP))
        if made_from != len(trials):
            cap = cap_for(self._rule, map(self._curve, self._hits(framework)), host=host)
            self._known[framework, host] = len(trials), cap
        return cap

    def _hits(self, framework: str) -> Iterator[Record]:
        """Rows of a search's trials that reached the target, each on one machine alone."""
        for row in self._records.trials.values():
            if row["phase"] == "search" and row["framework"] == framework and row["reached"] and row["hosts"] == 1:
                yield row

    def _curve(self, row: Record) -> Curve:
        name = row["trial_id"]
        if name not in self._curves:
            self._curves[name] = curve_of(row, self._records.evaluations_of(name))
        return self._curves[name]


@dataclass(frozen=True)
class Stop:
    """Why a running trial was stopped."""

    cap: Cap
    reason: Reason


class CapScheduler(FIFOScheduler):
    """Stops running trials that a cap forbids which was not known when they were dealt.

    Each trial holds itself to the cap that it was dealt with, at every evaluation and between two; Tune hears of it
    seldom, and then this one looks.
    """

    def __init__(self, caps: Caps) -> None:
        super().__init__()
        self._caps = caps
        self.stopped: dict[str, Stop] = {}  # by Tune's trial id

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its scheduler; this one is never restored

    def on_trial_result(self, _: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        spec = TrainingSpec.from_dict(trial.config[SPEC])
        cap = self._caps.now(spec.framework, trial.config[HOST])
        reason = cap.stops(elapsed_s(result, spec.objective), _best_score(spec, trial_result(result)))
        if reason is None:
            return str(TrialScheduler.CONTINUE)
        self.stopped[trial.trial_id] = Stop(cap, reason)
        return str(TrialScheduler.STOP)


def trial_result(flat: dict[str, Any]) -> Record:
    """What `RESULT` held, from the flat result that Tune shows a scheduler."""
    return {key.removeprefix(f"{RESULT}/"): value for key, value in flat.items() if key.startswith(f"{RESULT}/")}


def capped(spec: TrainingSpec, result: dict[str, Any], stop: Stop) -> None:
    """Make of a running trial's last result that of one that was capped, as the trial itself would have told it."""
    told = result[RESULT]
    seconds = elapsed_s(result, spec.objective)
    value = objective_value(
        tta_s=None,
        limit_s=spec.limit_s,
        metric=spec.metric,
        target=stop.cap.aim(spec.metric, spec.target, seconds),
        best=told["best_validation_accuracy" if spec.metric == "accuracy" else "best_validation_loss"],
    )
    ended = {"outcome": "capped", "capped_by": stop.reason, "cap_s": stop.cap.seconds, "objective": value}
    result[RESULT] = {**told, **ended}
    result[OBJECTIVE] = value


def _best_score(spec: TrainingSpec, told: Record) -> float:
    return score_of(spec.metric, accuracy=told["best_validation_accuracy"], loss=told["best_validation_loss"])
