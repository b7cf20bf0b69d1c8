"""The Tune callback that turns what trials report into records and progress."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial

from reports.winners import MOVED
from study.cluster.slices import NodeLost, NodeWatch
from study.cluster.starting import StartWatch
from study.cluster.waiting import ClusterWatch
from study.driver.blame import Blame
from study.driver.caps import Stop, capped
from study.driver.causes import cause
from study.driver.notices import Notices
from study.driver.progress import Progress
from study.driver.retries import Retries, goes_on
from study.driver.searcher import HOST, IDENTITY
from study.driver.supplies import Weights
from study.plan.plan import Plan
from study.plan.points import options_text
from study.store.folder import StudyFolder
from study.store.frozen import digest_in
from study.store.records import Records
from trainables import checkpoint
from trainables.contract import Record
from trainables.spec import TrainingSpec
from trainables.tune_trainable import FOLDER, HISTORY, NODE, NOTICES, RESULT, SPEC


class Recorder(Callback):
    """Writes every evaluation when it is reported and every trial when it ends."""

    def __init__(
        self,
        plan: Plan,
        folder: StudyFolder,
        records: Records,
        progress: Progress,
        starts: StartWatch,
        nodes: NodeWatch,
        cluster: ClusterWatch | None = None,
        blame: Blame | None = None,
        retries: Retries | None = None,
        weights: Weights | None = None,
        notices: Notices | None = None,
        stopped: Mapping[str, Stop] = MappingProxyType({}),
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._records = records
        self._progress = progress
        self._starts = starts
        self._cluster = cluster
        self._blame = blame
        self._nodes = nodes
        self._retries = retries if retries is not None else Retries(progress.say)
        self._weights = weights
        self._stopped = stopped
        self._started: dict[str, float] = {}  # ``time.monotonic()`` by Tune's trial id: of the attempt that runs
        self._notices = notices if notices is not None else Notices(progress.say)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks; this one is never restored

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        states = {trial.status for trial in trials}
        self._starts.look(states)
        if self._cluster is not None:
            self._cluster.look(states)
        if self._blame is not None:
            self._blame.look()
        running = [(self._identity(trial), trial) for trial in trials if trial.status == Trial.RUNNING]
        self._notices.look((who["trial_id"], who["framework"], Path(trial.config[FOLDER])) for who, trial in running)
        try:
            waiting = [trial for trial in trials if trial.status == Trial.PENDING]
            for trial in waiting:
                self._progress.dealt(self._identity(trial)["trial_id"])
            self._nodes.look((trial.config[NODE], trial.config[HOST]) for trial in waiting)
        except NodeLost:
            for trial in trials:  # that Tune goes away ends none of them at once
                if (actor := trial.temporary_state.ray_actor) is not None:
                    ray.kill(actor)
            raise

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        identity = self._identity(trial)
        self._started[trial.trial_id] = time.monotonic()
        self._retries.started(identity["trial_id"])
        self._progress.started(identity)
        self._records.add_start(identity["trial_id"], trial.config[SPEC]["hyperparameters"])

    def tries_again(self, trial: Trial) -> bool:
        """Whether a trial that has just failed may be started again, as far as its plan allows."""
        identity = self._identity(trial)
        return self._retries.again(identity["trial_id"], identity["framework"], trial.config[NODE], _reason(trial))

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """It died and will be started again: what it did since its last checkpoint is lost."""
        name = self._identity(trial)["trial_id"]
        self._attribute(trial)
        started_at = self._records.unfinished.get(name)
        if started_at is not None:
            lost = lost_s(self._folder.checkpoints(name), started_at=started_at, until=time.time())
            self._records.add_loss(name, lost)
            self._progress.say(f"{name} died ({_reason(trial)}); it {goes_on(self._folder, name)}")

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        identity = self._identity(trial)
        if (stop := self._stopped.get(trial.trial_id)) is not None:
            capped(TrainingSpec.from_dict(trial.config[SPEC]), result, stop)
        if self._blame is not None:
            self._blame.worked(identity["framework"], trial.config[NODE])
        self._retries.evaluated(identity["trial_id"])
        self._records.add_evaluations({**row, **identity} for row in (*result[HISTORY], result))
        self._progress.evaluated(identity, result)
        self._notices.tell(identity["trial_id"], identity["framework"], result[NOTICES])
        if result[RESULT]["outcome"] is not None:
            self._finish(trial, result[RESULT])
        self._records.build_if_due()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        if self._identity(trial)["trial_id"] not in self._records.trials:  # the scheduler stopped it
            self._finish(trial, {**trial.last_result[RESULT], "outcome": "stopped"})

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        result = (trial.last_result or {}).get(RESULT) or {"reached": False, "segments": 0, "wall_s": 0.0}
        self._attribute(trial, for_good=True)
        paired = trial.config[IDENTITY]["phase"] != "search"  # there its pair begins anew, elsewhere
        outcome = MOVED if paired and self._nodes.gone(trial.config[NODE]) else "failed"
        self._finish(trial, {**result, "outcome": outcome, "error": _reason(trial)})

    def _attribute(self, trial: Trial, *, for_good: bool = False) -> None:
        """Note a failed attempt against its node."""
        if self._blame is not None:
            identity, node = self._identity(trial), trial.config[NODE]
            self._blame.failed(identity["trial_id"], identity["framework"], node, _reason(trial), for_good=for_good)

    def _identity(self, trial: Trial) -> Record:
        where = {"study": self._folder.name, "framework": trial.config[SPEC]["framework"], "host": trial.config[HOST]}
        return {**where, **trial.config[IDENTITY]}

    def _finish(self, trial: Trial, result: Record) -> None:
        identity = self._identity(trial)
        held_s = time.monotonic() - self._started.get(trial.trial_id, time.monotonic())
        spec = TrainingSpec.from_dict(trial.config[SPEC])
        lost = self._records.lost_s(identity["trial_id"])
        digest = digest_in(self._folder.copies)
        row = trial_row(
            identity,
            self._plan,
            spec,
            result,
            workload_digest=digest,
            held_s=held_s,
            lost_s=lost,
            failures=trial.num_failures,
        )
        self._records.add_trial(row)
        checkpoint.drop_models(Path(trial.config[FOLDER]))
        if self._weights is not None:
            self._weights.forget(identity["trial_id"])
        self._progress.finished(row)


def trial_row(
    identity: Record,
    plan: Plan,
    spec: TrainingSpec,
    result: Record,
    *,
    workload_digest: str,
    held_s: float,
    lost_s: float,
    failures: int = 0,
) -> Record:
    """One row of the trial records.

    Parameters
    ----------
    workload_digest
        Of the study's own copy of its workload; empty where it has none.
    held_s
        Seconds for which its last attempt held a slice. What the attempt's own clock says is taken where that is more:
        an earlier driver ran it.
    lost_s
        Slice-seconds that interruptions of earlier attempts lost.
    """
    wall_s = result.get("wall_s") or 0.0
    around_s = max(0.0, held_s - (result.get("segment_wall_s") or 0.0))  # starting the process, ending the trial
    now = time.time()
    return {
        **identity,
        "framework": spec.framework,
        **spec.as_dict()["hyperparameters"],
        "options": options_text(spec.hyperparameters.options),
        **spec.as_dict()["execution"],
        "workload": spec.workload,
        "workload_digest": workload_digest,
        "seed": spec.seed,
        "metric": spec.metric,
        "target": spec.target,
        "holds": spec.holds,
        "limit_s": spec.limit_s,
        "max_epochs": spec.epochs,
        "evaluate_every_samples": spec.evaluate_every_samples,
        "objective_clock": spec.objective,
        "device": spec.device,
        "cpus": plan.slice.cpus,
        "gpus": plan.slice.gpus,
        "failures": failures,
        **result,
        "slice_s": wall_s + around_s + lost_s,
        "lost_s": lost_s,
        "began_at": result.get("began_at") or now - held_s,
        "ended_at": now,
    }


def lost_s(folder: Path, *, started_at: float, until: float) -> float:
    """Slice-seconds since a trial's last start that none of its checkpoints holds.

    Parameters
    ----------
    folder
        Its checkpoints.
    started_at, until
        When it was last given a slice and when it died, seconds since 1970.
    """
    state = checkpoint.read_state(folder)
    segments = state["segments"] if state is not None else []
    kept_s: float = sum(segment["wall_s"] for segment in segments if segment["started_at"] >= started_at - 1.0)
    return max(0.0, until - started_at - kept_s)


def _reason(trial: Trial) -> str:
    """Why it died, from what Tune kept of it."""
    try:
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace") if trial.error_file else ""
    except OSError:
        text = ""
    return cause(text)
