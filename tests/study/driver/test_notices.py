from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from ray.tune.experiment import Trial

from study.driver.notices import Notices
from study.driver.recorder import Recorder
from study.driver.searcher import HOST, IDENTITY
from study.store.folder import StudyFolder
from trainables.common.house import code_digest
from trainables.notices import leave, take
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
    NODE,
    SPEC,
    WEIGHTS,
    WORKLOAD,
    TrainingTrainable,
)
from trainables.workloads.prepared import store_in
from trainables.workloads.workload import find

FULL = "no checkpoint of evaluation {}: No space left on device"
WORKERS = "loader workers: 3 were asked for, and 1 can run with 1 CPU"


def test_each_kind_is_told_once_a_trial() -> None:
    said: list[str] = []
    notices = Notices(said.append)
    notices.tell("a", "flux", [FULL.format(1)])
    notices.tell("a", "flux", [FULL.format(2)])
    notices.tell("b", "flux", [FULL.format(1)])
    notices.tell("b", "flux", [])
    assert said == [f"a: {FULL.format(1)}", f"b: {FULL.format(1)}"]


def test_too_few_loader_workers_are_told_once_a_framework() -> None:
    said: list[str] = []
    notices = Notices(said.append)
    notices.tell("a", "flux", [WORKERS])
    notices.tell("b", "flux", [WORKERS.replace("3", "2"), FULL.format(1)])
    notices.tell("c", "pytorch", [WORKERS])
    notices.tell("d", "pytorch", [WORKERS])
    assert said == [
        f"a: {WORKERS} (told once for Flux)",
        f"b: {FULL.format(1)}",
        f"c: {WORKERS} (told once for PyTorch)",
    ]


def test_all_that_come_together_are_told() -> None:
    said: list[str] = []
    Notices(said.append).tell("a", "flux", ["model-2 is damaged", "model-1 is damaged"])
    assert said == ["a: model-2 is damaged", "a: model-1 is damaged"]


def test_what_trials_cannot_wait_to_tell_is_looked_for_every_second_and_told_once(tmp_path: Path) -> None:
    said: list[str] = []
    notices = Notices(said.append)
    folders = [("a", "pytorch", tmp_path / "a"), ("b", "flux", tmp_path / "b")]
    leave(tmp_path / "a", WORKERS)
    leave(tmp_path / "a", FULL.format(1))
    notices.look(folders, now=0.0)
    leave(tmp_path / "b", WORKERS)
    notices.look(folders, now=0.5)
    assert said == [f"a: {WORKERS} (told once for PyTorch)", f"a: {FULL.format(1)}"]
    notices.look(folders, now=1.5)
    notices.tell("b", "flux", [WORKERS])  # with its first result
    notices.look(folders, now=3.0)
    assert said[2:] == [f"b: {WORKERS} (told once for Flux)"]


def test_a_trial_that_cannot_write_tells_with_its_result_alone(tmp_path: Path) -> None:
    leave(tmp_path / "gone" / "trial", WORKERS)
    assert not (tmp_path / "gone").exists()
    assert take(tmp_path / "gone" / "trial") == []


def test_a_study_hears_of_loader_workers_before_the_first_result(
    tmp_path: Path, spec: TrainingSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial that never comes to a result, and the driver that looks between two steps of Tune."""

    def fail(*_: object) -> NoReturn:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(SimulatedRun, "loader_workers", lambda _: 1)
    monkeypatch.setattr(SimulatedRun, "train", fail)
    (tmp_path / "data").mkdir()
    workload = find(spec.workload)
    config = {
        SPEC: replace(spec, hyperparameters=replace(spec.hyperparameters, num_workers=3)).as_dict(),
        FOLDER: str(tmp_path / "t0"),
        WORKLOAD: str(workload.folder),
        DATA: str(store_in(tmp_path / "data", workload, say=print)),
        CAP: None,
        WEIGHTS: None,
        NO_WEIGHTS: None,
        LEASE: None,
        CODE: code_digest(),
        EVERY_EVALUATION: False,
        HOST: "here",
        NODE: "id-of-here",
        IDENTITY: {"trial_id": "t0", "framework": "simulated"},
    }
    process: Any = TrainingTrainable.__new__(TrainingTrainable)  # without Ray's folder of results
    process.setup(config)
    with pytest.raises(RuntimeError, match="out of memory"):
        process.step()
    process.cleanup()

    said: list[str] = []
    nothing: Any = SimpleNamespace(look=lambda *_: None)
    progress: Any = SimpleNamespace(say=said.append)
    unused: Any = None
    recorder = Recorder(unused, StudyFolder(tmp_path), unused, progress, nothing, nothing)
    trial: Any = SimpleNamespace(status=Trial.RUNNING, config=config)
    recorder.on_step_begin(0, [trial])
    assert said == [f"t0: {WORKERS} (told once for Simulated)"]
