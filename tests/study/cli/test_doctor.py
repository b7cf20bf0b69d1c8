from __future__ import annotations

from pathlib import Path

import pytest

from study.cli import doctor


@pytest.mark.parametrize(
    ("probe", "found"),
    [
        ("import time; time.sleep(60)", "a process that imports it gave no answer in 3 s"),
        ("raise ImportError('libcudart.so')", "failed with exit code 1 (ImportError: libcudart.so)"),
        ("import os; os.kill(os.getpid(), 11)", "was ended by SIGSEGV"),
        ("print('welcome')", "a process that imports it says nothing of use"),
    ],
    ids=["hangs", "fails", "crashes", "nonsense"],
)
def test_a_pytorch_that_does_not_answer_is_a_problem(monkeypatch: pytest.MonkeyPatch, probe: str, found: str) -> None:
    monkeypatch.setattr(doctor, "_PROBE", probe)
    monkeypatch.setattr(doctor, "_IMPORT_S", 3.0)
    finding = doctor._torch()
    assert finding.state == "problem"
    assert found in finding.found
    assert finding.todo


def test_nvidia_smi_that_hangs_is_a_problem_that_no_plan_needs_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "gpu_problem", lambda: "nvidia-smi gave no answer in 20 s")
    finding = doctor._gpus()
    assert (finding.state, finding.found, finding.needed) == ("problem", "nvidia-smi gave no answer in 20 s", False)


def test_pytorch_is_the_installed_one_wherever_the_user_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the json of where the user stands')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "_PROBE", "import json; print(json.dumps(['2.9', None, []]))")
    assert doctor._torch().found == "2.9, CUDA none, sees no GPU"
