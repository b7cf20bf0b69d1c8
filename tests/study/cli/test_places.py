"""A URL where a path belongs, and a study that brings its data along. No Ray in this file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from study.cli import commands as cli
from study.cli.running import prepare_data
from study.plan.files import load_plan
from study.plan.plan import Plan
from study.store.folder import StudyFolder, clear, create
from trainables.common.errors import UserError
from trainables.workloads import prepared
from trainables.workloads.prepared import store_in
from trainables.workloads.workload import find

SWEEP = ["sweep", "digits-lenet", "--over", "num_workers=0,1"]
TRAIN = [
    "train",
    "--framework",
    "simulated",
    "--workload",
    "digits-lenet",
    "--batch-size",
    "8",
    "--learning-rate",
    "0.1",
]


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "argv", ["tuneoff", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capsys.readouterr()
    assert stopped.value.code == 2
    assert out == ""
    return err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["launch", "quickstart", "--out", "s3://bucket/x"], "--out s3://bucket/x"),
        (["launch", "quickstart", "--out", "S3://UPPER"], "--out S3://UPPER"),
        (["launch", "quickstart", "--data-dir", "gs://bucket"], "--data-dir gs://bucket"),
        (["launch", "quickstart", "--name", "s3://bucket/x"], "--name s3://bucket/x"),
        (["launch", "s3://bucket/plan.toml"], "PLAN s3://bucket/plan.toml"),
        ([*SWEEP, "--out", "hdfs://n/x"], "--out hdfs://n/x"),
        ([*SWEEP, "--name", "hdfs://n/x"], "--name hdfs://n/x"),
        ([*TRAIN, "--data-dir", "http://h/x"], "--data-dir http://h/x"),
        (["verify", "--data-dir", "http://h/x"], "--data-dir http://h/x"),
        (["doctor", "--data-dir", "abfs://h/x"], "--data-dir abfs://h/x"),
        (["resume", "hdfs://n:9000/x"], "DIR hdfs://n:9000/x"),
        (["confirm", "s3a://b/x"], "DIR s3a://b/x"),
        (["status", "http://h/x"], "DIR http://h/x"),
        (["report", "s3://b/x", "--verify"], "DIR s3://b/x"),
        (["compare", "here", "s3://b/x"], "DIR s3://b/x"),
        (["cluster", "slurm", "quickstart", "--out", "s3://b/x"], "--out s3://b/x"),
        (["cluster", "kubernetes", "quickstart", "--out", "s3://b/x"], "--out s3://b/x"),
        (["cluster", "local", "quickstart", "--out", "gs://b/x"], "--out gs://b/x"),
        (["cluster", "local", "quickstart", "--data-dir", "gs://b/x"], "--data-dir gs://b/x"),
        (["compare", "here", "there", "--out", "s3://b/x"], "--out s3://b/x"),
    ],
)
def test_a_url_is_refused_wherever_a_path_belongs(
    arguments: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    err = refusal(arguments, capsys, monkeypatch)
    assert err.startswith(f"tuneoff: {told} is a URL, and ")
    assert "give a path, on a cluster one on storage that all nodes share" in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("variable", ["TUNEOFF_CACHE", "XDG_CACHE_HOME"])
def test_a_cache_is_no_url(
    variable: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNEOFF_CACHE")
    monkeypatch.setenv(variable, "s3://bucket/cache")
    assert f"{variable} s3://bucket/cache is a URL" in refusal([*TRAIN], capsys, monkeypatch)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def plan() -> Plan:
    return load_plan("quickstart", frameworks=["simulated"])


@pytest.mark.parametrize("name", ["a:b", "s3:", "2026-11-25T21:00:00"])
def test_a_folder_may_have_a_colon_and_be_a_file_url(
    name: str, plan: Plan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    create(tmp_path / name / "x", plan)
    monkeypatch.chdir(tmp_path)
    for given in (f"{name}/x", f"file://{tmp_path}/{name}/x"):
        monkeypatch.setattr(sys, "argv", ["tuneoff", "status", given])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == 0
        assert "x (digits-lenet): stopped" in capsys.readouterr().out


def test_a_plan_may_be_a_file_url(plan: Plan, tmp_path: Path) -> None:
    folder = create(tmp_path / "a b", plan)
    assert load_plan(f"file://{tmp_path}/a%20b/{folder.plan.name}", frameworks=["simulated"]) == plan
    with pytest.raises(UserError, match=r"unknown plan 'file:///nowhere\.toml', and no such file"):
        load_plan("file:///nowhere.toml")


def test_a_study_that_has_its_data_set_asks_for_no_other(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, workload = create(tmp_path / "s", plan), find("digits-lenet")
    asked: list[object] = []
    monkeypatch.setattr(prepared, "prepare", lambda workload, *, data_dir, **_: asked.append(data_dir))
    prepare_data(workload, None, folder)
    monkeypatch.undo()
    store_in(folder.data, find("digits-lenet"), say=print)
    monkeypatch.setattr(prepared, "prepare", lambda workload, *, data_dir, **_: asked.append(data_dir))
    prepare_data(workload, None, folder)
    assert asked == [None]
    prepare_data(workload, tmp_path, folder)  # what the user gives is looked at
    assert asked == [None, tmp_path]


def test_what_never_began_leaves_no_data_behind(plan: Plan, tmp_path: Path) -> None:
    folder: StudyFolder = create(tmp_path / "s", plan)
    store_in(folder.data, find("digits-lenet"), say=print)
    clear(folder)
    assert os.listdir(folder.path) == []  # noqa: PTH208
