"""What capping costs in quality, counted on recorded trainings."""

from __future__ import annotations

from pathlib import Path

import pytest

from study.plan.plan import SearchPlan
from study.replay.table import read_table
from study.strategy.capping import CapRule
from tests.study.strategy.searches import Counts, read, searches

SHIPPED = Path(__file__).parents[3] / "study" / "replay" / "tables"
TABLES = [
    (each.parent, framework)
    for each in sorted(SHIPPED.glob("*/about.toml"))
    for framework in read_table(each.parent).plan.frameworks
]
RISK = 0.005  # of all trials that are stopped, those that would have won; study/README.md states it
DEFAULT = {name: SearchPlan.model_fields[f"cap_{name}"].default for name in ("slack", "rank", "lag", "margin")}


def counted(folder: Path, framework: str, trials: int = 30, **changes: float | None) -> Counts:
    rule = CapRule(**{**DEFAULT, **changes})
    return searches(rule, read(folder, framework), trials=trials, count=150)


@pytest.mark.parametrize(("folder", "framework"), TABLES, ids=[f"{each.name}-{name}" for each, name in TABLES])
def test_hardly_any_trial_is_stopped_that_would_have_won(folder: Path, framework: str) -> None:
    found = counted(folder, framework)
    assert found.stopped > found.trials / 5  # there is something to count
    assert found.trained_s < 0.8 * found.uncapped_s
    assert found.would_have_won <= RISK * found.stopped
    assert found.by_5_percent <= RISK * found.stopped / 2


@pytest.mark.parametrize(("folder", "framework"), TABLES, ids=[f"{each.name}-{name}" for each, name in TABLES])
def test_a_cap_by_time_alone_stops_none_that_would_have_won(folder: Path, framework: str) -> None:
    found = counted(folder, framework, lag=None)
    assert found.stopped > found.trials / 10
    assert found.would_have_won == 0


def test_curves_at_equal_times_stop_many_that_would_have_won() -> None:
    """Hence the lag; and the count can fail."""
    found = counted(*TABLES[0], lag=1.0, margin=2.0)
    assert found.would_have_won > 0.02 * found.stopped
