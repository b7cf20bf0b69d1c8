"""Launch and train ask what the framework can use; here its answers are made up."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.cli import commands, single
from study.cli.readiness import fitting_here
from study.plan.files import load_plan
from trainables.common.machine import Cpus
from trainables.contract import Readiness, Tried
from trainables.frameworks import Framework
from trainables.workloads.workload import Made

Answer = Callable[[Readiness], list[dict[str, Any]]]
FULL = "/dev/shm has 1 MiB free of 64 MiB"
MADE = Made(arrays="", training_samples=1079, shape=(1, 28, 28), outputs=10)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Make every framework give this answer; the questions."""

    def give(found: Readiness) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def examine(_self: Framework, **question: Any) -> Readiness:
            asked.append(question)
            return found

        monkeypatch.setattr(Framework, "examine", examine)
        return asked

    return give


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["tuneoff", *arguments])
    with pytest.raises(SystemExit) as stopped:
        commands.main()
    err = capsys.readouterr().err
    assert err.count("\n") <= 1
    return int(stopped.value.code or 0), err


LAUNCH = ("launch", "quickstart", "--frameworks", "pytorch")
GPU = ("--set", "slice.gpus=1")
HIDDEN = 'CUDA_VISIBLE_DEVICES is "" (No CUDA GPUs are available)'


@pytest.mark.parametrize(
    ("found", "arguments", "message"),
    [
        (Readiness(no_device=HIDDEN, no_loading=(None,)), GPU, f"slice.gpus is 1, but PyTorch sees no GPU ({HIDDEN})"),
        (
            Readiness(devices=("A",), no_loading=(None,)),
            ("--set", "slice.gpus=2"),
            "sees 1 GPU (A) here; --set slice.gp",
        ),
        (Readiness(no_loading=(FULL,)), (), f"PyTorch's loader workers would fail: {FULL}; mend that, or load in line"),
        (Readiness(broken="a process that imports it crashed"), (), "PyTorch cannot run here: a process that imports"),
    ],
)
def test_launch_refuses_in_a_line_and_leaves_nothing(
    answer: Answer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    found: Readiness,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    answer(found)
    code, err = run(capsys, monkeypatch, *LAUNCH, *arguments)
    assert code == 2
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_asked_where_nothing_is_wanted(
    answer: Answer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = answer(Readiness(broken="it would be asked"))
    monkeypatch.setattr("study.cli.running.drive", lambda *_args, **_options: None)
    code, _ = run(capsys, monkeypatch, *LAUNCH, "--set", "space.all.num_workers=0")
    assert (code, asked) == (0, [])


def test_launch_without_a_folder_for_sockets_ends_with_exit_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    monkeypatch.setattr("study.cluster.environment.PLACES", ())
    code, err = run(capsys, monkeypatch, *LAUNCH)
    assert code == 1
    assert "TMPDIR (/nonexistent) does not exist" in err
    assert "resume" not in err
    assert list(tmp_path.iterdir()) == []


TRAIN = (
    "train",
    "--framework",
    "pytorch",
    "--workload",
    "digits-lenet",
    "--learning-rate",
    "0.1",
    "--batch-size",
    "64",
)


@pytest.mark.parametrize(
    ("found", "arguments", "message"),
    [
        (Readiness(no_device=HIDDEN), ("--device", "cuda"), f"PyTorch sees no GPU ({HIDDEN}) here; use --device cpu"),
        (Readiness(no_loading=(FULL,)), ("--num-workers", "2"), f"{FULL}; mend that, or load in line"),
        (Readiness(broken="it crashed"), ("--num-workers", "2"), "PyTorch cannot run here: it crashed"),
    ],
)
def test_train_refuses_in_a_line(
    answer: Answer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    found: Readiness,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    answer(found)
    code, err = run(capsys, monkeypatch, *TRAIN, *arguments)
    assert code == 2
    assert message in err


@pytest.mark.parametrize(
    ("device", "driver", "devices", "expected"),
    [
        ("auto", True, ("A",), "cuda"),
        ("auto", True, (), "cpu"),  # a CPU build on a machine with GPUs, or CUDA_VISIBLE_DEVICES
        ("auto", False, ("A",), "cpu"),  # nobody is asked
        ("cpu", True, ("A",), "cpu"),
        ("cuda", False, ("A",), "cuda"),
    ],
)
def test_the_device_is_what_the_framework_can_use(
    answer: Answer,
    monkeypatch: pytest.MonkeyPatch,
    pytorch_spec: single.TrainingSpec,
    device: str,
    driver: bool,
    devices: tuple[str, ...],
    expected: str,
) -> None:
    asked = answer(Readiness(devices=devices))
    monkeypatch.setattr(single, "_may_have_gpu", lambda: driver)
    assert single.on_this_machine(pytorch_spec, device, made=MADE).device == expected
    assert bool(asked) == (device == "cuda" or (device == "auto" and driver))


def test_machine_and_models_are_asked_at_the_same_time_and_no_module_twice(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    both, asked = threading.Barrier(2, timeout=20), []

    def examine(self: Framework, **_: Any) -> Readiness:
        asked.append(("examine", self.name))
        both.wait()
        return Readiness(no_loading=(None,))

    def try_models(self: Framework, *_: Any) -> list[Tried]:
        asked.append(("try_models", self.name))
        both.wait()
        return [Tried()]

    monkeypatch.setattr(Framework, "examine", examine)
    monkeypatch.setattr(Framework, "try_models", try_models)
    monkeypatch.setattr("study.cli.running.drive", lambda *_args, **_options: None)
    code, _ = run(capsys, monkeypatch, *LAUNCH[:-1], "pytorch,pytorch-compile")
    assert code == 0
    assert sorted(asked) == [("examine", "pytorch"), ("try_models", "pytorch")]  # whose check is the other's, too


@pytest.mark.parametrize(
    ("gpus", "settings", "at_once"),
    [
        (["A"], ["slice.gpus=1"], 1),
        (["A"], ["slice.gpus=0.25", "slice.allow_shared_gpu=true"], 4),
        (["A", "B"], ["slice.gpus=1", "slice.cpus=6"], 2),
        ([], ["slice.gpus=1", "slice.cpus=1"], 16),  # nothing tells of GPUs
        (["A"], ["slice.cpus=1"], 16),
    ],
)
def test_no_more_trainings_are_reckoned_with_than_gpus_hold(
    monkeypatch: pytest.MonkeyPatch, gpus: list[str], settings: list[str], at_once: int
) -> None:
    monkeypatch.setattr("trainables.common.machine.cpus", lambda: Cpus(16, 16))
    monkeypatch.setattr("study.store.provenance.gpus", lambda: gpus)
    assert fitting_here(load_plan("mnist-lenet", settings=settings, frameworks=["pytorch"])) == at_once
