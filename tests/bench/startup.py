"""What a training waits for before its first batch: Flux beside PyTorch in fresh processes, with their start-up in
parts; and Flux without precompilation, with it, and in a resident process.

``python -m tests.bench.startup FRAMEWORK MODEL`` trains two runs in one process and prints a line of JSON for each.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from trainables.contract import Execution, Hyperparameters, Samples, Setup
from trainables.flux import runtime as julia_runtime
from trainables.frameworks import framework
from trainables.workloads.workload import find

BATCH_SIZE = 64
BATCHES = {"lenet": 50, "resnet18": 5}
WORKLOADS = {"lenet": "digits-lenet", "resnet18": "fashion-resnet18"}
RATE = 0.01
ROUNDS = 3
_PARTS = ("runtime", "packages", "seam")
Row = dict[str, object]
Seconds = dict[str, float]


def rows() -> Iterator[Row]:
    """A row for the two frameworks, and two per model; nothing where there is no Julia."""
    if julia_runtime.missing() is not None:
        return
    yield _flux_beside_pytorch()
    with tempfile.TemporaryDirectory() as folder:
        plain = _without_precompilation(Path(folder))
        for model in BATCHES:
            _processes(model, plain)  # not counted: compiles FluxTrainer's own code into a cache, without the workload
            fresh = _middle(_processes(model, plain)[0] for _ in range(ROUNDS))
            both = [_processes(model, {}) for _ in range(ROUNDS)]
            precompiled, resident = (_middle(each[place] for each in both) for place in (0, 1))
            yield _row(model, "a precompiled process over one without precompilation", precompiled, fresh)
            yield _row(model, "a resident process over a precompiled one", resident, precompiled)


def _flux_beside_pytorch() -> Row:
    """From the start of a fresh process to its first `begin_epoch`, compilation left out: wall and CPU seconds."""
    found: dict[str, list[Seconds]] = {"flux": [], "pytorch": []}
    for _ in range(1 + ROUNDS):  # the first round, which fills the page cache, is not counted
        for name, each in found.items():
            each.append(_processes("lenet", {}, name)[0])
    flux, pytorch = (_middle(iter(each[1:])) for each in found.values())
    ratio = flux["cpu"] / pytorch["cpu"]
    return {
        "what": "CPU seconds from the start of a process to its first batch, compilation left out: Flux over PyTorch",
        "setting": "lenet, one thread",
        "mine": _split(flux),
        "other": _split(pytorch),
        "ratio": ratio,
        "good": ratio <= 1.5,
        "want": "<= 1.5",
    }


def _split(seconds: Seconds) -> str:
    parts = ", ".join(f"{name} {seconds[name]:.2f}" for name in ("python", *_PARTS, "begin_epoch"))
    return f"{seconds['cpu']:.2f} s of CPU, {seconds['begun']:.2f} s ({parts})"


def _row(model: str, what: str, mine: Seconds, other: Seconds) -> Row:
    def waiting(seconds: Seconds) -> float:
        return seconds["startup"] + seconds["compile"] + seconds["first"]

    ratio = waiting(mine) / waiting(other)
    return {
        "what": f"start-up, compilation and {BATCHES[model]} batches: {what}",
        "setting": f"Flux, {model}, batch {BATCH_SIZE}, one thread",
        "mine": _told(mine),
        "other": _told(other),
        "ratio": ratio,
        "good": ratio <= 0.6,
        "want": "<= 0.6",
    }


def _told(seconds: Seconds) -> str:
    return (
        f"{seconds['startup']:.2f} s start-up, {seconds['compile']:.2f} s compile, {seconds['first']:.2f} s first "
        f"batches, {seconds['steady']:.2f} s steady"
    )


def _middle(found: Iterator[Seconds]) -> Seconds:
    all_of = list(found)
    return {key: median(each[key] for each in all_of) for key in all_of[0]}


def _processes(model: str, environment: Mapping[str, str], framework: str = "flux") -> list[Seconds]:
    """Seconds of the first and the second training of one process."""
    command = [sys.executable, "-m", "tests.bench.startup", framework, model]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **environment})
    return [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]


def _without_precompilation(folder: Path) -> dict[str, str]:
    """Environment in which Julia loads FluxTrainer as if it had no precompilation workload: a project like ours."""
    runtime = julia_runtime.find_runtime()
    for name in ("Project.toml", "Manifest.toml"):
        shutil.copy(Path(runtime.project) / name, folder)
    (folder / "LocalPreferences.toml").write_text("[FluxTrainer]\nprecompile_workload = false\n")
    return julia_runtime.JuliaRuntime(runtime.executable, str(folder)).environment()


def train_twice(framework_name: str, model: str) -> None:
    """Print the seconds of two trainings in this process, and the CPU seconds up to the first one's first batch."""
    born = time.perf_counter() - (time.time() - psutil.Process().create_time())
    random = np.random.RandomState(0)
    samples = BATCHES[model] * 2 * BATCH_SIZE
    features = random.rand(samples, 1, 28, 28).astype(np.float32)
    data = Samples(features, random.randint(0, 10, samples).astype(np.int64))
    asked = framework(framework_name)
    setup = Setup(
        model=asked.model_file(find(WORKLOADS[model])),
        data={"train": data, "validation": data, "test": data},
        outputs=10,
        loss="cross_entropy",
        hyperparameters=Hyperparameters(RATE, BATCH_SIZE, num_workers=0),
        execution=Execution(),
        seed=0,
        device="cpu",
        threads=1,
    )
    for _ in range(2):
        marks = [time.perf_counter()]
        start = asked.start()
        imported = time.perf_counter()
        run = start(setup)
        marks.append(time.perf_counter())
        cpu_s = time.process_time()
        run.warm_up()
        marks.append(time.perf_counter())
        run.reset(None)
        began, cpu_began = time.perf_counter(), time.process_time()
        run.begin_epoch(np.arange(samples))
        begin_epoch = time.perf_counter() - began
        parts = {
            "python": marks[0] - born,
            "runtime": run.start_up().runtime_s,
            "packages": imported - marks[0] + run.start_up().packages_s,
            "seam": marks[1] - imported - run.start_up().runtime_s - run.start_up().packages_s,
            "begin_epoch": begin_epoch,
            "begun": marks[1] - born + begin_epoch,
            "cpu": cpu_s + time.process_time() - cpu_began,
        }
        marks.append(time.perf_counter())
        for _ in range(2):
            run.train(np.full(BATCHES[model], RATE))
            marks.append(time.perf_counter())
        run.close()
        seconds = np.delete(np.diff(marks), 2).tolist()  # without the reset
        told = dict(zip(("startup", "compile", "first", "steady"), seconds, strict=True))
        print(json.dumps({**told, **parts}), flush=True)


if __name__ == "__main__":
    train_twice(*sys.argv[1:])
