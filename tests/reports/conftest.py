"""Made-up records with a known truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tomli_w

from reports.records import StudyRecords, complete
from reports.schema import EVALUATIONS, TRIALS
from reports.winners import finalists, winners

TARGET = 0.95


def trial(framework: str, phase: str, number: int, tta_s: float | None, **changes: Any) -> dict[str, Any]:
    row = dict.fromkeys(column.name for column in TRIALS)
    censored = tta_s is None
    train_s = 10.0 if censored else tta_s
    row |= {
        "study": "made-up",
        "phase": phase,
        "framework": framework,
        "trial_id": f"{phase}-{framework}-{number:05d}",
        "number": number,
        "workload": "digits-lenet",
        "seed": number,
        "target": TARGET,
        "limit_s": 10.0,
        "learning_rate": 0.1 / (1 + number),
        "batch_size": 32,
        "num_workers": 1,
        "optimizer": "sgd",
        "device": "cpu",
        "cpus": 2,
        "gpus": 0,
        "outcome": "out_of_time" if censored else "reached",
        "objective": 10.5 if censored else tta_s,
        "reached": not censored,
        "warm_tta_s": tta_s,
        "cold_tta_s": None if censored else tta_s + 3.0,
        "samples_to_target": None if censored else 1000,
        "samples": 1000,
        "evaluations": 2,
        "best_validation_accuracy": 0.9 if censored else 0.96,
        "test_accuracy": 0.94 if phase == "confirm" else None,
        "train_s": train_s,
        "startup_s": 2.0,
        "compile_s": 1.0,
        "slice_s": train_s + 4.0,
        "lost_s": 0.0,
        "began_at": 995.0 + 10 * number + (500.0 if phase == "confirm" else 0.0),
        "loader_workers": 1,
        "ended_at": 1000.0
        + 10 * number
        + (0.5 if framework == "flux" else 0.0)
        + (500.0 if phase == "confirm" else 0.0),
        **changes,
    }
    return row


def study(rows: list[dict[str, Any]]) -> StudyRecords:
    best = winners(rows)
    for row in rows:
        if row["phase"] == "confirm" and row["confirms"] is None:
            row["confirms"] = best.get(row["framework"], {}).get("number")
    trials = complete(pd.DataFrame(rows, columns=[column.name for column in TRIALS]), TRIALS)
    points = []
    for row in rows:
        for evaluation, accuracy in ((1, 0.5), (2, row["best_validation_accuracy"])):
            point = dict.fromkeys(column.name for column in EVALUATIONS)
            point |= {key: row[key] for key in ("study", "phase", "framework", "trial_id")}
            point |= {"evaluation": evaluation, "validation_accuracy": accuracy}
            point |= {"train_s": (row["train_s"] or 0.0) * evaluation / 2}
            points.append(point)
    evaluations = complete(pd.DataFrame(points, columns=[column.name for column in EVALUATIONS]), EVALUATIONS)
    return StudyRecords(trials, evaluations, {"processor": "made up", "versions": {"torch": "2"}}, {})


def race(
    rows: list[dict[str, Any]], tta_s: Callable[[str, int, int], float | None], *, k: int = 5, runs: int = 4
) -> None:
    """Add a race between the best of each search: ``tta_s`` gives a run's time from framework, trial and pair."""
    for name, best in finalists(rows, k).items():
        for place, row in enumerate(best):
            for run in range(runs):
                pair = place * runs + run
                entered = {"confirms": row["number"], "rank": place + 1, "seed": 1000 + pair}
                entered |= {key: row[key] for key in ("learning_rate", "batch_size", "num_workers")}
                rows.append(trial(name, "race", pair, tta_s(name, row["number"], pair), **entered))


def save(records: StudyRecords, folder: Path) -> None:
    """A study's folder with these records."""
    folder.mkdir(parents=True, exist_ok=True)
    records.trials.to_parquet(folder / "trials.parquet")
    records.evaluations.to_parquet(folder / "evaluations.parquet")
    (folder / "provenance.json").write_text(json.dumps(records.provenance))
    if records.plan:
        (folder / "plan.toml").write_text(tomli_w.dumps(records.plan))


def make(ratio: float, *, runs: int = 10, spread: float = 0.1, flux_misses: int = 0) -> StudyRecords:
    """PyTorch takes about 2 s; Flux ``ratio`` times that, seed by seed."""
    noise = np.random.RandomState(0)
    rows = []
    for number in range(4):
        rows += [trial("pytorch", "search", number, 3.0 - 0.4 * number), trial("flux", "search", number, 4.0)]
    for number in range(runs):
        base = 2.0 * np.exp(spread * noise.standard_normal())
        other = base * ratio * np.exp(0.2 * spread * noise.standard_normal())
        rows.append(trial("pytorch", "confirm", number, base))
        rows.append(trial("flux", "confirm", number, None if number < flux_misses else other))
    return study(rows)


@pytest.fixture
def two_frameworks() -> Callable[..., StudyRecords]:
    """`make`."""
    return make
