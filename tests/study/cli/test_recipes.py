"""``tuneoff cluster``: a file on stdout and nothing else there; bad input is one line and exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.study.cli.test_commands import call

QUICK = ["quickstart", "--frameworks", "simulated"]
SHARED = [*QUICK, "--out", "/shared/results"]
POD = [*SHARED, "--image", "tuneoff:1", "--claim", "studies"]


def test_a_file_goes_to_stdout_and_a_note_to_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(["cluster", "slurm", *SHARED, "--name", "étude"], capsys, monkeypatch)
    assert code == 0
    assert out.startswith("#!/bin/bash\n#")
    assert out.endswith('exit "$code"\n')
    assert "--name 'étude'" in out
    note = f"every node needs {sys.prefix} and /shared/results; sbatch it, and again to go on"
    assert err == f"tuneoff: {note}\n"
    code, out, err = call(["cluster", "kubernetes", *POD], capsys, monkeypatch)
    assert (code, len(list(yaml.safe_load_all(out)))) == (0, 2)
    assert err.count("\n") == 1
    code, out, err = call(["cluster", "local", *QUICK, "--cpus", "4096"], capsys, monkeypatch)
    assert code == 0
    assert f"study={tmp_path}/results/quickstart\n" in out
    assert "2 nodes of 4096 CPUs share this machine's" in err
    assert list(tmp_path.iterdir()) == []


def test_a_plan_file_is_named_by_its_whole_path(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text('workload = "digits-lenet"\nframeworks = ["simulated"]\n')
    out = call(["cluster", "slurm", "mine.toml", "--out", "/shared"], capsys, monkeypatch)[1]
    assert f"launch {tmp_path}/mine.toml --name mine --out /shared)" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["slrm"], "unknown command 'slrm'; did you mean 'slurm'? valid: slurm, kubernetes, local"),
        (["kubernets"], "did you mean 'kubernetes'?"),
        (["lokal"], "did you mean 'local'?"),
        ([], "name a command: slurm, kubernetes, local"),
        (["slurm", *SHARED, "--nodes", "0"], "--nodes is 0; it must be "),
        (["kubernetes", *POD, "--nodes", "-1"], "--nodes is -1; it must be "),
        (["local", *QUICK, "--nodes", "0"], "--nodes is 0; it must be "),
        (["slurm", *SHARED, "--cpus", "0"], "--cpus is 0; it must be "),
        (["kubernetes", *POD, "--gpus", "-1"], "--gpus is -1; it must be "),
        (["slurm", *QUICK], "--out is missing"),
        (["slurm", *QUICK, "--out", "results"], "--out results is relative; nodes share a folder by its whole path"),
        (["kubernetes", *POD, "--out", "./results"], "--out results is relative"),
        (["slurm", *QUICK, "--out", "s3://bucket/x"], "--out s3://bucket/x"),
        (["local", *QUICK, "--out", "s3://bucket/x"], "--out s3://bucket/x"),
        (["slurm", *SHARED, "--data-dir", "https://host/x"], "--data-dir https://host/x"),
        (["kubernetes", *POD, "--out", "/a:b"], "--out /a:b has a colon"),
        (["kubernetes", *SHARED, "--claim", "c"], "--image is missing"),
        (["local", *QUICK, "--partition", "x"], "unknown option --partition"),
        (
            ["slurm", "quikstart", "--out", "/x"],
            "unknown plan 'quikstart', and no such file or folder; did you mean 'quickstart'?",
        ),
        (["slurm", *SHARED, "--set", "slice.gpus=1"], "slice.gpus is 1, but the nodes have 0 each"),
        (["local", *QUICK, "--set", "slice.cpus=2"], "slice.cpus is 2, but --cpus 1: no node could hold a trial"),
        (["slurm", *SHARED, "--time", "soon"], "--time soon: write minutes or [days-]hours:minutes:seconds"),
        (["slurm", *SHARED, "--env", "=x"], "--env =x: write NAME=VALUE"),
        (["slurm", *SHARED, "--account", "a b"], "--account 'a b' is no name that Slurm has"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = call(["cluster", *arguments], capsys, monkeypatch)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_locale_without_the_letters_changes_nothing_in_the_file() -> None:
    command = [sys.executable, "-m", "study", "cluster", "local", *QUICK, "--name", "étude", "--out", "/tmp/x"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    out = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    assert "study='/tmp/x/étude'\n" in out.decode()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "study", "cluster", "local", *QUICK]
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr == "tuneoff: cannot write to stdout (No space left on device)\n"
