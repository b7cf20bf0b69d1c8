"""The `tuneoff` command finds its own modules, whatever lies where the user stands or on PYTHONPATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trainables.common.house import HOUSE, PACKAGES

STRANGER = "raise SystemExit('not ours')\n"
FOLDERS = ("study", "trainables", "reports", "julia")
FILES = ("json.py", "timeit.py", "random.py", "re.py")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a wheel puts into site-packages."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(HOUSE / "study" / "entry", folder / "tuneoff")
    for package in PACKAGES:
        shutil.copytree(HOUSE / package, folder / "tuneoff" / "house" / package)
    return folder


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    """A user's folder that holds what we and Python call our own."""
    for name in FOLDERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(STRANGER)
    for name in FILES:
        (tmp_path / name).write_text(STRANGER)
    return tmp_path


def run(site: Path, code: str, *arguments: str, cwd: Path, python_path: str = "") -> subprocess.CompletedProcess[str]:
    """A process as the installed script starts it: its own folder first on ``sys.path``, not the user's."""
    checkout = str(HOUSE)  # installed editable for these tests, which a wheel is not
    code = f"import sys; sys.path[:] = [{str(site)!r}, *(each for each in sys.path if each != {checkout!r})]; {code}"
    environment = {**os.environ, "PYTHONPATH": python_path} if python_path else {**os.environ}
    command = [sys.executable, "-P", "-c", code, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


MAIN = "from tuneoff import main; main()"


@pytest.mark.parametrize("python_path", ["", ":", ".", ":/nowhere", "reports/.."])
def test_nothing_is_taken_from_where_the_user_stands(site: Path, strangers: Path, python_path: str) -> None:
    (strangers / "re.py").unlink()  # Python's own start needs it before any code of ours runs
    answer = run(site, MAIN, "--help", cwd=strangers, python_path=python_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "launch" in answer.stdout


@pytest.mark.parametrize("name", FOLDERS)
def test_a_package_of_our_names_on_the_python_path(site: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "lib" / name).mkdir(parents=True)
    (tmp_path / "lib" / name / "__init__.py").write_text(STRANGER)
    answer = run(site, MAIN, "--help", cwd=tmp_path, python_path=str(tmp_path / "lib"))
    assert (answer.returncode, answer.stderr) == (0, "")


def test_python_m_tuneoff(site: Path, strangers: Path) -> None:
    (strangers / "re.py").unlink()  # as above
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "tuneoff", "--help"]
    answer = subprocess.run(command, cwd=strangers, env=environment, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_a_stranger_that_is_loaded_already_is_named(site: Path, tmp_path: Path) -> None:
    (tmp_path / "lib" / "reports").mkdir(parents=True)
    (tmp_path / "lib" / "reports" / "__init__.py").touch()
    code = f"sys.path.insert(0, {str(tmp_path / 'lib')!r}); import reports; {MAIN}"
    answer = run(site, code, "--help", cwd=tmp_path)
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert f"'reports' is {tmp_path / 'lib' / 'reports'}" in answer.stderr


def test_load_reads_with_our_reports(site: Path, tmp_path: Path) -> None:
    answer = run(site, "import tuneoff; tuneoff.load('nowhere')", cwd=tmp_path)
    assert "no folder nowhere" in answer.stderr  # reports.load's own message
    (tmp_path / "reports.py").touch()
    code = f"sys.path.insert(0, {str(tmp_path)!r}); import tuneoff; tuneoff.load('nowhere')"
    assert "not tuneoff's own" in run(site, code, cwd=tmp_path).stderr


def test_an_installation_without_its_house_is_told(site: Path, tmp_path: Path) -> None:
    shutil.copytree(site / "tuneoff", tmp_path / "tuneoff", ignore=shutil.ignore_patterns("house"))
    code = "import importlib.metadata as m; m.distribution = lambda name: (_ for _ in ()).throw(m.PackageNotFoundError)"
    answer = run(tmp_path, f"{code}; {MAIN}", cwd=tmp_path)
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert "install tuneoff again" in answer.stderr
