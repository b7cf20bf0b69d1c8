"""A study measures the code that is installed, and starts, wherever its user stands and however it was called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.study.test_study import finish, simulated
from trainables import tune_trainable
from trainables.common.house import code_digest, digest, python
from trainables.spec import TrainingSpec
from trainables.workloads.prepared import store_in
from trainables.workloads.workload import find

STRANGER = "raise SystemExit('not ours')\n"


def start(*arguments: str, cwd: Path, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        python("study", *arguments),
        cwd=cwd,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_folder_full_of_our_names_and_under_uv_run(tmp_path: Path) -> None:
    """Another checkout's packages, modules of Python's own, and a parent that looks like ``uv run`` to Ray."""
    for name in ("trainables", "study", "search_spaces", "reports"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(STRANGER)
    for name in ("timeit.py", "random.py", "json.py"):
        (tmp_path / name).write_text(STRANGER)
    (tmp_path / "run").write_text('"$@"\nexit $?\n')
    process = subprocess.Popen(
        ["uv", "run", *python("study", *simulated(2, "race.configurations=0", "confirm.runs=1"))],
        executable="/bin/sh",
        cwd=tmp_path,
        env={**os.environ, "RAY_RUNTIME_ENV_HOOK": "nowhere.at.all"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    finish(process)
    trials = pd.read_parquet(tmp_path / "results" / "s" / "trials.parquet")
    assert (trials["outcome"] == "reached").all()
    assert set(trials["code"]) == {code_digest()}


def test_a_process_that_never_comes_is_told(tmp_path: Path) -> None:
    """Workers that hang before they answer, as behind a hook that gives them another environment."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "sitecustomize.py").write_text(
        "import sys, time\n"
        "if any('default_worker' in each for each in sys.orig_argv):\n"
        "    print('I shall never come', file=sys.stderr, flush=True)\n"
        "    time.sleep(100)\n"
    )
    code = f"import sys, study.cluster.starting as it; it.START_LIMIT_S = 4.0; sys.argv[1:] = {simulated(1)!r}"
    command = [sys.executable, "-c", f"{code}; from study.cli.commands import main; main()"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "lib"), *map(str, sys.path)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said = finish(process, 1)
    assert "Ray has started no process for a trial in" in said
    assert " ends: " in said
    assert "resume" not in said


def test_a_trial_of_other_code_than_the_drivers_is_none(spec: TrainingSpec, tmp_path: Path) -> None:
    workload = find(spec.workload)
    data = store_in(tmp_path / "data", workload, say=print)
    config = {
        tune_trainable.SPEC: spec.as_dict(),
        tune_trainable.FOLDER: str(tmp_path),
        tune_trainable.LEASE: None,
        tune_trainable.CODE: "another",
        tune_trainable.WORKLOAD: str(workload.folder),
        tune_trainable.DATA: str(data),
        tune_trainable.CAP: None,
        tune_trainable.WEIGHTS: None,
        tune_trainable.NO_WEIGHTS: None,
        tune_trainable.EVERY_EVALUATION: False,
    }
    trial = tune_trainable.TrainingTrainable(config)
    with pytest.raises(RuntimeError, match="is not the driver's"):
        trial.step()
    trial = tune_trainable.TrainingTrainable({**config, tune_trainable.CODE: code_digest()})
    assert trial.step()["result"]["code"] == code_digest()


def test_the_digest_knows_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = digest(tmp_path, ".py")
    (tmp_path / "notes.txt").write_text("any")
    assert digest(tmp_path, ".py") == first
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    renamed = digest(tmp_path, ".py")
    (tmp_path / "b.py").write_text("2")
    assert len({first, renamed, digest(tmp_path, ".py")}) == 3
