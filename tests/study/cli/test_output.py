"""How much is printed, and what becomes of results that stdout does not take. No Ray in this file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from study.cli import machine, running
from study.cli.doctor import Finding
from study.driver.phases import report
from study.plan.plan import Plan
from study.store.folder import StudyFolder
from study.volume import Volume, volume
from tests.study.cli.test_commands import TRAIN, call
from tests.study.cli.test_endings import plan, studied
from trainables.simulated.backend import SimulatedRun

__all__ = ["plan"]  # a fixture
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
NO_ROOM = "tuneoff: cannot write to stdout (No space left on device)\n"
TRAINING = [*TRAIN, "--learning-rate", "0.1", "--epochs", "1"]


@pytest.fixture
def finished(plan: Plan, tmp_path: Path) -> StudyFolder:
    """A finished study with its report."""
    folder = studied(tmp_path / "s", plan, failed=0)
    report(folder, say=print)
    return folder


def run(arguments: list[str], *, unbuffered: bool = False, **streams: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1" if unbuffered else ""}
    command = [sys.executable, "-m", "study", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run(command, env=environment, text=True, check=False, **pipes)  # type: ignore[call-overload,no-any-return]


@needs_full
@pytest.mark.parametrize("unbuffered", [False, True])
@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["plan"], ["--show-completion", "bash"], TRAINING, [*TRAINING, "--json"]]
)
def test_a_result_that_is_lost_is_an_error(arguments: list[str], unbuffered: bool) -> None:
    if "--show-completion" in arguments:
        arguments = ["cluster", "local", "quickstart", "--frameworks", "simulated"]
    with FULL.open("w") as full:
        ran = run(arguments, unbuffered=unbuffered, stdout=full)
    assert (ran.returncode, ran.stderr) == (1, NO_ROOM)


@needs_full
def test_what_is_said_of_a_study_and_lost_is_an_error(plan: Plan, finished: StudyFolder, tmp_path: Path) -> None:
    other = studied(tmp_path / "t", plan, failed=0)
    name = str(finished.path)
    for arguments in (
        ["status", name],
        ["status", name, "--json"],
        ["report", name],
        ["report", name, "--verify"],
        ["resume", name],
        ["compare", name, str(other.path), "--out", str(tmp_path / "page.html")],
        ["plan", str(finished.plan)],
    ):
        with FULL.open("w") as full:
            ran = run(arguments, stdout=full)
        assert (ran.returncode, ran.stderr) == (1, NO_ROOM), arguments


@needs_full
def test_an_error_keeps_its_exit_code_where_stderr_is_full() -> None:
    with FULL.open("w") as full:
        assert run(["plan", "nope"], stderr=full).returncode == 2
        assert run(["plan", "nope"], stdout=full, stderr=full).returncode == 2


def test_a_closed_stdout_is_told_before_anything_begins(tmp_path: Path) -> None:
    command = f"{sys.executable} -m study launch quickstart --frameworks simulated --out {tmp_path}/r >&-"
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert "stdout is closed" in ran.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["plan", "quickstart", "--frameworks", "simulated"], [*TRAINING, "--json"]])
def test_a_reader_that_has_gone_is_no_error(arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    ran = run(arguments, stdout=write)
    os.close(write)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_quiet_leaves_the_result(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    loud = call([*TRAINING, "--epochs", "2"], capsys, monkeypatch)[1]
    for arguments in ([*TRAINING, "--epochs", "2", "-q"], ["--quiet", *TRAINING, "--epochs", "2"]):
        code, out, err = call(arguments, capsys, monkeypatch)
        assert (code, err) == (0, "")
        assert "epoch   1" not in out
        assert "Warm time to accuracy" in out
    assert "epoch   1" in loud


def test_quiet_leaves_verdict_and_report_of_a_study(
    finished: StudyFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = str(finished.path)
    assert "finished: nothing to run" in call(["resume", name], capsys, monkeypatch)[1]
    assert call(["resume", name, "-q"], capsys, monkeypatch) == (0, "", "")
    code, out, _ = call(["report", name, "-q"], capsys, monkeypatch)
    assert code == 0
    assert out.endswith(f"report: {finished.report / 'index.html'}\n")
    assert call(["status", name, "-q"], capsys, monkeypatch)[1] == call(["status", name], capsys, monkeypatch)[1]


def test_a_quiet_doctor_tells_what_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Finding("disk", "ok", "9 GiB"), Finding("load", "problem", "busy", "wait")]
    monkeypatch.setattr("study.cli.doctor.examine", lambda **_: found)
    assert "disk" in call(["doctor"], capsys, monkeypatch)[1]
    out = call(["doctor", "-q"], capsys, monkeypatch)[1]
    assert out.startswith("PROBLEM  load: busy\n")
    assert "disk" not in out
    assert machine.volume is volume


def test_a_quiet_recipe_has_no_note(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = ["cluster", "local", "quickstart", "--frameworks", "simulated"]
    loud, quiet = (call([*recipe, *more], capsys, monkeypatch) for more in ([], ["-q"]))
    assert loud[:2] == quiet[:2]
    assert (loud[2].count("\n"), quiet[2]) == (1, "")


def test_verbose_tells_where_an_error_comes_from_with_its_causes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        try:
            raise KeyError("the cause")
        except KeyError:
            raise RuntimeError("what came of it") from None

    monkeypatch.setattr(SimulatedRun, "train", fails)
    code, _, err = call([*TRAINING, "-v"], capsys, monkeypatch)
    assert code == 1
    assert "Traceback (most recent call last):" in err
    assert "KeyError: 'the cause'" in err
    assert err.endswith("\ntuneoff: Simulated failed: RuntimeError: what came of it\n")
    assert call(TRAINING, capsys, monkeypatch)[2].count("\n") == 1
    for arguments in (["status", "nowhere", "--verbose"], ["-v", "plan", "nope"], ["-v", "launch", "--nope"]):
        code, _, err = call(arguments, capsys, monkeypatch)
        assert code == 2
        assert "Traceback" in err
        assert err.splitlines()[-1].startswith("tuneoff: ")


@pytest.mark.parametrize("arguments", [["-q", "-v", "plan"], ["plan", "-q", "-v"], ["-q", "plan", "--verbose"]])
def test_both_at_once_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = call(arguments, capsys, monkeypatch)
    assert (code, out) == (2, "")
    assert err.endswith("tuneoff: --quiet and --verbose contradict one another; give one of them\n")


def test_one_command_is_not_as_loud_as_the_one_before(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    call(["plan", "-q"], capsys, monkeypatch)
    assert call(["plan"], capsys, monkeypatch)[0] == 0
    assert volume == Volume()
    assert not running.out.quiet
