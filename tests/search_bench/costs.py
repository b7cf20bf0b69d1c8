"""``python -m tests.search_bench.costs WORKLOAD --out FILE.jsonl``: what the parts of a training take, in quiet.

A line for each batch size and number of loader workers: the least of some rounds, an epoch each, since whatever else
runs can only add. The machine must be quiet; its load average is kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from tests.search_bench import lines
from tests.search_bench.grid import batch_sizes
from trainables.common.load import load_average
from trainables.common.machine import processor
from trainables.contract import Hyperparameters
from trainables.frameworks import framework
from trainables.spec import TrainingSpec
from trainables.training import Training, run_to_end
from trainables.workloads.prepared import prepare
from trainables.workloads.workload import Workload, find

WORKERS = (0, 1, 2)
THREADS = 2
ROUNDS = 2
LEARNING_RATE = 0.05  # costs do not depend on it
NO_LIMIT_S = 1e6


@dataclass(frozen=True)
class Cost:
    """Seconds of one kind of training, its framework imported before; all at their least."""

    framework: str
    batch_size: int
    num_workers: int
    seconds_per_sample: float  # training, data included
    evaluation_s: float  # one evaluation
    startup_s: float
    warm_s: float  # the warm-up: what is compiled or searched for, and the loader's start

    @property
    def begin_s(self) -> float:
        """Until the first sample is trained on."""
        return self.startup_s + self.warm_s

    def least(self, other: Cost | None) -> Cost:
        """The lesser of each of two."""
        if other is None:
            return self
        seconds = ("seconds_per_sample", "evaluation_s", "startup_s", "warm_s")
        return Cost(**{**asdict(self), **{key: min(getattr(self, key), getattr(other, key)) for key in seconds}})


def measure(workload: Workload, *, framework: str, threads: int, rounds: int) -> Iterator[Cost]:
    """Every kind, the rounds one after the other over all of them, so that a busy minute does not hit all of one.

    The framework has to be imported before: a first training tells what that takes.
    """
    kinds = list(product(batch_sizes(workload), WORKERS))
    least: dict[tuple[int, int], Cost] = {}
    for _, kind in product(range(rounds), kinds):
        least[kind] = one_epoch(workload, framework, *kind, threads).least(least.get(kind))
    yield from least.values()


def one_epoch(workload: Workload, framework: str, batch_size: int, num_workers: int, threads: int) -> Cost:
    """What one epoch tells."""
    spec = TrainingSpec(
        framework=framework,
        workload=workload.name,
        hyperparameters=Hyperparameters(LEARNING_RATE, batch_size, num_workers),
        seed=0,
        target=workload.target,
        evaluate_every_samples=workload.evaluate_every_samples,
        limit_s=NO_LIMIT_S,
        epochs=1,
        device="cpu",
        threads=threads,
        metric=workload.metric,
        stop_at_target=False,
    )
    result = run_to_end(Training(spec, workload=workload))
    return Cost(
        framework,
        batch_size,
        num_workers,
        seconds_per_sample=result["train_s"] / result["samples"],
        evaluation_s=result["eval_s"] / result["evaluations"],
        startup_s=result["startup_s"],
        warm_s=result["compile_s"],
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure all and write the file anew."""
    parser = argparse.ArgumentParser(prog="python -m tests.search_bench.costs")
    parser.add_argument("workload")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument("--framework", default="pytorch")
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args(arguments)
    workload = find(given.workload)
    prepare(workload)
    first = one_epoch(workload, given.framework, batch_sizes(workload)[-1], 0, given.threads)
    found = list(measure(workload, framework=given.framework, threads=given.threads, rounds=given.rounds))
    again = next(each for each in found if (each.batch_size, each.num_workers) == (first.batch_size, 0))
    about = {
        "workload": workload.name,
        "process_s": first.begin_s - again.begin_s,  # what a fresh process costs: its imports, and what it compiles
        "machine": processor(),
        "versions": framework(given.framework).versions(),
        "threads": given.threads,
        "rounds": given.rounds,
        "load": load_average(),
        "measured_at": round(time.time()),
    }
    given.out.unlink(missing_ok=True)
    for cost in found:
        lines.append(given.out, {**asdict(cost), **about})
        print(
            f"batch {cost.batch_size:5}  workers {cost.num_workers}  {cost.seconds_per_sample * 1e6:7.2f} us a sample, "
            f"{cost.evaluation_s:.3f} s an evaluation, start-up {cost.startup_s:.3f} s, warm-up {cost.warm_s:.3f} s"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
