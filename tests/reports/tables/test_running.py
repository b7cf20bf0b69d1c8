from __future__ import annotations

import numpy as np
import pytest

from reports.tables import cost
from reports.tables.running import running_clock
from tests.reports.conftest import study, trial


def test_the_clock_stands_still_while_nothing_runs() -> None:
    spans = [(0, 10), (5, 20), (100, 110), (50_000, 50_030)]
    rows = [
        trial("pytorch", "search", number, 2.0, began_at=1000.0 + began, ended_at=1000.0 + ended, slice_s=ended - began)
        for number, (began, ended) in enumerate(spans)
    ]
    reading = running_clock(study(rows).trials)
    asked = np.array([0, 15, 60, 105, 30_000, 50_030], dtype=np.float64)
    assert reading(1000.0 + asked).tolist() == pytest.approx([0, 15, 20, 25, 30, 60])


def test_a_trial_that_spans_a_pause_runs_for_what_it_held_its_slice() -> None:
    rows = [
        trial("pytorch", "search", 0, 2.0, began_at=1000.0, ended_at=1010.0, slice_s=10.0),
        trial("pytorch", "search", 1, 2.0, began_at=1005.0, ended_at=9000.0, slice_s=30.0, segments=2),
    ]
    trials = study(rows).trials
    assert running_clock(trials)(np.array([9000.0])).tolist() == pytest.approx([40.0])
    assert cost.slots(trials)["ended_s"].tolist() == pytest.approx([10.0, 40.0])


def test_a_pause_is_no_part_of_the_running_time() -> None:
    rows = [
        trial("pytorch", "search", 0, 4.0, began_at=0.0, ended_at=10.0, slice_s=10.0),
        trial("pytorch", "search", 1, 2.0, began_at=50_000.0, ended_at=50_010.0, slice_s=10.0),
    ]
    assert cost.slots(study(rows).trials)["ended_s"].tolist() == pytest.approx([10.0, 20.0])
