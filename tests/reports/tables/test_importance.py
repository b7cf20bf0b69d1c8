from __future__ import annotations

import numpy as np
import pytest

from reports.tables.importance import FEWEST, MOST, importances
from tests.reports.conftest import study, trial

PLAN = {
    "space": {
        "pytorch": {
            "learning_rate": {"low": 0.001, "high": 1.0, "log": True},
            "batch_size": {"choices": [8, 16, 32, 64]},
            "num_workers": {"low": 0, "high": 4, "log": False},
        }
    }
}


def searched(trials: int, *, batch_size_matters: bool = False) -> list[dict[str, object]]:
    """The objective depends on the learning rate alone, or on the batch size alone."""
    random = np.random.RandomState(0)
    rows = []
    for number in range(trials):
        rate = float(np.exp(random.uniform(np.log(0.001), 0.0)))
        batch_size = int(2 ** random.randint(3, 7))
        effect = np.log2(batch_size) if batch_size_matters else abs(np.log(rate))
        rows.append(
            trial(
                "pytorch", "search", number, 1.0 + effect, learning_rate=rate, batch_size=batch_size,
                num_workers=random.randint(0, 5),
            )
        )  # fmt: skip
    return rows


@pytest.mark.parametrize("plan", [PLAN, {}], ids=["with a plan", "without"])
@pytest.mark.parametrize("batch_size_matters", [False, True])
def test_what_mattered_is_found(batch_size_matters: bool, plan: dict[str, object]) -> None:
    found = importances(study(searched(80, batch_size_matters=batch_size_matters)).trials, plan)
    by_knob = found.set_index("hyperparameter")["importance"]
    assert by_knob["batch_size" if batch_size_matters else "learning_rate"] > 0.9
    assert by_knob.sum() == pytest.approx(1.0)
    assert found["trials"].tolist() == [80] * 3
    effects = found.set_index("hyperparameter")["effect"]
    assert effects["batch_size" if batch_size_matters else "learning_rate"] == "shown"
    assert effects["num_workers"] == "not resolved"


def test_too_few_trials_and_too_many() -> None:
    assert importances(study(searched(FEWEST - 1)).trials, PLAN).empty
    assert importances(study(searched(MOST + 100)).trials, PLAN)["trials"].tolist() == [MOST] * 3
