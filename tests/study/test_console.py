"""A full disk or a closed pipe behind the command's output."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from study import console
from study.console import Screen, SteadyConsole, can_move, complain, folded
from study.plan.files import load_plan
from study.store.folder import create
from study.store.records import Records
from tests.study.terminal import CONTROL, Tty, able, lines, screen

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


@pytest.mark.parametrize("console", ["ascii", pytest.param("POSIX", marks=pytest.mark.long)])
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


@pytest.mark.parametrize(
    ("terminal", "environment", "moves"),
    [
        (True, {}, True),
        (False, {}, False),
        (False, {"FORCE_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"TERM": ""}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"CI": "true"}, False),
    ],
)
def test_where_lines_can_move(
    terminal: bool, environment: dict[str, str], moves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    able(monkeypatch, **environment)
    written = Tty() if terminal else io.StringIO()
    assert can_move(written) == moves
    shown = Screen(SteadyConsole(file=written, width=60, soft_wrap=True, markup=False))
    with shown.moving("starting Ray"):
        shown.say("a line, and a long one at that, so that it has to be folded where there is a terminal")
        assert shown.moves == moves
    assert bool(CONTROL.search(written.getvalue())) == moves
    assert ("starting Ray" in written.getvalue()) == moves


def test_a_closed_stream_does_not_move() -> None:
    closed = io.StringIO()
    closed.close()
    assert not can_move(closed)


@pytest.mark.parametrize("width", [40, 60, 80])
def test_lines_break_between_words_and_never_inside_a_command(width: int) -> None:
    path = "/a/very/long/path/to/the/results/of/this/study/quickstart"
    for command in (f"`tuneoff resume {path} --retry-failed`", f"with: tuneoff resume {path}"):
        text = f"2 of 8 trials failed with: RuntimeError: something long is wrong. Mend that, then go on {command}"
        lines = folded(text, width).split("\n")
        assert " ".join(lines) == text
        assert any(command.removeprefix("with: ") in line for line in lines)
        assert all(len(line) <= width for line in lines if "/a/very" not in line)
    assert folded("a\n\nb", width) == "a\n\nb"


def test_a_complaint_ends_what_moves(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    able(monkeypatch)
    shown, written = screen(80)
    with shown.moving("starting Ray"):
        complain("it did not start")
        assert not shown.moves
        shown.say("after it")
    assert capsys.readouterr().err == "tuneoff: it did not start\n"
    assert lines(written.getvalue())[-1] == "after it"
    assert written.getvalue().count("\x1b[?25h") == 1  # the cursor is seen again


def test_a_complaint_comes_though_the_terminal_is_held(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    able(monkeypatch)
    monkeypatch.setattr("study.console._END_S", 0.05)
    shown, _ = screen(80)
    with shown.moving("starting Ray"):
        held = threading.Thread(target=complain, args=("at once",))
        with shown._lock:
            held.start()
            held.join(5.0)
            assert not held.is_alive()
    assert capsys.readouterr().err == "tuneoff: at once\n"


def test_a_fork_takes_neither_the_terminal_nor_its_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    able(monkeypatch)
    shown, _ = screen(80)
    with shown.moving("training"):
        child = os.fork()
        if child == 0:  # pragma: no cover
            alone = not console._moving and console._writing.acquire(blocking=False)
            os._exit(0 if alone and not hasattr(sys.stdout, "rich_proxied_file") else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert shown.moves
