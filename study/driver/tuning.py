"""One run of Ray Tune over the study's trainable: a fresh Tuner each time, never restored."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

from ray.tune import (
    CheckpointConfig,
    FailureConfig,
    RunConfig,
    TuneConfig,
    Tuner,
    with_resources,
)
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from study.cluster.slices import NodeLost
from study.cluster.starting import NothingStarts
from study.driver.blame import NoHostLeft
from study.driver.caps import Caps, CapScheduler
from study.driver.recorder import Recorder
from study.driver.searcher import IDENTITY
from study.interrupts import Interrupts
from study.plan.plan import Plan
from study.store.folder import StudyFolder
from study.store.patience import StorageGone
from study.strategy.halving import asha_settings
from trainables.tune_trainable import SCORE, TrainingTrainable, placement


class TuneStopped(Exception):
    """Ray Tune ended by an error; the message is its cause."""


def fit(
    plan: Plan,
    folder: StudyFolder,
    *,
    searcher: Searcher,
    trials: int,
    concurrent: int,
    fresh_processes: bool,
    scheduler: TrialScheduler,
    recorder: Recorder,
    interrupts: Interrupts,
) -> None:
    """Run trials until the searcher has dealt them all.

    What Tune returns is not looked at: it ends without an error even when trials are missing. The caller counts
    records.

    Parameters
    ----------
    trials
        How many the searcher will deal.
    concurrent
        Trials at once.
    fresh_processes
        Whether every trial gets a process of its own; else a slot's process serves one trial after the other.

    Raises
    ------
    Interrupted
        After SIGINT or SIGTERM.
    TuneStopped
        When Tune ends by an error of its own, or the study's storage stays away.
    NothingStarts
        When no process comes for a trial.
    NodeLost
        When a trial waits for a node that is gone.
    NoHostLeft
        When trials fail on every node.
    """
    tuner = Tuner(
        with_resources(TrainingTrainable, partial(placement, _slices(plan))),
        tune_config=TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=trials,
            max_concurrent_trials=concurrent,
            reuse_actors=not fresh_processes,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=RunConfig(
            name=f"run-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}",
            storage_path=str(folder.tune),
            failure_config=FailureConfig(max_failures=plan.search.max_failures),
            checkpoint_config=CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            callbacks=[recorder],
            verbose=0,
        ),
    )
    try:
        with interrupts.during_fit(), _retrying(recorder.tries_again), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tuner.fit()
    except Exception as error:  # Tune wraps and rewraps what happens inside it
        first = _first_cause(error)
        if isinstance(first, (NothingStarts, NodeLost, NoHostLeft, StorageGone)):
            raise first from None
        raise TuneStopped(f"{type(first).__name__}: {' '.join(str(first).split())[:300]}") from error


@contextmanager
def _retrying(decide: Callable[[Trial], bool]) -> Iterator[None]:
    """Tune asks a trial whether to start it again, and nobody else; it counts failures and knows nothing of causes."""
    counts = Trial.should_recover
    Trial.should_recover = lambda trial: decide(trial) and counts(trial)  # type: ignore[method-assign]
    try:
        yield
    finally:
        Trial.should_recover = counts  # type: ignore[method-assign]


def _first_cause(error: BaseException) -> BaseException:
    while not isinstance(error, StorageGone) and (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def make_scheduler(plan: Plan, *, samples: int, caps: Caps) -> TrialScheduler:
    """The search's scheduler.

    The one of caps stops running trials where a better cap is known by now. ASHA stops trials that lag behind in
    validation accuracy, or loss, rung by rung of evaluations; since evaluations are spaced in samples, a rung means the
    same for every batch size and framework. Schedulers that pause trials are not offered: each pause costs a start of
    the runtime.

    Parameters
    ----------
    samples
        Of the training split.
    """
    if plan.search.scheduler == "fifo":
        return FIFOScheduler()
    if plan.search.scheduler == "cap":
        return CapScheduler(caps)
    return ASHAScheduler(time_attr="evaluation", metric=SCORE, mode="max", **asha_settings(plan, samples=samples))


def _slices(plan: Plan) -> dict[str, dict[str, float]]:
    """The resources of a trial, by framework.

    Tune keeps a process for the next trial with equal resources, and a trial whose process cannot serve it hangs for
    ever (reset_config returning False, measured on Ray 2.60). So that a process never changes framework, each framework
    asks for memory that differs by a byte.
    """
    return {
        name: {"CPU": plan.slice.cpus, "GPU": plan.slice.gpus, "memory": 1 + place}
        for place, name in enumerate(plan.frameworks)
    }


def _trial_name(trial: Trial) -> str:
    name: str = trial.config[IDENTITY]["trial_id"]
    return name
