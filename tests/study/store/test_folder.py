from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from study.plan.files import load_plan, thaw
from study.store.folder import StudyFolder, create, find
from study.store.lock import is_running, locked
from trainables.common.errors import UserError

PLAN = load_plan("quickstart", frameworks=["simulated"])


def test_an_existing_study_is_not_overwritten(tmp_path: Path) -> None:
    create(tmp_path / "s", PLAN)
    with pytest.raises(UserError, match="is a study already"):
        create(tmp_path / "s", PLAN)
    other = load_plan("quickstart", settings=["seed=5"], frameworks=["simulated"])
    with pytest.raises(UserError, match="belongs to another plan"):
        create(tmp_path / "s", other)
    assert thaw(find(tmp_path / "s").plan) == PLAN


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="not a study"):
        create(tmp_path, PLAN)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_unwritable_folder() -> None:
    with pytest.raises(UserError, match="cannot write"):
        create(Path("/proc/tuneoff/s"), PLAN)


def test_the_study_that_is_meant_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("adam", "quickstart"):
        create(Path("results") / name, PLAN)
    find(Path("results/adam")).log.touch()
    Path("results/adam/report").mkdir(exist_ok=True)
    inside = "is not a study's folder; give the one that it lies in"
    for given, message in {
        "quickstart": "no folder quickstart; did you mean results/quickstart?",
        "results/quikstart": "no folder results/quikstart; did you mean results/quickstart?",
        "results/adam2": "no folder results/adam2; did you mean results/adam?",
        "results/xyz": "no folder results/xyz; `tuneoff launch` makes one, under results/ if not told otherwise",
        "results": "results is not a study's folder; give one of those in it: adam, quickstart",
        "results/adam/report": f"results/adam/report {inside}: results/adam",
        "results/adam/plan.toml": "results/adam/plan.toml is a file; give the study's folder: results/adam",
    }.items():
        with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
            find(Path(given))


def test_not_more_studies_are_named_than_a_line_holds(tmp_path: Path) -> None:
    for number in range(11):
        (tmp_path / f"s{number:02}").mkdir()
        (tmp_path / f"s{number:02}" / "plan.toml").touch()
    with pytest.raises(UserError, match=r"in it: s00, .*, s09, [.]{3}$"):
        find(tmp_path)


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_not_a_study(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError):
        thaw(find(tmp_path / name).plan)


HOLD = """
import sys, time
from pathlib import Path
from study.store.folder import StudyFolder
from study.store.lock import locked
with locked(StudyFolder(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_driver_at_a_time_and_a_dead_one_lets_go(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    assert is_running(folder)
    with pytest.raises(UserError, match=f"is being run by process {other.pid} on "), locked(folder):
        pass
    other.kill()
    other.wait()
    assert not is_running(folder)
    with locked(folder):
        assert is_running(folder)
