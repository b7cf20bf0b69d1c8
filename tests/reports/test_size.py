"""A report over 10,000 trials with ten evaluations each. How long it takes, `make bench` measures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.page.report import write_report
from tests.reports.conftest import save, study, trial

TRIALS, RUNS = 10_000, 10


def rows() -> list[dict[str, Any]]:
    random = np.random.RandomState(0)
    made = []
    clock = dict.fromkeys(("pytorch", "flux"), 1e9)
    for number in range(TRIALS):
        name = ("pytorch", "flux")[number % 2]
        tta_s = None if random.rand() < 0.3 else float(np.exp(random.normal(1.0, 0.5)))
        began = clock[name]
        clock[name] += (tta_s or 10.0) + 4.0
        knobs = {"learning_rate": float(np.exp(random.uniform(-5, -1))), "batch_size": 2 ** random.randint(3, 9)}
        made.append(
            trial(
                name, "search", number // 2, tta_s, **knobs, num_workers=random.randint(0, 5),
                train_s=tta_s or 10.0, began_at=began, ended_at=clock[name],
            )
        )  # fmt: skip
    for number in range(RUNS):
        for name in clock:
            end = max(clock.values()) + 10 * number + 9
            made.append(trial(name, "confirm", number, 1.0 + random.rand(), began_at=end - 8, ended_at=end))
    return made


def test_ten_thousand_trials(tmp_path: Path) -> None:
    records = study(rows())
    points = [
        records.evaluations.assign(evaluation=records.evaluations["evaluation"] + 2 * fifth) for fifth in range(5)
    ]
    save(replace(records, evaluations=pd.concat(points, ignore_index=True)), tmp_path)
    write_report(tmp_path, tmp_path / "report")
    assert len(pd.read_csv(tmp_path / "report" / "trials.csv")) == TRIALS + 2 * RUNS
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count("<tr data-row=") == TRIALS + 2 * RUNS
    assert len(page) < 10e6  # characters: a page that a browser opens at once
