"""Ray Tune's view of a training, without Ray: what it is given, and what a scheduler compares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.common.house import code_digest
from trainables.contract import Parameters
from trainables.simulated.backend import SimulatedRun
from trainables.spec import TrainingSpec
from trainables.tune_trainable import (
    CAP,
    CODE,
    DATA,
    EVERY_EVALUATION,
    FOLDER,
    LEASE,
    NO_WEIGHTS,
    SCORE,
    SPEC,
    WEIGHTS,
    WORKLOAD,
    TrainingTrainable,
)
from trainables.workloads.prepared import store_in
from trainables.workloads.weights import write_weights
from trainables.workloads.workload import find


def begun(spec: TrainingSpec, tmp_path: Path, **more: Any) -> Any:
    workload = find("digits-lenet").copy_to(tmp_path / "digits-lenet")
    config = {
        SPEC: spec.as_dict(),
        FOLDER: str(tmp_path / "t"),
        WORKLOAD: str(workload.folder),
        DATA: str(store_in(tmp_path / "data", workload, say=print)),
        CAP: None,
        WEIGHTS: None,
        NO_WEIGHTS: None,
        LEASE: None,
        CODE: code_digest(),
        EVERY_EVALUATION: True,
        **more,
    }
    trial: Any = TrainingTrainable.__new__(TrainingTrainable)  # without Ray's folder of results
    trial.setup(config)
    return trial


def test_a_trial_begins_at_the_weights_it_is_given(
    spec: TrainingSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Parameters | None] = []
    monkeypatch.setattr(SimulatedRun, "reset", lambda _, parameters: seen.append(parameters))
    given = {"weight": np.arange(3, dtype=np.float32)}
    write_weights(tmp_path / "w.npz", given)
    begun(replace(spec, workload="another name"), tmp_path, **{WEIGHTS: str(tmp_path / "w.npz")}).step()
    (found,) = seen
    assert found is not None
    assert found["weight"].tolist() == [0, 1, 2]


def test_why_there_are_no_weights_is_why_the_trial_failed(spec: TrainingSpec, tmp_path: Path) -> None:
    trial = begun(spec, tmp_path, **{NO_WEIGHTS: "/w/model.py, line 3: no neurons"})
    with pytest.raises(RuntimeError, match=r"^/w/model.py, line 3: no neurons$"):
        trial.step()


def test_a_trial_of_other_code_fails_with_that_in_a_line_whatever_else_it_is_given(
    spec: TrainingSpec, tmp_path: Path
) -> None:
    trial = begun(spec, tmp_path, **{CODE: "of another version"})
    del trial._config[LEASE]  # which that version does not give
    with pytest.raises(RuntimeError, match=r"^the code in \S+ is not the driver's: it was changed while the study ran"):
        trial.step()
    trial.cleanup()


@pytest.mark.parametrize(("rate", "metric"), [(0.1, "accuracy"), (0.1, "loss"), (2.0, "loss")])
def test_what_a_scheduler_compares_is_a_number_and_the_higher_the_better(
    spec: TrainingSpec, tmp_path: Path, rate: float, metric: Any
) -> None:
    knobs = replace(spec.hyperparameters, learning_rate=rate)
    result = begun(replace(spec, hyperparameters=knobs, metric=metric, target=0.01), tmp_path).step()
    if metric == "accuracy":
        assert result[SCORE] == result["validation_accuracy"] > 0
    elif rate < 1:
        assert result[SCORE] == -result["validation_loss"] < 0
    else:  # it diverged
        assert result["validation_loss"] is None
        assert result[SCORE] == -1e30
