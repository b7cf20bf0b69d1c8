from __future__ import annotations

import pytest

from study.cli import doctor
from study.plan.files import load_plan
from trainables.contract import Readiness


def test_a_pytorch_that_does_not_answer_is_a_problem() -> None:
    finding = doctor._torch(Readiness(broken="a process that imports it was ended by SIGSEGV"))
    assert (finding.state, finding.found) == ("problem", "a process that imports it was ended by SIGSEGV")
    assert finding.todo


def test_what_pytorch_sees_is_said_with_why_it_is_nothing() -> None:
    finding = doctor._torch(Readiness("2.15.0, CUDA 13.2", no_device='CUDA_VISIBLE_DEVICES is ""'))
    assert (finding.state, finding.found) == ("ok", '2.15.0, CUDA 13.2, sees no GPU (CUDA_VISIBLE_DEVICES is "")')


def test_a_plan_whose_loader_workers_would_fail_is_a_problem() -> None:
    finding = doctor._plan_fits("quickstart", load_plan("quickstart"), Readiness(), [None, "/dev/shm is full"])
    assert (finding.state, finding.found) == ("problem", "loader workers would fail: /dev/shm is full")
    assert "num_workers=0" in finding.todo
    assert finding.needed


def test_gpus_of_a_plan_are_those_that_pytorch_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "gpus", lambda: ["nvidia-smi lists one"])
    plan = load_plan("quickstart", settings=["slice.gpus=1"])
    assert doctor._plan_fits("quickstart", plan, Readiness(no_device="hidden"), []).state == "missing"
    assert doctor._plan_fits("quickstart", plan, Readiness(devices=("A",)), []).state == "ok"


def test_nvidia_smi_that_hangs_is_a_problem_that_no_plan_needs_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "gpu_problem", lambda: "nvidia-smi gave no answer in 20 s")
    finding = doctor._gpus()
    assert (finding.state, finding.found, finding.needed) == ("problem", "nvidia-smi gave no answer in 20 s", False)
