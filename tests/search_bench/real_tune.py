"""``python -m tests.search_bench.real_tune TABLE``: does Ray Tune itself run the trials that the virtual clock runs?

A real Tuner, with a slot of one, OptunaSearch and each scheduler at its defaults; its trainable takes its evaluations
from the table and does not sleep. Every trial must have the same configuration, end at the same evaluation and have
the same value. Rules in seconds are left out: Tune's are those that pass while nothing is trained.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from study.cluster.environment import prepare

prepare(local=True)

import ray  # noqa: E402
from ray.tune import CheckpointConfig, RunConfig, Trainable, TuneConfig, Tuner, with_resources  # noqa: E402
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler  # noqa: E402
from ray.tune.search.optuna import OptunaSearch  # noqa: E402

from search_spaces import distributions  # noqa: E402
from study.plan.plan import Plan  # noqa: E402
from study.replay.clock import Trial, play  # noqa: E402
from study.replay.finding import recording_at  # noqa: E402
from study.replay.recording import Recording  # noqa: E402
from study.replay.search import Dealer  # noqa: E402
from study.replay.tune import VALUE, told  # noqa: E402
from tests.search_bench.peers import tune  # noqa: E402

NUMBER, CURVE = "number", "curve"
Run = tuple[dict[str, Any], int, float]  # configuration, evaluations, value

SCHEDULERS: dict[str, Callable[[], TrialScheduler]] = {
    "fifo": FIFOScheduler,
    "asha": ASHAScheduler,
    "median": lambda: MedianStoppingRule(time_attr="training_iteration", grace_period=1),
}


class Replayed(Trainable):
    """Reports what was recorded."""

    def setup(self, config: dict[str, Any]) -> None:
        self._left = list(config[CURVE])

    def step(self) -> dict[str, Any]:
        value = self._left.pop(0)
        return {VALUE: value, "done": not self._left}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True


class Numbered(OptunaSearch):
    """Tune's own searcher; a trial's curve travels beside what it drew."""

    def deal_from(self, dealer: Dealer) -> Numbered:
        self._dealer = dealer
        return self

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        point = super().suggest(trial_id)
        if point is None:
            return None
        trial = self._dealer.deal(dict(point))
        return {**point, NUMBER: trial.number, CURVE: values(trial)}


def values(trial: Trial) -> list[float]:
    """What a trial reports, evaluation by evaluation, if nobody stops it."""
    found = []
    for point in trial.training.points:
        trial.take(point)
        found.append(told(trial)[VALUE])
    return found


def by_tune(plan: Plan, framework: str, recording: Recording, scheduler: TrialScheduler, trials: int) -> dict[int, Run]:
    """The trials of a real Tuner, by number."""
    space = distributions(plan.space[framework])
    searcher = Numbered(space=space, metric=VALUE, mode="min", seed=plan.seed)
    with tempfile.TemporaryDirectory() as folder:
        tuner = Tuner(
            with_resources(Replayed, {"cpu": 1}),
            tune_config=TuneConfig(
                metric=VALUE,
                mode="min",
                search_alg=searcher.deal_from(Dealer(plan, framework, recording)),
                scheduler=scheduler,
                num_samples=trials,
                max_concurrent_trials=1,
                reuse_actors=True,
            ),
            run_config=RunConfig(
                storage_path=folder, verbose=0, checkpoint_config=CheckpointConfig(checkpoint_at_end=False)
            ),
        )
        results = tuner.fit()
    if results.errors:
        raise results.errors[0]
    return {each.config[NUMBER]: _run(each.config, each.metrics) for each in results}


def _run(config: dict[str, Any], metrics: dict[str, Any]) -> Run:
    point = {name: value for name, value in config.items() if name not in (NUMBER, CURVE)}
    return point, metrics["training_iteration"], metrics[VALUE]


def by_clock(
    plan: Plan, framework: str, recording: Recording, scheduler: TrialScheduler, trials: int
) -> dict[int, Run]:
    """The same on the virtual clock."""
    strategy = tune(lambda _: scheduler)(plan, framework, recording, 1, trials)
    trials_ = [each.trial for each in play(strategy, slots=1)]
    return {each.number: (dict(each.point), len(each.points), each.value) for each in trials_}


def main() -> int:
    """Compare; exit code 1 where they differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.search_bench.real_tune")
    parser.add_argument("table")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--schedulers", default=",".join(SCHEDULERS))
    given = parser.parse_args()
    recording = recording_at(given.table)
    framework = recording.plan.frameworks[0]
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    house = str(Path(__file__).parents[2])
    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
        runtime_env={"env_vars": {"PYTHONPATH": house}},
    )
    differ = 0
    for name in given.schedulers.split(","):
        for seed in range(given.repetitions):
            plan = recording.plan.model_copy(update={"seed": seed})
            theirs = by_tune(plan, framework, recording, SCHEDULERS[name](), given.trials)
            mine = by_clock(plan, framework, recording, SCHEDULERS[name](), given.trials)
            unlike = [number for number in sorted({*theirs, *mine}) if theirs.get(number) != mine.get(number)]
            stopped = sum(run[2] > plan.training.limit_s for run in mine.values())
            print(
                json.dumps(
                    {"scheduler": name, "seed": seed, "trials": len(theirs), "missed": stopped, "differ": unlike}
                ),
                flush=True,
            )
            differ += len(unlike)
    ray.shutdown()
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
