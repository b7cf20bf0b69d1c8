"""A full disk or a closed pipe behind the command's output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from study.plan.files import load_plan
from study.store.folder import create
from study.store.records import Records

MANY_LINES = """
import sys
from pathlib import Path
from study.console import complain
from study.cli.running import out
for number in range(int(sys.argv[2])):
    out.print("line", number)
complain("a complaint")
Path(sys.argv[1]).write_text("came to its end")
"""


def test_a_closed_pipe_ends_nothing(tmp_path: Path) -> None:
    end = tmp_path / "end"
    command = [sys.executable, "-c", MANY_LINES, str(end), "10000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "line 0\n"
        process.stdout.close()
        assert process.stderr.read() == "tuneoff: a complaint\n"
    assert process.returncode == 0
    assert end.read_text() == "came to its end"


def test_a_full_disk_ends_nothing(tmp_path: Path) -> None:
    end = tmp_path / "end"
    with Path("/dev/full").open("w") as full:
        subprocess.run([sys.executable, "-c", MANY_LINES, str(end), "100"], stdout=full, stderr=full, check=False)
    assert end.read_text() == "came to its end"


ANY_LETTERS = """
from study.cli.commands import main
from study.cli import commands, output
import sys
@commands.app.command()
def letters() -> None:
    output.out.print("gr\\u00f6\\u00dfe \\u2026 \\udcff \\u4e2d")
    print("\\u2026")
    output.fail("\\u2026 \\u4e2d \\udcff", 3)
sys.argv = ["tuneoff", "letters"]
main()
"""
CONSOLES = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "cp437": {"PYTHONIOENCODING": "cp437"},
    "utf-8": {"PYTHONIOENCODING": "utf-8"},
    "POSIX": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("console", CONSOLES)
def test_letters_that_the_console_does_not_have_end_nothing(console: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", ANY_LETTERS], env={**os.environ, **CONSOLES[console]}, capture_output=True, check=False
    )
    assert answer.returncode == 3, answer.stderr
    assert b"Traceback" not in answer.stderr
    assert len(answer.stdout.splitlines()) == 2
    assert answer.stderr.startswith(b"tuneoff: ")
    if console == "ascii":
        assert answer.stdout.splitlines()[0] == rb"gr\xf6\xdfe \u2026 \udcff \u4e2d"


@pytest.mark.parametrize("console", ["ascii", "POSIX"])
def test_a_study_with_letters_in_its_name_is_told_and_reported(console: str, tmp_path: Path) -> None:
    plan = load_plan("quickstart", frameworks=["simulated"])
    folder = create(tmp_path / "gr\u00f6\u00dfe", plan)
    Records(folder, say=print).close()
    tuneoff = [sys.executable, "-m", "study"]
    environment = {**os.environ, **CONSOLES[console]}
    for arguments in (["--help"], ["status"], ["report"], ["report", "--verify"]):
        command = [*tuneoff, *arguments] if arguments == ["--help"] else [*tuneoff, *arguments, str(folder.path)]
        answer = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert (answer.returncode, answer.stderr) == (0, b""), arguments
    page = (folder.report / "index.html").read_text(encoding="utf-8")
    assert "gr\u00f6\u00dfe" in page
