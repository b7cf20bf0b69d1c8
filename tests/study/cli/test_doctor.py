from __future__ import annotations

from pathlib import Path

import pytest

from study.cli import doctor
from study.plan.files import load_plan
from tests.study.cli.test_commands import call
from tests.study.workloads import TOML, written
from trainables.contract import Readiness
from trainables.frameworks import framework
from trainables.workloads.workload import Made, find


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


@pytest.mark.parametrize(
    ("cpus", "gpus", "said"),
    [(1, 0, "1 CPU and 0 GPUs a trial"), (2, 1, "2 CPUs and 1 GPU a trial"), (1, 0.5, "1 CPU and 0.5 GPUs a trial")],
)
def test_one_of_something_is_said_as_one(cpus: int, gpus: float, said: str) -> None:
    settings = [f"slice.cpus={cpus}", f"slice.gpus={gpus}", "slice.allow_shared_gpu=true"]
    plan = load_plan("quickstart", settings=settings, frameworks=["simulated"])
    assert said in doctor._plan_fits("quickstart", plan, Readiness(), []).found


@pytest.mark.parametrize(("well", "said"), [(True, "can"), (False, "cannot")])
def test_the_verdict_is_about_a_command_that_can_be_typed(
    well: bool, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = doctor.Finding("Ray", "ok" if well else "missing", "as it is", needed=True)
    monkeypatch.setattr(doctor, "examine", lambda **_: [finding])
    code, out, err = call(["doctor"], capsys, monkeypatch)
    assert (code, out.splitlines()[-1], err) == (int(not well), f"`tuneoff launch quickstart` {said} run here.", "")


@pytest.mark.parametrize(
    ("outputs", "loss", "said"),
    [
        (1, "mean_squared_error", "of 4, 1 output"),
        (3, "mean_squared_error", "of 4, 3 outputs"),
        (2, "cross_entropy", "of 4, 2 classes"),
    ],
)
def test_data_are_told_by_what_they_come_to(
    outputs: int, loss: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made(arrays="x", training_samples=60, shape=(4,), outputs=outputs)
    monkeypatch.setattr(doctor, "prepare", lambda *_, **__: made)
    monkeypatch.setattr(doctor, "FRAMEWORKS", {})
    task = written(tmp_path / "my-task", toml=f'loss = "{loss}"\n{TOML}')
    data = next(each for each in doctor.examine(workload=str(task)) if each.item == "data of my-task")
    assert data.found == f"60 training samples {said}"


def test_a_framework_that_reads_no_model_file_is_told_so() -> None:
    workload = find("digits-lenet")
    assert workload.made is not None
    found = doctor._model(framework("simulated"), workload, workload.made)
    assert (found.state, found.found) == ("ok", "it brings its own model, which was not tried")
