"""How start-up and memory grow with the data: trials from their process's start to their first batch, one and four at
once on a machine, which map the same files.

``python -m tests.bench.data FOLDER STORED`` is such a trial; it says so and waits for the end of its input.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from trainables.workloads.prepared import load, outputs_of, prepare, store_in
from trainables.workloads.workload import Workload, read

# Megabytes of features, as trainings read them; TUNEOFF_BENCH_MB=60,600,3000 for others.
SMALL_MB = 1.0
SIZES_MB = tuple(map(float, os.environ.get("TUNEOFF_BENCH_MB", "60,600").split(",")))
AT_ONCE = (1, 4)
SHAPE = (3, 32, 32)
_MB = 10**6
_PIECE = 10_000  # samples
_TOML = "target = 0.9\nevaluate_every_samples = 1000\nlimit_s = 60.0\nepochs = 1\n"
_MODEL = """from torch import nn

def build():
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 10))
"""
Row = dict[str, object]


@dataclass(frozen=True)
class Seen:
    """Trials that were at their first batch at the same time."""

    first_batch_s: float  # of the slowest, from its process's start
    mapping_s: float  # of the slowest: reading the data
    pss_mb: float  # of all together: what they share is counted once
    uss_mb: float  # of all together, what each has for itself


def rows() -> Iterator[Row]:
    """For every size: start-up against that on next to no data, and the memory that the data take."""
    with tempfile.TemporaryDirectory(prefix="tuneoff-bench-") as name:
        folder = Path(name)
        os.environ["TUNEOFF_CACHE"] = str(folder / "cache")
        workload, stored, _ = _made(folder, SMALL_MB)
        small = {count: _seen(workload, stored, count, folder) for count in AT_ONCE}
        for size in SIZES_MB:
            workload, stored, making_s = _made(folder, size)
            first = _seen(workload, stored, max(AT_ONCE), folder, fresh=True)
            seen = {count: _seen(workload, stored, count, folder) for count in AT_ONCE}
            for count, mine in seen.items():
                yield _started(size, count, mine, small[count], making_s, first)
            yield _memory(size, seen[max(AT_ONCE)], small[max(AT_ONCE)])
            for path in (*stored.iterdir(), *(folder / "cache").rglob("*.npy"), *workload.data.iterdir()):
                path.unlink(missing_ok=True)


def _started(size: float, count: int, mine: Seen, small: Seen, making_s: float, first: Seen) -> Row:
    ratio = mine.first_batch_s / small.first_batch_s
    return {
        "what": f"from a process's start to its first batch, {count} trial{'s'[: count > 1]} at once, the slowest",
        "setting": (
            f"PyTorch, {size:,.0f} MB against {SMALL_MB:,.0f} MB; made once in {making_s:.1f} s; {max(AT_ONCE)} trials "
            f"that are the first on their machine, and check every byte, take {first.first_batch_s:.1f} s"
        ),
        "mine": f"{mine.first_batch_s:.2f} s, of it {mine.mapping_s:.2f} s for the data",
        "other": f"{small.first_batch_s:.2f} s",
        "ratio": ratio,
        "good": ratio <= 1.5,
        "want": "<= 1.5",
    }


def _memory(size: float, mine: Seen, small: Seen) -> Row:
    ratio = (mine.pss_mb - small.pss_mb) / size
    return {
        "what": f"memory that the data take in {max(AT_ONCE)} trials at once, over their size",
        "setting": f"PyTorch, {size:,.0f} MB",
        "mine": f"{mine.pss_mb:,.0f} MB in all (PSS), {mine.uss_mb:,.0f} MB of it each for itself (USS)",
        "other": f"{small.pss_mb:,.0f} MB in all with {SMALL_MB:,.0f} MB of data, {small.uss_mb:,.0f} MB for itself",
        "ratio": ratio,
        "good": ratio <= 1.2,
        "want": "<= 1.2",
    }


def _made(folder: Path, size_mb: float) -> tuple[Workload, Path, float]:
    """A workload with so much data in ``.npy`` files, its stored set in a study's place, and how long that took."""
    own = folder / f"data-{size_mb:.0f}"
    (own / "data").mkdir(parents=True)
    (own / "workload.toml").write_text(_TOML)
    (own / "model.py").write_text(_MODEL)
    samples = max(100, round(size_mb * _MB / (4 * np.prod(SHAPE))))
    features = np.lib.format.open_memmap(own / "data/features.npy", "w+", np.float32, (samples, *SHAPE))
    random = np.random.default_rng(0)
    for begin in range(0, samples, _PIECE):
        part = features[begin : begin + _PIECE]
        part[:] = random.random(part.shape, np.float32)
    features.flush()
    np.save(own / "data/targets.npy", np.arange(samples) // 5 % 10)
    workload, began = read(own), time.perf_counter()
    prepare(workload)
    stored = store_in(folder / f"study-{size_mb:.0f}", workload, say=print)
    return workload, stored, time.perf_counter() - began


def _seen(workload: Workload, stored: Path, count: int, folder: Path, *, fresh: bool = False) -> Seen:
    """So many trials at once; ``fresh``: on a machine that has not checked the set."""
    place = tempfile.mkdtemp(dir=folder) if fresh else tempfile.gettempdir()
    trials = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.data", str(workload.folder), str(stored)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": place},
        )
        for _ in range(count)
    ]
    try:
        told = [json.loads(each.stdout.readline()) for each in trials if each.stdout is not None]
        memory = [psutil.Process(each.pid).memory_full_info() for each in trials]
    finally:
        for each in trials:
            each.communicate()
    return Seen(
        first_batch_s=max(each["first_batch_s"] for each in told),
        mapping_s=max(each["mapping_s"] for each in told),
        pss_mb=sum(each.pss for each in memory) / _MB,
        uss_mb=sum(each.uss for each in memory) / _MB,
    )


def trial(folder: str, stored: str) -> None:
    """Train a batch, and tell how long that took from the start of this process."""
    born = time.perf_counter() - (time.time() - psutil.Process().create_time())
    from trainables.common.process import pin_threads
    from trainables.contract import Execution, Hyperparameters, Setup
    from trainables.frameworks import framework

    pin_threads(1)
    workload, began = read(Path(folder)), time.perf_counter()
    data = load(workload, Path(stored))
    mapping_s = time.perf_counter() - began
    run = framework("pytorch").start()(
        Setup(
            model=workload.models["python"],
            data=data,
            outputs=outputs_of(data["train"], workload.loss),
            loss=workload.loss,
            hyperparameters=Hyperparameters(learning_rate=0.01, batch_size=64, num_workers=0),
            execution=Execution(),
            seed=0,
            device="cpu",
            threads=1,
        )
    )
    run.warm_up()
    run.reset(None)
    run.begin_epoch(np.random.default_rng(0).permutation(len(data["train"])))
    run.train(np.full(1, 0.01))
    print(json.dumps({"first_batch_s": time.perf_counter() - born, "mapping_s": mapping_s}), flush=True)
    sys.stdin.read()
    run.close()


if __name__ == "__main__":
    trial(*sys.argv[1:])
