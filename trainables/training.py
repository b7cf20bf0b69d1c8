"""One training under the stopwatch, for every framework: cadence, target, limits, checkpoints.

No Ray here: `trainables.tune_trainable` and ``tuneoff train`` both drive this class.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from itertools import takewhile
from math import ceil, isfinite
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from trainables import checkpoint
from trainables.cap import NO_CAP, Cap, Reason, score_of
from trainables.common import gpu, slots
from trainables.common.house import code_digest
from trainables.common.load import cpu_mhz, cpu_time_s, delayed_s, load_average, stolen_s
from trainables.common.machine import processor
from trainables.common.process import claim_process, pin_threads
from trainables.contract import Record, Run, Setup, StartUp
from trainables.determinism import sample_order
from trainables.frameworks import framework
from trainables.notices import LOADER_WORKERS
from trainables.objective import objective_value
from trainables.schedules import rates
from trainables.spec import TrainingSpec
from trainables.stopwatch import Ledger, Stopwatch
from trainables.workloads.prepared import load, outputs_of
from trainables.workloads.weights import read_weights
from trainables.workloads.workload import Workload, find

# Between two calls into a framework a limit, a scheduler or Ctrl-C can act; so no call may last long.
CALL_S = 2.0
LOOK_S = 0.5  # a look at the machine takes milliseconds, NVML's and /proc/cpuinfo's, and evaluations may lie as close
CHECKPOINT_SHARE = 0.02  # of the time since a process took the training up; a checkpoint waits until it fits

_START_PARTS = ("startup_runtime_s", "startup_packages_s", "startup_data_s", "startup_seam_s")  # of startup_s

Outcome = Literal["reached", "out_of_time", "out_of_epochs", "diverged", "capped"]


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of the validation split; the times are the ledger's so far."""

    evaluation: int  # counts from 1
    epoch: int  # epochs begun
    samples: int  # training samples seen
    train_loss: float | None  # mean since the evaluation before; None when it is not finite
    validation_accuracy: float | None  # None where the target is about the loss
    validation_loss: float | None
    startup_s: float
    compile_s: float
    train_s: float
    data_s: float
    eval_s: float
    checkpoint_s: float


@dataclass
class _State:
    """Everything that a resumed training needs besides the model."""

    samples: int = 0
    epoch: int = 0  # epochs begun
    batches_left: int = 0  # in the current epoch
    loss_sum: float = 0.0
    best_accuracy: float | None = None
    best_loss: float | None = None
    best_training_accuracy: float | None = None
    test_accuracy: float | None = None
    test_loss: float | None = None
    loader_workers: int = 0
    warm_tta_s: float | None = None
    cold_tta_s: float | None = None
    samples_to_target: int | None = None
    first_warm_s: float | None = None  # of the first evaluation that met the target, whether it held or not
    first_cold_s: float | None = None
    first_samples: int | None = None
    outcome: Outcome | None = None
    cap_s: float | None = None  # the cap that it was last held against
    capped_by: Reason | None = None
    aim: float | None = None  # what it could have come to when it was capped
    evaluations: list[Record] = field(default_factory=list)
    segments: list[Record] = field(default_factory=list)


class Training:
    """One training from a spec. Call `advance` until `finished`; then read `result`.

    Parameters
    ----------
    spec
        What to train and when to stop.
    folder
        Where checkpoints go; None for none. A checkpoint of the same spec found there is continued.
    workload
        What the spec names, where that is not what `trainables.workloads.workload.find` finds: a study's own copy.
    data
        Where its data lie, as `trainables.workloads.prepared.store_in` made them; None: in the cache.
    weights
        A file with the initial parameters (`trainables.workloads.weights`); None: the framework's own draw.
    cap
        What it must keep up with, if with anything. No part of the spec: a search knows a better one as it goes on.
    started
        ``time.perf_counter()`` at which the cold clock began; now, when not given.
    tell
        Told at once, outside of the clocks, what `notices` keeps.
    """

    def __init__(
        self,
        spec: TrainingSpec,
        *,
        workload: Workload | None = None,
        folder: Path | None = None,
        data: Path | None = None,
        weights: Path | None = None,
        cap: Cap = NO_CAP,
        started: float | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.spec = spec
        self._workload = find(spec.workload) if workload is None else workload
        self._tell_at_once = tell
        self._folder = folder
        self._data = data
        self._weights = weights
        self._cap = cap
        self._started = time.perf_counter() if started is None else started
        self._ledger = Ledger()
        self._state = _State()
        self._model_file: Path | None = None
        self.notices: list[str] = []  # what a user must be told, besides the result
        self._told_of_workers = False
        self._restore()
        if self._state.evaluations and not self.finished:
            self._stop_at_cap()  # found while it was interrupted: then nothing is started again
        self._run: Run | None = None
        self._training_samples = 0  # known once the data set is read
        self._segment_began = 0.0  # on the run's clock
        self._saving_s = 0.0  # what checkpoints have taken since
        self._unsaved = False  # whether the model is that of an evaluation of which there is no checkpoint
        self._watch = Stopwatch(self._ledger, time.perf_counter)
        self._gpu: gpu.Gpu | None = None
        self._looked_at: float | None = None  # by ``time.perf_counter``; not yet in this process
        self._seconds_per_batch = CALL_S  # before the first call: one batch
        self._loss_since = (0.0, 0)  # loss sum and samples since the last evaluation

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self._state.outcome is not None

    @property
    def evaluations(self) -> list[Evaluation]:
        """All evaluations, those before an interruption included."""
        return [Evaluation(**record) for record in self._state.evaluations]

    def advance(self) -> Evaluation:
        """Train up to the next evaluation, evaluate, write a checkpoint where one is due (`CHECKPOINT_SHARE`).

        Raises
        ------
        RuntimeError
            When the framework fails.
        DatasetError
            When the data set is missing or damaged.
        """
        if self.finished:
            return self.evaluations[-1]
        run = self._run if self._run is not None else self._begin()
        self._unsaved = False
        with self._counting_cpu():
            finite = self._train_to_next_evaluation(run)
        self._look_around()
        with self._watch.charging("eval_s"):
            score = run.evaluate("validation")
        loss_sum, samples = self._loss_since
        self._loss_since = (0.0, 0)
        evaluation = Evaluation(
            evaluation=len(self._state.evaluations) + 1,
            epoch=self._state.epoch,
            samples=self._state.samples,
            train_loss=_finite(loss_sum / samples) if samples else None,
            validation_accuracy=score.accuracy,
            validation_loss=_finite(score.loss),
            **self._ledger.as_record(),
        )
        self._state.evaluations.append(asdict(evaluation))
        self._judge(run, evaluation, diverged=not finite)
        self._checkpoint(run)
        return evaluation

    def close(self, *, save: bool = True) -> None:
        """Free what the framework holds, and the CPUs.

        Parameters
        ----------
        save
            Write a checkpoint where the last evaluation has none: others stopped the training just after it.
        """
        try:
            if self._run is not None:
                if self._unsaved and save:
                    self._save(self._run)
                self._run.close()
                self._run = None
        finally:
            slots.let_go()

    def objective(self) -> float:
        """What the search minimises, as it stands now; see `trainables.objective`."""
        state, spec = self._state, self.spec
        tta_s = state.warm_tta_s if spec.objective == "warm" else state.cold_tta_s
        best = state.best_accuracy if spec.metric == "accuracy" else state.best_loss
        target = spec.target if state.aim is None else state.aim
        return objective_value(tta_s=tta_s, limit_s=spec.limit_s, metric=spec.metric, target=target, best=best)

    def result(self) -> Record:
        """The trial as one flat record of JSON values; complete once `finished`."""
        state = self._state
        first, last = (state.segments[0], state.segments[-1]) if state.segments else ({}, {})
        return {
            "outcome": state.outcome,
            "objective": self.objective(),
            "cap_s": state.cap_s,
            "capped_by": state.capped_by,
            "reached": state.warm_tta_s is not None,
            "warm_tta_s": state.warm_tta_s,
            "cold_tta_s": state.cold_tta_s,
            "samples_to_target": state.samples_to_target,
            "first_warm_s": state.first_warm_s,
            "first_cold_s": state.first_cold_s,
            "first_samples": state.first_samples,
            "samples": state.samples,
            "epochs": state.epoch,
            "evaluations": len(state.evaluations),
            "best_validation_accuracy": state.best_accuracy,
            "best_validation_loss": state.best_loss,
            "test_accuracy": state.test_accuracy,
            "test_loss": state.test_loss,
            "best_training_accuracy": state.best_training_accuracy,
            "average_training_loss": _finite(state.loss_sum / state.samples) if state.samples else None,
            "loader_workers": state.loader_workers,
            "fresh_process": all(segment["fresh_process"] for segment in state.segments),
            "segments": len(state.segments),
            "segment_wall_s": last.get("wall_s", 0.0),
            "wall_s": sum(segment["wall_s"] for segment in state.segments),
            "began_at": first.get("started_at"),
            "load_start": first.get("load_start"),
            "load_end": last.get("load_end"),
            **{part: self._over_segments(part) for part in _START_PARTS},
            "train_cpu_s": self._over_segments("train_cpu_s"),
            "train_wall_s": self._over_segments("train_wall_s"),
            "train_delayed_s": self._over_segments("train_delayed_s"),
            "train_stolen_s": self._over_segments("train_stolen_s"),
            "cpu_mhz_start": first.get("cpu_mhz_start"),
            "cpu_mhz_end": last.get("cpu_mhz_end"),
            "host_cpus": last.get("host_cpus"),
            "niceness": max((each["niceness"] for each in state.segments if "niceness" in each), default=None),
            "pinned_cpus": last.get("pinned_cpus"),
            "host": last.get("host"),
            "hosts": len({segment["host"] for segment in state.segments}),
            "cpu": last.get("cpu"),
            "pid": last.get("pid"),
            "code": last.get("code"),
            **gpu.together(segment.get("gpu", {}) for segment in state.segments),
            **self._ledger.as_record(),
        }

    def _over_segments(self, key: str) -> float | None:
        """A sum; None where a segment lacks it: an older version ran it, or its machine did not tell."""
        values = [segment[key] for segment in self._state.segments if segment.get(key) is not None]
        return sum(values) if len(values) == len(self._state.segments) else None

    @contextmanager
    def _counting_cpu(self) -> Iterator[None]:
        """Add to the segment what the block took, got and lost; around the clocks, so that counting is not charged."""
        segment = self._state.segments[-1]
        delayed, stolen = delayed_s(), stolen_s()
        cpu_s, began = cpu_time_s(), time.perf_counter()
        try:
            yield
        finally:
            segment["train_wall_s"] += time.perf_counter() - began
            segment["train_cpu_s"] += cpu_time_s() - cpu_s
            for key, before, now in (
                ("train_delayed_s", delayed, delayed_s()),
                ("train_stolen_s", stolen, stolen_s()),
            ):
                known = before is not None and now is not None and segment[key] is not None
                segment[key] = segment[key] + now - before if known else None

    def _look_around(self) -> None:
        """Note what the machine does, at the first evaluation and every `LOOK_S`; between the clocks, never in one."""
        now = time.perf_counter()
        if self._looked_at is None or now - self._looked_at >= LOOK_S:
            self._looked_at = now
            self._state.segments[-1] |= {"load_end": load_average(), "cpu_mhz_end": cpu_mhz()}
            self._look_at_gpu()

    def _look_at_gpu(self) -> None:
        if self._gpu is not None:
            segment = self._state.segments[-1]
            segment["gpu"] = gpu.together([segment["gpu"], self._gpu.look()])

    def _begin(self) -> Run:
        """Everything before the first touch of training data by the model: start-up, compilation, restoring."""
        spec = self.spec
        held = slots.hold(spec.threads) if spec.pinned else ()
        self._state.segments.append(
            {
                "started_at": time.time() - (time.perf_counter() - self._started),
                "load_start": load_average(),
                "load_end": None,
                "train_cpu_s": 0.0,
                "train_wall_s": 0.0,
                "train_delayed_s": 0.0,
                "train_stolen_s": 0.0,
                "cpu_mhz_start": cpu_mhz(),
                "cpu_mhz_end": None,
                "host_cpus": os.cpu_count(),
                "niceness": os.nice(0),
                "pinned_cpus": slots.told(held),
                "host": socket.gethostname(),
                "cpu": processor(),
                "pid": os.getpid(),
                "code": code_digest(),
                "fresh_process": claim_process(),
                "gpu": {},
                "wall_s": 0.0,
            }
        )
        pin_threads(spec.threads)
        asked = framework(spec.framework)
        with self._start_part("startup_data_s"):
            data = load(self._workload, self._data)
        with self._start_part("startup_packages_s"):
            start = asked.start()
        setup = Setup(
            model=asked.model_file(self._workload),
            data=data,
            outputs=outputs_of(data["train"], self._workload.loss),
            loss=self._workload.loss,
            hyperparameters=spec.hyperparameters,
            execution=spec.execution,
            seed=spec.seed,
            device=spec.device,
            threads=spec.threads,
        )
        calling = time.perf_counter()
        run = start(setup)
        self._run = run
        self._note_start_up(run.start_up(), called_s=time.perf_counter() - calling)
        self._training_samples = len(data["train"])
        startup_s = time.perf_counter() - self._started
        self._ledger.charge("startup_s", startup_s)
        self._watch = Stopwatch(self._ledger, run.clock)
        self._segment_began = run.clock() - startup_s
        with self._watch.charging("compile_s"):
            run.warm_up()
        run.reset(read_weights(self._weights) if self._weights is not None else None)
        if self._model_file is not None:
            with self._watch.charging("checkpoint_s"):
                run.load(self._model_file)
            self._go_on(run)
        self._gpu = gpu.find() if spec.device == "cuda" else None
        self._look_at_gpu()
        return run

    @contextmanager
    def _start_part(self, name: str) -> Iterator[None]:
        """Note how long the block takes: a part of ``startup_s``, whose account it is in no case."""
        began = time.perf_counter()
        yield
        self._state.segments[-1][name] = time.perf_counter() - began

    def _note_start_up(self, start_up: StartUp, *, called_s: float) -> None:
        """Note what the backend's ``start`` took, and apart from it what that did before it came to this training."""
        segment = self._state.segments[-1]
        segment["startup_runtime_s"] = start_up.runtime_s
        segment["startup_packages_s"] += start_up.packages_s
        segment["startup_seam_s"] = called_s - start_up.runtime_s - start_up.packages_s

    def _go_on(self, run: Run) -> None:
        """Begin the rest of the epoch, if it was in the middle of one; it had been begun before: this is start-up."""
        state = self._state
        if state.batches_left == 0:
            return
        order = self._order(state.epoch - 1)
        done = ceil(len(order) / self._batch_size) - state.batches_left
        with self._watch.charging("startup_s"):
            run.begin_epoch(order[done * self._batch_size :])
        self._look_at_workers(run)

    @property
    def _batch_size(self) -> int:
        return self.spec.hyperparameters.batch_size

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        return sample_order(seed=self.spec.seed, epoch=epoch, samples=self._training_samples)

    def _train_to_next_evaluation(self, run: Run) -> bool:
        """Train to the next multiple of the cadence, the end of the last epoch, limit or cap; False on divergence."""
        state, cadence = self._state, self.spec.evaluate_every_samples
        boundary = (state.samples // cadence + 1) * cadence
        while state.samples < boundary and not self._out_of_time() and not self._over_cap():
            if state.batches_left == 0:
                if state.epoch == self.spec.epochs:
                    break
                self._begin_epoch(run)
            batches = min(
                state.batches_left,
                ceil((boundary - state.samples) / self._batch_size),
                max(1, int(CALL_S / self._seconds_per_batch)),
            )
            learning_rates = self._next_rates(batches)
            before = self._ledger.train_s
            with self._watch.charging("train_s"):
                progress = run.train(learning_rates)
            self._ledger.charge("data_s", progress.data_s)
            self._seconds_per_batch = max((self._ledger.train_s - before) / batches, 1e-9)
            state.batches_left -= batches
            state.samples += progress.samples
            state.loss_sum += progress.loss * progress.samples
            loss_sum, samples = self._loss_since
            self._loss_since = (loss_sum + progress.loss * progress.samples, samples + progress.samples)
            if not isfinite(progress.loss):
                return False
            if state.batches_left == 0 and self.spec.training_score:
                state.best_training_accuracy = _larger(state.best_training_accuracy, run.evaluate("train").accuracy)
        return True

    def _next_rates(self, batches: int) -> npt.NDArray[np.float64]:
        """Learning rates of the next steps."""
        samples, epochs = self._training_samples, self.spec.epochs
        done = self._state.epoch * ceil(samples / self._batch_size) - self._state.batches_left
        return rates(self.spec.hyperparameters, first=done, count=batches, samples=samples, epochs=epochs)

    def _begin_epoch(self, run: Run) -> None:
        order = self._order(self._state.epoch)
        with self._watch.charging("train_s", "data_s"):  # what it takes is part of waiting for data
            run.begin_epoch(order)
        self._state.epoch += 1
        self._state.batches_left = ceil(len(order) / self._batch_size)
        self._look_at_workers(run)

    def _look_at_workers(self, run: Run) -> None:
        """Note how many loader workers run; fewer than asked for are told, once."""
        running, asked = run.loader_workers(), self.spec.hyperparameters.num_workers
        self._state.loader_workers = max(self._state.loader_workers, running)
        if running < asked and not self._told_of_workers:
            self._told_of_workers = True
            cpus = f"{self.spec.threads} CPU{'s'[: self.spec.threads > 1]}"
            self._tell(f"{LOADER_WORKERS}: {asked} were asked for, and {running} can run with {cpus}")

    def _tell(self, notice: str) -> None:
        self.notices.append(notice)
        self._tell_at_once(notice)

    def _elapsed_s(self) -> float:
        """On the clock of the objective."""
        return self._ledger.train_s if self.spec.objective == "warm" else self._ledger.total_s

    def _out_of_time(self) -> bool:
        return self._elapsed_s() > self.spec.limit_s

    def _over_cap(self) -> bool:
        return self._cap.over(self._elapsed_s())

    def _judge(self, run: Run, evaluation: Evaluation, *, diverged: bool) -> None:
        """Note a crossing of the target, whether it held, and whether the training is over."""
        state, spec = self._state, self.spec
        state.best_accuracy = _larger(state.best_accuracy, evaluation.validation_accuracy)
        state.best_loss = _smaller(state.best_loss, evaluation.validation_loss)
        state.cap_s = self._cap.seconds
        in_time = not self._out_of_time() and not self._over_cap() and not diverged
        cold_s = self._ledger.total_s if all(segment["fresh_process"] for segment in state.segments) else None
        met = self._met_in_a_row()
        if met and in_time and state.first_warm_s is None:
            state.first_warm_s, state.first_cold_s = self._ledger.train_s, cold_s
            state.first_samples = state.samples
        if met >= spec.holds and in_time and state.warm_tta_s is None:
            state.warm_tta_s, state.cold_tta_s = self._ledger.train_s, cold_s
            state.samples_to_target = state.samples
        state.outcome = self._outcome(diverged=diverged)
        if state.outcome is None:
            self._stop_at_cap()
        if self.finished and spec.test_score:
            score = run.evaluate("test")
            state.test_accuracy, state.test_loss = score.accuracy, _finite(score.loss)

    def _outcome(self, *, diverged: bool) -> Outcome | None:
        """How the training ends here; None where it goes on, unless its cap ends it."""
        state, spec = self._state, self.spec
        reached = state.warm_tta_s is not None
        if diverged:
            return "diverged"
        if self._out_of_time():
            return "reached" if reached else "out_of_time"
        if (state.epoch == spec.epochs and state.batches_left == 0) or (reached and spec.stop_at_target):
            return "reached" if reached else "out_of_epochs"
        return None

    def _stop_at_cap(self) -> None:
        """End the training here if its cap says so."""
        state, spec = self._state, self.spec
        best = score_of(spec.metric, accuracy=state.best_accuracy, loss=state.best_loss)
        reason = self._cap.stops(self._elapsed_s(), best) if state.warm_tta_s is None else None
        if reason is not None:
            state.outcome, state.capped_by, state.cap_s = "capped", reason, self._cap.seconds
            state.aim = self._cap.aim(spec.metric, spec.target, self._elapsed_s())

    def _met_in_a_row(self) -> int:
        """How many evaluations, up to the last one, met the target without one between that did not.

        The one at the end of the last epoch may come right after another: the two count once.
        """
        met = takewhile(self._meets, reversed(self._state.evaluations))
        return len({each["samples"] // self.spec.evaluate_every_samples for each in met})

    def _meets(self, evaluation: Record) -> bool:
        if self.spec.metric == "accuracy":
            return bool(evaluation["validation_accuracy"] >= self.spec.target)
        loss = evaluation["validation_loss"]
        return loss is not None and bool(loss <= self.spec.target)

    def _checkpoint(self, run: Run) -> None:
        """Save where that is due: at the first evaluation, at the end, and whenever `CHECKPOINT_SHARE` allows it."""
        elapsed_s = run.clock() - self._segment_began
        self._state.segments[-1]["wall_s"] = elapsed_s
        self._unsaved = self._folder is not None
        if self.finished or self._saving_s <= CHECKPOINT_SHARE * elapsed_s:
            began = run.clock()
            with self._watch.charging("checkpoint_s"):
                self._save(run)
            self._saving_s += run.clock() - began

    def _save(self, run: Run) -> None:
        """Write a checkpoint; where that fails the training goes on without, and only an interruption would show it."""
        self._unsaved = False
        if self._folder is None:
            return
        number = len(self._state.evaluations)
        state = {**asdict(self._state), "spec": self.spec.as_dict(), "ledger": self._ledger.as_record()}
        try:
            checkpoint.save(self._folder, number, state, save_model=None if self.finished else run.save)
        except (OSError, RuntimeError) as error:  # PyTorch and Julia tell of a full disk by a RuntimeError
            self._tell(f"no checkpoint of evaluation {number}: {error}")

    def _restore(self) -> None:
        if self._folder is None:
            return
        try:
            found = checkpoint.read(self._folder)
        except checkpoint.Damaged as problem:
            self._tell(f"{problem}; no checkpoint is whole, so the training begins anew")
            return
        if found is None:
            return
        state = found.state
        before = TrainingSpec.from_dict(state["spec"])
        if before != self.spec:
            raise RuntimeError(f"{self._folder} belongs to another training ({self.spec.differences(before)})")
        self._state = _State(**{known.name: state[known.name] for known in fields(_State) if known.name in state})
        self._ledger = Ledger(**state["ledger"])
        self._model_file = found.model
        if found.passed_over:
            done = len(self._state.evaluations)
            self._tell(f"{'; '.join(found.passed_over)}; the training goes on from evaluation {done}")


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _larger(best: float | None, now: float | None) -> float | None:
    return best if now is None else now if best is None else max(best, now)


def _smaller(best: float | None, now: float | None) -> float | None:
    return best if now is None else now if best is None else min(best, now)


def run_to_end(training: Training) -> Record:
    """Advance until finished and close; the flat result."""
    try:
        while not training.finished:
            training.advance()
        return training.result()
    finally:
        training.close()


__all__ = ["Evaluation", "Outcome", "Training", "run_to_end"]
