"""The Tune callback that turns what trials report into records and progress."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from study.folder import StudyFolder
from study.plan import Plan
from study.progress import Progress
from study.records import Records
from study.searcher import IDENTITY
from trainables.contract import Record
from trainables.spec import TrainingSpec
from trainables.training import Training
from trainables.tune_trainable import FOLDER, HISTORY, RESULT, SPEC


class Recorder(Callback):
    """Writes every evaluation when it is reported and every trial when it ends."""

    def __init__(self, plan: Plan, folder: StudyFolder, records: Records, progress: Progress) -> None:
        self._plan = plan
        self._folder = folder
        self._records = records
        self._progress = progress
        self._started: dict[str, float] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks; this one is never restored

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self._progress.refresh()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._started.setdefault(trial.trial_id, time.monotonic())

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        identity = self._identity(trial)
        self._records.add_evaluations({**row, **identity} for row in (*result[HISTORY], result))
        self._progress.evaluated(identity, result)
        if result[RESULT]["outcome"] is not None:
            self._finish(trial, result[RESULT])
        self._records.build_if_due()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        if self._identity(trial)["trial_id"] not in self._records.trials:  # the scheduler stopped it
            self._finish(trial, {**trial.last_result[RESULT], "outcome": "stopped"})
            _drop_models(Path(trial.config[FOLDER]))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        result = (trial.last_result or {}).get(RESULT) or {"reached": False, "segments": 0, "wall_s": 0.0}
        self._finish(trial, {**result, "outcome": "failed", "error": _reason(trial)})
        _drop_models(Path(trial.config[FOLDER]))

    def _identity(self, trial: Trial) -> Record:
        identity = trial.config[IDENTITY]
        return {"study": self._folder.name, "framework": trial.config[SPEC]["framework"], **identity}

    def _finish(self, trial: Trial, result: Record) -> None:
        held_s = time.monotonic() - self._started.get(trial.trial_id, time.monotonic())
        spec = TrainingSpec.from_dict(trial.config[SPEC])
        row = trial_row(self._identity(trial), self._plan, spec, result, held_s=held_s, failures=trial.num_failures)
        self._records.add_trial(row)
        self._progress.finished(row)


def trial_row(
    identity: Record, plan: Plan, spec: TrainingSpec, result: Record, *, held_s: float, failures: int = 0
) -> Record:
    """One row of the trial records.

    Parameters
    ----------
    held_s
        Seconds for which this run of the driver gave it a slice. The trial's own count is taken where it is larger: an
        earlier driver began it.
    """
    slice_s = max(held_s, result.get("wall_s") or 0.0)
    now = time.time()
    return {
        **identity,
        "framework": spec.framework,
        **spec.as_dict()["hyperparameters"],
        "workload": spec.workload,
        "seed": spec.seed,
        "target": spec.target,
        "limit_s": spec.limit_s,
        "max_epochs": spec.epochs,
        "evaluate_every_samples": spec.evaluate_every_samples,
        "objective_clock": spec.objective,
        "device": spec.device,
        "cpus": plan.slice.cpus,
        "gpus": plan.slice.gpus,
        "failures": failures,
        **result,
        "slice_s": slice_s,
        "lost_s": 0.0,
        "began_at": result.get("began_at") or now - held_s,
        "ended_at": now,
    }


def recover(plan: Plan, folder: StudyFolder, records: Records, identity: Record, spec: TrainingSpec) -> bool:
    """Record a trial from its own checkpoint, when it finished but the driver died before it could record it.

    Returns
    -------
    Whether there was a finished checkpoint.
    """
    training = Training(spec, folder=folder.checkpoints(identity["trial_id"]))
    if not training.finished:
        return False
    identity = {"study": folder.name, "framework": spec.framework, **identity}
    records.add_evaluations({**asdict(evaluation), **identity} for evaluation in training.evaluations)
    records.add_trial(trial_row(identity, plan, spec, training.result(), held_s=0.0))
    return True


def _reason(trial: Trial) -> str:
    """The last line of the traceback that Tune kept: the exception itself."""
    try:
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace") if trial.error_file else ""
    except OSError:
        text = ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("RuntimeError", "ray.exceptions", "The actor", "Exception"))]
    return (told or lines or ["the trial's process died"])[-1][:500]


def _drop_models(folder: Path) -> None:
    for model in folder.glob("model-*"):
        model.unlink(missing_ok=True)
