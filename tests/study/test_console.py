"""A full disk or a closed pipe behind the command's output."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
