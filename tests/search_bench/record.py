"""``python -m tests.search_bench.record WORKLOAD --out FILE.jsonl``: real learning curves, a line a training.

Every training goes through `trainables.training`, to the workload's target and holds or ``--epochs``, with no limit in
seconds: what a curve says must not depend on how busy the machine was. What FILE has is not done again, so a recording
can be stopped at any time, and go on elsewhere.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

from tests.search_bench import lines
from tests.search_bench.grid import Job, jobs
from trainables.common.machine import processor
from trainables.contract import Device, Execution, Hyperparameters
from trainables.frameworks import framework
from trainables.spec import TrainingSpec
from trainables.training import Training
from trainables.workloads.prepared import prepare
from trainables.workloads.workload import find

PER_BATCH = 34
SEEDS = 2
NO_LIMIT_S = 1e6


@dataclass(frozen=True)
class Recording:
    """How a worker trains: what is the same for all jobs."""

    workload: str
    epochs: int
    device: Device
    until: float | None  # on the clock of ``time.time``

    @property
    def over(self) -> bool:
        """Whether its time is up."""
        return self.until is not None and time.time() >= self.until

    def spec(self, job: Job) -> TrainingSpec:
        """The training of a job."""
        workload = find(self.workload)
        return TrainingSpec(
            framework=job.framework,
            workload=self.workload,
            hyperparameters=Hyperparameters(job.learning_rate, job.batch_size, num_workers=0),
            seed=job.seed,
            target=workload.target,
            evaluate_every_samples=workload.evaluate_every_samples,
            limit_s=NO_LIMIT_S,
            epochs=self.epochs,
            device=self.device,
            threads=1,
            metric=workload.metric,
            holds=workload.holds,
            execution=Execution(data_on_device=self.device == "cuda"),
        )

    def train(self, job: Job) -> lines.Row | None:
        """The line of a finished training; None where the recording's time was up before."""
        began = time.time()
        training = Training(self.spec(job))
        try:
            while not training.finished:
                if self.over:
                    return None
                training.advance()
            result = training.result()
        finally:
            training.close()
        return {
            **job.as_row(),
            "samples": [each.samples for each in training.evaluations],
            "accuracy": [each.validation_accuracy for each in training.evaluations],
            "outcome": result["outcome"],
            "epochs_limit": self.epochs,
            "device": self.device,
            "machine": result.get("gpu") or processor(),
            "versions": framework(job.framework).versions(),
            "recorded_at": round(began),
            "seconds": round(time.time() - began, 3),
            "train_s": round(result["train_s"], 3),
            "eval_s": round(result["eval_s"], 3),
        }


def missing_in(rows: Sequence[lines.Row], wanted: Sequence[Job], *, quick_first: bool = False) -> list[Job]:
    """What is wanted and not there; where asked for, first what needed fewest samples with another seed."""
    done = {Job.of(row) for row in rows}
    missing = [job for job in wanted if job not in done]
    if not quick_first:
        return missing
    needed = {replace(Job.of(row), seed=0): row["samples"][-1] for row in rows}
    return sorted(missing, key=lambda job: needed.get(replace(job, seed=0), inf))


def record(recording: Recording, missing: Sequence[Job], out: Path, *, processes: int) -> Iterator[lines.Row]:
    """Train, and add to a file what has ended; each new line."""
    if others := {row["epochs_limit"] for row in lines.read(out)} - {recording.epochs}:
        raise SystemExit(f"{out} was recorded with --epochs {others.pop()}; a table needs one limit for all")
    for row in _trained(recording, missing, processes):
        if row is not None:
            lines.append(out, row)
            yield row


def _trained(recording: Recording, missing: Sequence[Job], processes: int) -> Iterator[lines.Row | None]:
    if processes == 1:
        yield from map(recording.train, missing)
        return
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    with context.Pool(processes, initializer=_leave_signals_alone) as pool:
        yield from pool.imap_unordered(recording.train, missing)


def _leave_signals_alone() -> None:
    """Ctrl-C is the parent's, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main(arguments: list[str] | None = None) -> int:
    """Record; the exit code is 0 where the file then has every training, else 3."""
    parser = argparse.ArgumentParser(prog="python -m tests.search_bench.record")
    parser.add_argument("workload")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument("--framework", default="pytorch")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--per-batch", type=int, default=PER_BATCH, help="learning rates for each batch size")
    parser.add_argument("--epochs", type=int, help="the workload's own, where nothing is said")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--processes", type=int, default=1, help="trainings at once, one thread each")
    parser.add_argument("--quick-first", action="store_true", help="what ended soonest with another seed comes first")
    parser.add_argument("--most", type=int, metavar="N", help="train no more than so many")
    parser.add_argument("--until", type=float, metavar="SECONDS", help="stop by then; what has not ended is dropped")
    given = parser.parse_args(arguments)
    workload = find(given.workload)
    prepare(workload)
    recording = Recording(
        given.workload,
        given.epochs or workload.epochs,
        given.device,
        None if given.until is None else time.time() + given.until,
    )
    wanted = list(jobs(workload, framework=given.framework, per_batch=given.per_batch, seeds=given.seeds))
    print(f"{len(wanted)} trainings of {workload.name} on {socket.gethostname()}, process {os.getpid()}", flush=True)
    missing = missing_in(lines.read(given.out), wanted, quick_first=given.quick_first)
    there = len(wanted) - len(missing)
    for row in record(recording, missing[: given.most], given.out, processes=given.processes):
        there += 1
        print(
            f"{there:4}/{len(wanted)}  batch {row['batch_size']:5}  rate {row['learning_rate']:<9g} "
            f"seed {row['seed']}  {row['outcome']:13} {len(row['samples']):3} evaluations, "
            f"best {max(row['accuracy']):.4f}, {row['seconds']:.1f} s",
            flush=True,
        )
    lacking = len(wanted) - there
    print(f"{lacking} are missing" if lacking else "all are there")
    return 3 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
