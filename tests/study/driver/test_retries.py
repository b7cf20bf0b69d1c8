"""What is tried again, and what is said of it: only what is true."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial

from study.driver.causes import LESS_MEMORY, may_pass
from study.driver.retries import AT_ONCE_S, Retries, goes_on, interrupted
from study.driver.tuning import _retrying
from study.plan.files import load_plan
from study.store.folder import StudyFolder, create
from trainables import checkpoint

ERROR = "RuntimeError: mat1 and mat2 shapes cannot be multiplied (32x400 and 120x84)"
GONE = f"its process is gone: killed, crashed, or ended by the kernel; if it was that, {LESS_MEMORY}"


@dataclass
class House:
    said: list[str] = field(default_factory=list)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.retries = Retries(self.said.append, clock=lambda: self.now)

    def fails(
        self, trial: str, error: str = ERROR, *, after_s: float = 3.0, evaluated: bool = False, **where: str
    ) -> bool:
        """An attempt; whether there will be another."""
        self.retries.started(trial)
        if evaluated:
            self.retries.evaluated(trial)
        self.now += after_s
        return self.retries.again(trial, where.get("framework", "pytorch"), where.get("node", "n1"), error)


@pytest.fixture
def house() -> House:
    return House()


def test_what_fails_alike_at_once_is_not_tried_a_third_time(house: House) -> None:
    assert house.fails("t0")
    assert not house.fails("t0")
    assert house.said == [f"t0 failed again at once with: {ERROR}; what fails so is not tried again"]


def test_nor_is_another_trial_that_fails_so(house: House) -> None:
    house.fails("t0")
    house.fails("t0")
    assert not house.fails("t1", ERROR.replace("32x400", "64x400"))  # numbers differ from trial to trial
    assert len(house.said) == 1
    assert house.fails("t2", "RuntimeError: another")
    assert house.fails("t3", framework="flux")
    assert house.fails("t4", node="n2")  # a fault of one node says nothing of another


@pytest.mark.parametrize(
    "second", [{"error": "RuntimeError: another"}, {"after_s": AT_ONCE_S + 1.0}, {"evaluated": True}]
)
def test_what_fails_otherwise_is_tried_again_as_before(house: House, second: dict[str, object]) -> None:
    assert house.fails("t0")
    assert house.fails("t0", **second)  # type: ignore[arg-type]
    assert house.said == []


@pytest.mark.parametrize("error", [GONE, "CUDA out of memory. Tried to allocate 2 GiB", "OutOfMemoryError()"])
def test_what_may_have_been_another_trials_doing_is_tried_again(house: House, error: str) -> None:
    assert may_pass(error)
    assert house.fails("t0", error)
    assert not house.fails("t0", error)
    assert house.fails("t1", error)


def test_tune_asks_before_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    former = Trial.should_recover
    trial = SimpleNamespace(run_metadata=SimpleNamespace(num_failures=1), max_failures=5)
    for answer in (True, False):
        with _retrying(lambda _, answer=answer: answer):  # type: ignore[misc]
            assert Trial.should_recover(trial) is answer  # type: ignore[arg-type]
    trial.max_failures = 0
    with _retrying(lambda _: True):
        assert not Trial.should_recover(trial)  # type: ignore[arg-type]
    assert Trial.should_recover is former


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    made = create(tmp_path / "s", load_plan("quickstart", frameworks=["simulated"]))
    made.checkpoints("").mkdir(parents=True)
    return made


def test_from_where_a_trial_goes_on(folder: StudyFolder) -> None:
    assert goes_on(folder, "t0") == "begins anew"
    assert interrupted(folder, ["t0", "t1"]) == "interrupted trials that go on: 2 from their beginning"
    checkpoint.save(folder.checkpoints("t0"), 2, {"evaluations": [{}, {}]}, save_model=None)
    assert goes_on(folder, "t0") == "goes on from evaluation 2"
    said = "interrupted trials that go on: 1 from their last checkpoints, 1 from their beginning"
    assert interrupted(folder, ["t0", "t1"]) == said
    assert interrupted(folder, ["t0"]) == "interrupted trials that go on: 1 from their last checkpoints"
    assert interrupted(folder, []) == ""
