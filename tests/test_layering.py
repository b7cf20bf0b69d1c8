"""Imports run one way, and frameworks stay out of processes they must not be in."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("study", "trainables", "search_spaces", "reports")
FRAMEWORKS = {"torch", "torchvision", "juliacall", "juliapkg"}

ALLOWED_OWN = {
    "study": {"study", "trainables", "search_spaces", "reports"},
    "trainables": {"trainables"},
    "search_spaces": {"search_spaces"},
    "reports": {"reports"},
}
FORBIDDEN = {
    "study": FRAMEWORKS,
    "trainables": {"ray", "optuna", "pandas", "matplotlib"},
    "search_spaces": {"ray", *FRAMEWORKS},
    "reports": {"ray", "optuna", *FRAMEWORKS},
}
# The only files that may import what their package may not, or a framework.
EXCEPTIONS = {
    "reports/tables/importance.py": {"optuna"},  # inside a function: reading reports does not load it
    "trainables/tune_trainable.py": {"ray"},
    "trainables/pytorch/backend.py": {"torch"},
    "trainables/pytorch/models.py": {"torch"},
    "trainables/flux/backend.py": {"juliacall"},
    "trainables/flux/runtime.py": {"juliapkg"},
    "trainables/flux/setup.py": {"juliapkg"},
    "trainables/workloads/download.py": {"torchvision"},
}


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """Top-level names of everything imported anywhere in a file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    relative = str(path.relative_to(ROOT))
    package = relative.partition("/")[0]
    names, excepted = imported(path), EXCEPTIONS.get(relative, set())
    own = names & set(PACKAGES)
    assert own <= ALLOWED_OWN[package], f"{relative} imports {own - ALLOWED_OWN[package]}"
    banned = FORBIDDEN[package] | (FRAMEWORKS if package == "trainables" else set())
    assert not (names & banned) - excepted, f"{relative} imports {(names & banned) - excepted}"


def test_the_check_can_fail(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text("def f():\n    import torch.nn\n    from ray.tune import Tuner\n")
    assert imported(file) == {"torch", "ray"}


@pytest.mark.parametrize(
    "module",
    ["study.cli.commands", "study.driver.phases", "study.cli.doctor", "trainables.training", "reports.page.report"],
)
def test_no_framework_is_loaded_by_importing(module: str) -> None:
    code = f"import sys, {module}; print(sorted(set(sys.modules) & {FRAMEWORKS!r}))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_reports_load_neither_ray_nor_optuna() -> None:
    code = "import sys, reports.page.report; print(sorted(set(sys.modules) & {'ray', 'optuna'}))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
