"""What a Flux training waits for before its first batch: without precompilation, with it, and in a resident process.

``python -m tests.bench.startup MODEL`` trains two runs in one process and prints a line of JSON for each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

import numpy as np

from trainables.contract import LabelledImages
from trainables.determinism import initial_parameters
from trainables.flux import runtime as julia_runtime
from trainables.frameworks import framework
from trainables.workloads.architectures import MODELS

BATCH_SIZE = 64
BATCHES = {"lenet": 50, "resnet18": 5}
ROUNDS = 3
Row = dict[str, object]
Seconds = dict[str, float]


def rows() -> Iterator[Row]:
    """Two rows per model; nothing where there is no Julia."""
    if julia_runtime.missing() is not None:
        return
    with tempfile.TemporaryDirectory() as folder:
        plain = _without_precompilation(Path(folder))
        for model in MODELS:
            _processes(model, plain)  # not counted: compiles FluxTrainer's own code into a cache, without the workload
            fresh = _middle(_processes(model, plain)[0] for _ in range(ROUNDS))
            both = [_processes(model, {}) for _ in range(ROUNDS)]
            precompiled, resident = (_middle(each[place] for each in both) for place in (0, 1))
            yield _row(model, "a precompiled process over one without precompilation", precompiled, fresh)
            yield _row(model, "a resident process over a precompiled one", resident, precompiled)


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


def _processes(model: str, environment: Mapping[str, str]) -> list[Seconds]:
    """Seconds of the first and the second training of one process."""
    command = [sys.executable, "-m", "tests.bench.startup", model]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **environment})
    return [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]


def _without_precompilation(folder: Path) -> dict[str, str]:
    """Environment in which Julia loads FluxTrainer as if it had no precompilation workload."""
    uuid = tomllib.loads((julia_runtime.PACKAGE / "Project.toml").read_text())["uuid"]
    (folder / "Project.toml").write_text(
        f'[extras]\nFluxTrainer = "{uuid}"\n[preferences.FluxTrainer]\nprecompile_workload = false\n'
    )
    return {"JULIA_LOAD_PATH": f"@:{folder}:@stdlib"}


def train_twice(model: str) -> None:
    """Print the seconds of two trainings in this process."""
    random = np.random.RandomState(0)
    samples = BATCHES[model] * 2 * BATCH_SIZE
    images = random.rand(samples, 1, 28, 28).astype(np.float32)
    data = LabelledImages(images, random.randint(0, 10, samples).astype(np.int64))
    parameters = initial_parameters(MODELS[model](), seed=0)
    for _ in range(2):
        marks = [time.perf_counter()]
        run = framework("flux").start()(
            model=model,
            data={"train": data, "validation": data, "test": data},
            parameters=parameters,
            learning_rate=0.01,
            batch_size=BATCH_SIZE,
            num_workers=0,
            optimizer="sgd",
            momentum=0.9,
            weight_decay=0.0,
            precision="float32",
            memory_format="contiguous",
            data_on_device=False,
            device="cpu",
            threads=1,
        )
        marks.append(time.perf_counter())
        run.warm_up()
        marks.append(time.perf_counter())
        run.begin_epoch(np.arange(samples))
        for _ in range(2):
            run.train(BATCHES[model])
            marks.append(time.perf_counter())
        run.close()
        seconds = np.diff(marks).tolist()
        print(json.dumps(dict(zip(("startup", "compile", "first", "steady"), seconds, strict=True))), flush=True)


if __name__ == "__main__":
    train_twice(sys.argv[1])
