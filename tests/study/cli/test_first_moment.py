"""Something moves before anything heavy is imported: what a command has loaded by then, each in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Each takes a tenth of a second to several; Ray, torch and matplotlib together are the seconds that people wait for.
HEAVY = (
    "juliacall", "lifelines", "matplotlib", "optuna", "pandas", "pyarrow", "ray", "scipy", "sklearn",
    "tomli_w", "torch", "torchvision",
)  # fmt: skip
LOOK = f"""
import json, os, sys
from study import console
def look(*_):
    print(json.dumps(sorted(set(sys.modules) & set({HEAVY!r}))), flush=True)
    os._exit(0)
console.Screen.moving = look
from study.cli.commands import main
sys.argv[0] = "tuneoff"
main()
"""
KNOBS = ["--learning-rate", "0.1", "--batch-size", "32"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["launch", "quickstart"],
        ["sweep", "digits-lenet", "--over", "batch_size=32,64"],
        ["resume", "."],
        ["confirm", "."],
        ["verify"],
        ["train", "--framework", "pytorch", "--workload", "digits-lenet", *KNOBS],
        ["report", "."],
        ["compare", ".", "."],
        ["doctor"],
    ],
    ids=lambda each: each[0],
)
def test_nothing_heavy_is_loaded_when_something_moves(arguments: list[str], tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", LOOK, *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stderr) == (0, "")
    assert json.loads(answer.stdout) == []
