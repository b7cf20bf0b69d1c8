"""Ctrl-C at every step of a command that runs a study: answered at once, with what stopping means there."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

import pytest

from study.cli import commands
from study.plan.files import load_plan
from study.store.folder import create
from tests.study.cli.test_endings import studied


def ctrl_c(*_: object, **__: object) -> NoReturn:
    """In the middle of something that takes its time."""
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10.0)
    raise AssertionError("not interrupted")


def stopped(arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a command says that is stopped by Ctrl-C."""
    codes: list[int] = []

    def leave(code: int) -> NoReturn:
        codes.append(code)
        raise SystemExit(code)

    monkeypatch.setattr("study.cli.working.leave_at_once", leave)
    monkeypatch.setattr(sys, "argv", ["tuneoff", *arguments])
    with pytest.raises(SystemExit):
        commands.main()
    assert codes == [130]
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("where", "means"),
    [("study.plan.files.load_plan", ""), ("study.cli.running.prepare_data", " (no trial has begun)")],
)
def test_before_there_is_a_study(
    where: str, means: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, ctrl_c)
    arguments = ["launch", "quickstart", "--frameworks", "simulated", "--out", str(tmp_path)]
    assert stopped(arguments, capsys, monkeypatch) == [
        f"tuneoff: Ctrl-C: stopping{means}; Ctrl-C again ends at once",
        "tuneoff: Ctrl-C: stopped",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["study.store.manifest.plan_of", "study.cli.running.prepare_data"])
@pytest.mark.parametrize("command", ["resume", "confirm"])
def test_before_a_study_goes_on(
    where: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = create(tmp_path / "s", load_plan("quickstart", frameworks=["simulated"]))
    monkeypatch.setattr(where, ctrl_c)
    assert stopped([command, str(folder.path)], capsys, monkeypatch) == [
        "tuneoff: Ctrl-C: stopping (the study is safe); Ctrl-C again ends at once",
        f"tuneoff: Ctrl-C; the study is safe. Go on with: tuneoff resume {folder.path}",
    ]


def test_while_the_report_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ["search.trials=3", "confirm.runs=0", "search.sampler=random"]
    folder = studied(tmp_path / "s", load_plan("quickstart", settings=settings, frameworks=["simulated"]), failed=0)
    monkeypatch.setattr("study.driver.phases.report", ctrl_c)
    assert stopped(["resume", str(folder.path)], capsys, monkeypatch) == [
        "tuneoff: Ctrl-C: stopping (the records are safe, the report is not written); Ctrl-C again ends at once",
        f"tuneoff: Ctrl-C; the records are safe. Write the report with: tuneoff report {folder.path}",
    ]
