"""Which variables reach Julia: the table is what happens."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from trainables.common.helpers import ask
from trainables.flux import backend
from trainables.flux.environment import EXE, PROJECT, RULES, rule, withheld

ROOT = Path(__file__).parents[2]


def test_what_the_table_says_is_set_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EXE, "/opt/julia")
    monkeypatch.setenv(PROJECT, str(tmp_path))
    told = {each.variable for each in RULES if each.treatment == "set"}
    by_others = {"JULIA_PYTHONCALL_EXE"}
    where_seen = {"PYTHON_JULIACALL_LIB", "PYTHON_JULIACALL_BINDIR"}
    assert {*backend._environment(2), *where_seen, *by_others} == told
    executable, library = tmp_path / "bin" / "julia", tmp_path / "lib" / "libjulia.so"
    for each in (executable, library):
        each.parent.mkdir()
        each.touch()
    (tmp_path / "elsewhere").symlink_to(executable)
    monkeypatch.setenv(EXE, str(tmp_path / "elsewhere"))
    seen = backend._environment(2)
    assert {*seen, *by_others} == told
    assert seen["PYTHON_JULIACALL_LIB"] == str(library)
    assert seen["PYTHON_JULIACALL_BINDIR"] == str(executable.parent)


@pytest.mark.parametrize(
    ("variable", "treatment"),
    [
        ("PYTHON_JULIACALL_SYSIMAGE", "cleared"),
        ("PYTHON_JULIACALL_LIB", "set"),
        ("PYTHON_JULIACALL_EXE", "set"),
        ("JULIA_LOAD_PATH", "cleared"),
        ("JULIA_NUM_THREADS", "cleared"),
        ("JULIA_PYTHONCALL_EXE", "set"),
        ("JULIA_DEPOT_PATH", "honoured"),
        ("JULIA_PKG_SERVER", "honoured"),
        ("JULIA_CUDA_MEMORY_POOL", "honoured"),
        ("PYTHON_JULIAPKG_PROJECT", None),
        ("HOME", None),
    ],
)
def test_each_variable_has_its_rule(variable: str, treatment: str | None) -> None:
    found = rule(variable)
    assert (found and found.treatment) == treatment
    assert withheld({variable: "x"}) == ({variable: None} if treatment in ("set", "cleared") else {})


def test_a_helper_does_not_see_what_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JULIA_LOAD_PATH", str(tmp_path / "packages"))
    monkeypatch.setenv("JULIA_DEPOT_PATH", str(tmp_path / "depot"))
    show = [sys.executable, "-c", "import os; print(sorted(name for name in os.environ if name.startswith('JULIA_')))"]
    seen = ask(show, timeout_s=60.0, environment=withheld()).out
    assert "JULIA_LOAD_PATH" not in seen
    assert "JULIA_DEPOT_PATH" in seen


def test_the_table_is_told() -> None:
    text = (ROOT / "trainables" / "README.md").read_text()
    told = dict(re.findall(r"^\| `(\S+)` \| (\w+) \|", text, flags=re.MULTILINE))
    assert told == {each.variable: each.treatment for each in RULES}
