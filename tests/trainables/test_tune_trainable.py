"""Ray Tune's view of a training, without Ray: what it is given, and what a scheduler compares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.cap import Cap
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
    HISTORY,
    LEASE,
    NO_WEIGHTS,
    OBJECTIVE,
    RESULT,
    SCORE,
    SPEC,
    WEIGHTS,
    WORKLOAD,
    TrainingTrainable,
)
from trainables.workloads.prepared import store_in
from trainables.workloads.weights import write_weights
from trainables.workloads.workload import find


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


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


def test_a_trial_stops_itself_at_its_cap(spec: TrainingSpec, tmp_path: Path) -> None:
    free, never = begun(spec, made(tmp_path / "a")), replace(spec, target=1.0)
    first = free.step()
    cap = Cap(seconds=first["train_s"] * 2.5).as_dict()
    trial = begun(never, made(tmp_path / "b"), **{CAP: cap})
    results = [trial.step() for _ in range(3)]
    assert [each["done"] for each in results] == [False, False, True]
    last = results[-1]
    assert (last[RESULT]["outcome"], last[RESULT]["cap_s"]) == ("capped", cap["seconds"])
    assert last[OBJECTIVE] == last[RESULT]["objective"] > spec.limit_s


def test_a_trial_that_is_over_its_cap_when_it_goes_on_tells_each_evaluation_once(
    spec: TrainingSpec, tmp_path: Path
) -> None:
    trial = begun(replace(spec, target=1.0), tmp_path)
    seconds = [trial.step()["train_s"] for _ in range(2)]
    trial.cleanup()
    known = {FOLDER: str(tmp_path / "t"), CAP: Cap(seconds[0]).as_dict()}
    again = begun(replace(spec, target=1.0), made(tmp_path / "again"), **known)
    result = again.step()
    assert result["done"]
    assert [each["evaluation"] for each in (*result[HISTORY], result)] == [1, 2]
