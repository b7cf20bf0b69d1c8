"""A framework that hangs, crashes or talks nonsense when it is asked what it can use."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainables import examination
from trainables.contract import Loading
from trainables.examination import examine
from trainables.frameworks import framework

LOOK = "from trainables.contract import Readiness\ndef look(*, device, loadings):\n    "
HANG_FOR_GPUS = f"import time\n{LOOK}time.sleep(60 * (device == 'cuda'))\n    return Readiness('1.0')\n"


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(examination, "LIMIT_S", 5.0)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import time; time.sleep(60)", "a process that imports it gave no answer in 5 s"),
        ("raise ImportError('libcudart.so')", "failed with exit code 1 (ImportError: libcudart.so)"),
        ("import os; os.kill(os.getpid(), 11)", "was ended by SIGSEGV"),
        ("import os; print('welcome'); os._exit(0)", "a process that imports it says nothing of use"),
        ("import os; print('{}'); os._exit(0)", "a process that imports it says nothing of use"),
    ],
    ids=["hangs", "fails", "crashes", "nonsense", "incomplete"],
)
def test_a_framework_that_does_not_answer_is_broken(tmp_path: Path, code: str, found: str) -> None:
    (tmp_path / "broken_check.py").write_text(code)
    assert found in str(examine("broken_check", device="cpu", loadings=[]).broken)


def test_a_driver_that_hangs_means_no_gpu_and_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "hanging_check.py").write_text(HANG_FOR_GPUS)
    found = examine("hanging_check", device="cuda", loadings=[])
    assert (found.version, found.broken) == ("1.0", None)
    assert found.gpus == "no GPU (a process that imports it gave no answer in 5 s)"


def test_a_framework_without_a_check_is_not_doubted() -> None:
    found = framework("simulated").examine(loadings=[Loading(8, 1)])
    assert (found.broken, found.no_loading) == (None, (None,))


def test_the_framework_is_the_installed_one_wherever_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    for name in ("json.py", "sound_check.py", "trainables.py"):
        (there / name).write_text("raise SystemExit('of where the user stands')")
    (tmp_path / "sound_check.py").write_text(f"{LOOK}return Readiness('1.0')\n")
    monkeypatch.chdir(there)
    assert examine("sound_check", device="cpu", loadings=[]).version == "1.0"
