"""A framework that hangs, crashes or talks nonsense when it is asked what it can use."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainables import examination
from trainables.contract import Loading, Option, Tried
from trainables.examination import examine, try_models
from trainables.frameworks import framework
from trainables.workloads.workload import find

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


TRY = "import os\nfrom trainables.contract import Tried\ndef try_model(*, model, options, shape, outputs):\n    "


def tried(check: str, *points: dict[str, Option]) -> list[Tried]:
    return try_models(check, Path("model.x"), points, shape=(2, 3), outputs=4, environment={"WANTED": "yes"})


def test_models_are_tried_up_to_the_first_that_fails(tmp_path: Path) -> None:
    body = (
        "print(model, shape, outputs)\n    return Tried(None if options['n'] < 2 else f'{model}: {options}', 'Norm')\n"
    )
    (tmp_path / "trying_check.py").write_text(TRY + body)
    assert tried("trying_check", {"n": 0}, {"n": 1}, {"n": 2}, {"n": 3}) == [
        Tried(None, "Norm"),
        Tried(None, "Norm"),
        Tried("model.x: {'n': 2}", "Norm"),
    ]


def test_what_trials_need_is_there_when_models_are_tried(tmp_path: Path) -> None:
    (tmp_path / "asking_check.py").write_text(
        f"{TRY}return Tried(f'{{os.environ[\"WANTED\"]}} {{shape}} {{outputs}}')\n"
    )
    assert tried("asking_check", {}) == [Tried("yes (2, 3) 4")]


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import time; time.sleep(60)", "model.x: a process that builds it gave no answer in 5 s"),
        ("raise ImportError('libcudart.so')", "model.x: a process that builds it failed with exit code 1 (ImportError"),
        (f"{TRY}os.kill(os.getpid(), 11)\n", "model.x: a process that builds it was ended by SIGSEGV"),
        (f"{TRY}os._exit(0)\n", "model.x: a process that builds it says nothing of use"),
    ],
    ids=["hangs", "fails", "crashes", "says nothing"],
)
def test_a_process_that_does_not_answer_is_the_models_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, problem: str
) -> None:
    monkeypatch.setattr(examination, "TRY_LIMIT_S", 5.0)
    (tmp_path / "broken_try.py").write_text(code)
    (found,) = tried("broken_try", {})
    assert str(found.problem).startswith(problem)


def test_simulated_frameworks_build_no_model() -> None:
    workload = find("digits-lenet")
    assert workload.made is not None
    assert framework("simulated").try_models(workload, [{}], workload.made) == []


@pytest.mark.parametrize(
    "code",
    ["print('hi', end='')", "import os; os.write(1, b'hi')", "import atexit; atexit.register(print, 'bye')"],
)
def test_what_a_model_file_prints_is_no_answer(tmp_path: Path, code: str) -> None:
    (tmp_path / "chatty_check.py").write_text(
        f"from trainables.contract import Tried\ndef try_model(**_):\n    {code}\n    return Tried(alone='Norm')\n"
    )
    found = try_models("chatty_check", tmp_path / "model.py", [{}, {}], shape=(3,), outputs=2, environment={})
    assert found == [Tried(alone="Norm")] * 2
