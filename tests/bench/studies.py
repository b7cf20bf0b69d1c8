"""What Ray Tune costs: the same training inside and outside, and the way to a trial's first batch."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pandas as pd

PAIRS = 7
EPOCHS = 60
LATENCY_TRIALS = 6
POINT = {"learning_rate": 0.02, "batch_size": 64, "num_workers": 0}
Row = dict[str, object]


def rows() -> Iterator[Row]:
    """One row for the overhead of Tune, two for the way to the first batch."""
    yield _inside_over_outside()
    yield from _launch_to_first_batch()


def _inside_over_outside() -> Row:
    """Seconds on the warm clock for the same bytes: 60 epochs of digits, target out of reach, one thread."""
    pairs = []
    for _ in range(PAIRS):
        outside, inside = _train(), float(_study(1, "race.configurations=0", "confirm.runs=0")["train_s"].iloc[0])
        pairs.append((inside, outside))
    ratio = median(inside / outside for inside, outside in pairs)
    return {
        "what": "warm seconds of the same training, inside a Tune trial over outside",
        "setting": f"digits, {EPOCHS} epochs, {PAIRS} pairs",
        "mine": f"{median(inside for inside, _ in pairs):.3f} s",
        "other": f"{median(outside for _, outside in pairs):.3f} s",
        "ratio": ratio,
        "good": ratio <= 1.03,
        "want": "<= 1.03",
    }


def _launch_to_first_batch() -> Iterator[Row]:
    """From the end of one trial to the first batch of the next, in the same slot."""
    found = {}
    for kind, clock in (("fresh", "cold"), ("resident", "warm")):
        trials = _study(
            LATENCY_TRIALS, "race.configurations=0", "confirm.runs=0", "training.epochs=3", f"search.objective={clock}"
        )
        trials = trials.sort_values("ended_at")
        first_batch = trials["ended_at"] - trials["wall_s"] + trials["startup_s"] + trials["compile_s"]
        found[kind] = median((first_batch - trials["ended_at"].shift()).dropna())
    yield {
        "what": "seconds from one trial's end to the next one's first batch, resident over fresh process",
        "setting": f"digits, {LATENCY_TRIALS} trials each",
        "mine": f"{found['resident']:.3f} s",
        "other": f"{found['fresh']:.3f} s",
        "ratio": found["resident"] / found["fresh"],
        "good": found["resident"] < found["fresh"],
        "want": "< 1",
    }


def _train() -> float:
    knobs = [f"--{name.replace('_', '-')}={value}" for name, value in POINT.items()]
    command = [sys.executable, "-m", "study", "train", "--framework=pytorch", "--workload=digits-lenet", *knobs]
    command += ["--target=1.0", f"--epochs={EPOCHS}", "--threads=1", "--seed=0", "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(answer.stdout)["train_s"])


def _study(trials: int, *more: str) -> pd.DataFrame:
    """Trial records of a study of the same training."""
    point = "{" + ", ".join(f"{name} = {value}" for name, value in POINT.items()) + "}"
    settings = [f"search.trials={trials}", f"search.initial_points=[{point}]", "search.default_first=false"]
    settings += ["slice.max_concurrent=1"]
    settings += ["training.target=1.0", f"training.epochs={EPOCHS}", "training.limit_s=600", *more]
    changes = [part for setting in settings for part in ("--set", setting)]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "study", "launch", "quickstart", "--frameworks=pytorch", "--out", folder]
        subprocess.run([*command, *changes], capture_output=True, text=True, check=True)
        return pd.read_parquet(Path(folder) / "quickstart" / "trials.parquet")
