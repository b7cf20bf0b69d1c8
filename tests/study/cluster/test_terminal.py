"""What a cluster leaves behind on the terminal."""

from __future__ import annotations

import subprocess
import sys

ENDING = """
import atexit, sys, types
from study.cluster import connection
colours = types.ModuleType("colorama.initialise")
colours.reset_all = lambda: print("control characters")
sys.modules["colorama.initialise"] = colours
atexit.register(colours.reset_all)
if sys.argv[1:]:
    connection._leave_terminal_alone()
"""


def test_no_control_characters_at_the_end() -> None:
    for muted in ([], ["muted"]):
        command = [sys.executable, "-c", ENDING, *muted]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        assert ("control characters" in answer.stdout) == (not muted)
