"""``make gpu-check`` without a GPU: what it says then, and its parts on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import gpu_check
from trainables.contract import Readiness, Samples
from trainables.frameworks import Framework
from trainables.workloads.prepared import load
from trainables.workloads.workload import find


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (Readiness(no_device="Found no NVIDIA driver"), "PyTorch sees no GPU (Found no NVIDIA driver) here"),
        (Readiness(broken="a process that imports it gave no answer in 5 s"), "gave no answer in 5 s here"),
    ],
)
def test_no_gpu_is_one_line(
    seen: Readiness, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Framework, "examine", lambda *_, **__: seen)
    assert gpu_check.main([]) == 2
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert words in said


@pytest.mark.parametrize("good", [True, False])
def test_the_last_line_says_pass_or_fail(
    good: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = gpu_check.Check("one", True, "fine"), gpu_check.Check("other", good, "it is")
    monkeypatch.setattr(Framework, "examine", lambda *_, **__: Readiness(devices=("H100",)))
    monkeypatch.setattr(gpu_check, "checks", lambda _: iter([one, other]))
    assert gpu_check.main([]) == (0 if good else 1)
    assert capsys.readouterr().out.splitlines()[-1] == f"gpu-check: {'pass' if good else 'fail: other'}"


@pytest.mark.parametrize(
    ("said", "code", "good"),
    [
        ("2 passed in 3 s", 0, True),
        ("1 passed, 1 skipped in 3 s", 0, False),  # the GPU was not seen
        ("2 skipped in 3 s", 0, False),
        ("1 failed, 1 passed in 3 s", 1, False),
        ("no tests ran in 3 s", 5, False),
    ],
)
def test_every_gpu_test_must_run(said: str, code: int, good: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answer:
        stdout, stderr, returncode = f"..\n== {said} ==\n", "", code

    monkeypatch.setattr(gpu_check.subprocess, "run", lambda *_, **__: Answer)
    check = gpu_check.tests("cuda")
    assert (check.good, check.found) == (good, said)


def test_lenet_reaches_a_target_or_it_fails() -> None:
    assert gpu_check.lenet("cpu", target=0.2).good
    assert not gpu_check.lenet("cpu", target=1.0, epochs=1).good


def test_resnet_trains() -> None:
    digits = load(find("digits-lenet"))
    few: dict[Any, Samples] = {
        split: Samples(each.features[:130], each.targets[:130]) for split, each in digits.items()
    }
    assert gpu_check.resnet(few, "cpu", target=0.0, epochs=1).found.startswith("0.0% after 0")
    check = gpu_check.resnet(few, "cpu", target=1.0, epochs=1)
    assert (check.good, "after 1 epochs" in check.found) == (False, True)


def test_samples_per_second_are_of_both_loops() -> None:
    check = gpu_check.throughput("lenet", "cpu", 1000)
    assert "/s beside a plain loop's" in check.found
    assert np.isfinite(float(check.found.split(": ")[1].split(",")[0]))
