"""Cold means cold: a process finds nothing that another compiled, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import pytest

from trainables.common.house import HOUSE
from trainables.frameworks import FRAMEWORKS, available, framework
from trainables.pytorch_compile import compiler, runtime

needs_compiler = pytest.mark.skipif(runtime.missing() is not None, reason=str(runtime.missing()))

COMPILES = """
import torch, multiprocessing, psutil
from pathlib import Path
from trainables.pytorch_compile.compiler import settle
folder = settle()
double = torch.compile(lambda x: x * 2 + 1, dynamic=False)
assert double(torch.ones(3)).tolist() == [3, 3, 3]
from torch._dynamo.utils import counters
assert counters["stats"]["unique_graphs"] == 1, "not compiled"
assert not psutil.Process().children(), "compile workers"
found = [path for path in folder.rglob("*") if path.suffix in (".so", ".gch")]
print(len([path for path in found if path.suffix == ".so"]) > 0, len(found))
"""


def python(code: str, tmpdir: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    changed = {**os.environ, "TMPDIR": str(tmpdir), "PYTHONPATH": str(HOUSE), **environment}
    return subprocess.run([sys.executable, "-c", code], env=changed, capture_output=True, text=True, check=False)


@needs_compiler
@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.long)])
def test_what_is_compiled_lies_in_a_folder_that_goes_with_the_process(tmp_path: Path, times: int) -> None:
    """Whatever the user's environment says of compiling; and the next process compiles as much."""
    theirs = {"TORCHDYNAMO_DISABLE": "1", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "x"), "TORCHINDUCTOR_CPP_CXX": "x"}
    answers = [python(COMPILES, tmp_path, **theirs) for _ in range(times)]
    assert answers[0].stdout.startswith("True"), answers[0].stderr
    assert {answer.stdout for answer in answers} == {answers[0].stdout}
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = "import os, signal; from trainables.pytorch_compile import compiler; compiler._own_folder(); "
    python(code + "os.kill(os.getpid(), signal.SIGKILL)", tmp_path)
    running = compiler._own_folder()
    left = next(path for path in tmp_path.iterdir() if path != running)
    compiler.remove_left_behind()
    assert left.exists()  # it may be about to be locked
    old = time.time() - 2 * compiler._YOUNG_S
    for folder in (left, running):
        os.utime(folder, (old, old))
    compiler.remove_left_behind()
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [running]


def test_a_missing_compiler_or_header_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert framework("pytorch-compile").missing() == (
        "torch.compile needs a C++ compiler, and there is no no-such-compiler; install one (Debian, Ubuntu: "
        "`apt install g++`), or set CXX to another's path"
    )
    monkeypatch.setenv("CXX", sys.executable)
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    assert framework("pytorch-compile").missing() == (
        f"torch.compile needs Python's headers, and there is no {tmp_path}/Python.h; install python3-dev, or its like"
    )


@needs_compiler
def test_it_runs_where_it_is_asked_for_and_its_compiler_is_recorded() -> None:
    assert "pytorch-compile" not in available()
    assert "pytorch" in available()
    assert FRAMEWORKS["pytorch-compile"].real
    assert "C++ compiler" in framework("pytorch-compile").versions()
    assert any(path.name == "loader.py" for path in framework("pytorch-compile").files())
