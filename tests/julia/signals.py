"""``python -m tests.julia.signals``: Ctrl-C and SIGTERM at every stage of a training, and a table of how it ended.

What is expected each time: exit code 130, 143 or 129, one line on stderr, no child, no temporary file.
"""

from __future__ import annotations

import argparse
import getpass
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from uuid import uuid4

import psutil
from rich.console import Console
from rich.table import Table

from tests.julia.staged import STAGES

LIMIT_S = 60.0  # after a signal: then it hangs
START_S = 300.0  # for a stage to come
# A signal comes within so many seconds of a stage's beginning; how long the stages of a small training last at least.
SPANS_S = {"starting": 3.0, "compiling": 0.5, "training": 0.3, "evaluating": 0.01, "saving": 0.005}
COMMANDS = {  # a signal comes within so many seconds of their start
    "doctor": (["doctor"], 6.0),
    "verify": (["verify", "--workload", "digits-lenet"], 20.0),
    "setup-julia": (["setup-julia", "--again"], 10.0),
    "launch": (["launch", "quickstart", "--frameworks", "flux", "--set", "training.target=0.9999"], 80.0),
}
KNOBS = ("--workload=digits-lenet", "--learning-rate=0.01", "--batch-size=32", "--num-workers=1", "--epochs=10000")
SIGNALS = {"Ctrl-C": [signal.SIGINT], "SIGTERM": [signal.SIGTERM], "SIGHUP": [signal.SIGHUP]}
SIGNALS["Ctrl-C twice"] = [signal.SIGINT] * 2
SIGNALS["Ctrl-C, SIGTERM"] = [signal.SIGINT, signal.SIGTERM]
# In the temporary folder afterwards, however it ends: marks of checked data sets, PyTorch's cache, Ray's logs.
STAYING = (("ray",), (f"tuneoff-{os.getuid()}",), (f"torchinductor_{getpass.getuser()}",))
_shares: dict[tuple[str, str], float] = {}  # of those seconds, where that turned out to be too late
_TAG = "TUNEOFF_SIGNALS_TRY"


@dataclass(frozen=True)
class Cell:
    """What is tried."""

    what: str  # a framework, or a command
    stage: str
    signals: str
    threads: int


@dataclass(frozen=True)
class Ending:
    """How one try ended."""

    code: int | None  # None: it hung
    seconds: float
    said: str
    left: tuple[str, ...]

    def problem(self, cell: Cell) -> str | None:
        """What is wrong with it."""
        wanted = 128 + SIGNALS[cell.signals][0]
        if self.code is None:
            return f"hung for {LIMIT_S:.0f} s"
        if self.code != wanted:
            return f"exit code {self.code} (it said {self.said[-300:]!r})"
        lines = self.said.strip().splitlines()
        # A study answers at once, and tells at the end how to go on.
        if len(lines) not in ((1, 2) if cell.what == "launch" else (1,)) or not lines[0].startswith("tuneoff: "):
            return f"said {self.said[:2000]!r}"
        return f"left {', '.join(self.left)}" if self.left else None


def attempt(cell: Cell, chooser: random.Random) -> Ending:
    """One process, one signal (or two)."""
    kind = (cell.what, cell.stage)
    while (ending := _attempt(cell, chooser, _shares.setdefault(kind, 1.0))) is None:  # it was over, or the stage was
        _shares[kind] /= 2
    return ending


def _attempt(cell: Cell, chooser: random.Random, share: float) -> Ending | None:
    with tempfile.TemporaryDirectory(prefix="tuneoff-signals-") as name:
        folder, tag = Path(name), uuid4().hex
        (folder / "tmp").mkdir()
        environment = {**os.environ, "TMPDIR": str(folder / "tmp"), _TAG: tag}
        command, moment = _command(cell, folder, chooser.uniform(0.0, share))
        with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
            process = subprocess.Popen(
                command, env=environment, stdout=out, stderr=err, stdin=subprocess.DEVNULL, start_new_session=True
            )
        try:
            if not moment(process):
                return None
            began = time.monotonic()
            for number in SIGNALS[cell.signals]:
                # As a terminal does, to the whole foreground group; others send it to the process.
                (os.killpg if number != signal.SIGTERM else os.kill)(process.pid, number)
                time.sleep(chooser.uniform(0.0, 0.2))
            code = _code(process, LIMIT_S)
            seconds = time.monotonic() - began
            left = () if code is None else (*_processes(tag), *_files(folder))
            return Ending(code, seconds, (folder / "err").read_text(errors="replace"), left)
        finally:
            for each in _tagged(tag):
                each.kill()
            process.wait()


def _command(cell: Cell, folder: Path, share: float) -> tuple[Sequence[str], Callable[[subprocess.Popen[bytes]], bool]]:
    """What is run, and what waits for the moment of the signal; false where that has passed."""
    if cell.what in COMMANDS:
        arguments, span_s = COMMANDS[cell.what]
        return [
            sys.executable,
            "-m",
            "study",
            *arguments,
            *_out(cell, folder),
        ], lambda process: _code(process, 0.5 + share * span_s) is None
    stages = folder / "stages"
    stages.touch()
    command = [sys.executable, "-m", "tests.julia.staged", str(stages), str(folder / "checkpoints"), "train"]
    delay_s = share * SPANS_S[cell.stage]
    return [*command, "--framework", cell.what, f"--threads={cell.threads}", *KNOBS], lambda process: _reach(
        process, stages, cell.stage, delay_s
    )


def _out(cell: Cell, folder: Path) -> list[str]:
    return ["--out", str(folder)] if cell.what == "launch" else []


def _reach(process: subprocess.Popen[bytes], stages: Path, stage: str, delay_s: float) -> bool:
    """Wait until a training is in this stage, and for a moment more if it is still there then."""
    deadline, waited = time.monotonic() + START_S, False
    while time.monotonic() < deadline:
        told = stages.read_text().split()
        if told and told[-1] == stage:
            if waited:
                return True
            time.sleep(delay_s)
            waited = True
        elif process.poll():
            raise AssertionError((stages.parent / "err").read_text()[-2000:])
        elif process.poll() is not None or (stage in STAGES[:2] and stage in told):
            return False
        elif stage not in told:
            time.sleep(0.005)
    raise AssertionError(f"{stage} did not come in {START_S:.0f} s")


def _code(process: subprocess.Popen[bytes], timeout_s: float) -> int | None:
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None


def _tagged(tag: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(_TAG) == tag and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except psutil.Error:
            continue


def _processes(tag: str) -> Iterator[str]:
    """Those that are still there after a moment: a killed one needs it."""
    deadline = time.monotonic() + 2.0
    while (found := list(_tagged(tag))) and time.monotonic() < deadline:
        time.sleep(0.1)
    for each in found:
        try:
            yield f"the process {' '.join(each.cmdline())[:200]}"
        except psutil.Error:
            continue


def _files(folder: Path) -> Iterator[str]:
    for path in (*(folder / "tmp").rglob("*"), *folder.rglob("*.tmp")):
        below = path.relative_to(folder)
        if below.parts[1:2] not in STAYING:
            yield f"the file {below}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.julia.signals", description=__doc__)
    parser.add_argument("--times", type=int, default=50, help="tries of each kind")
    parser.add_argument("--what", default="flux", help=f"flux, pytorch, {', '.join(COMMANDS)}; comma-separated")
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--signals", default="Ctrl-C;SIGTERM", help=f"of {'; '.join(SIGNALS)}")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chooser = random.Random(arguments.seed)
    for sequence in SIGNALS.values():
        for number in sequence:  # a shell has what it runs in its background ignore some, and their children, too
            signal.signal(number, signal.SIG_DFL)
    cells = []
    for what in arguments.what.split(","):
        stages = ["any"] if what in COMMANDS else arguments.stages.split(",")
        threads = [0] if what in COMMANDS else [int(each) for each in arguments.threads.split(",")]
        cells += [Cell(what, *rest) for rest in product(stages, arguments.signals.split(";"), threads)]
    endings: dict[Cell, list[Ending]] = {cell: [] for cell in cells}
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for _ in range(arguments.times):
        for cell in cells:
            ending = attempt(cell, chooser)
            endings[cell].append(ending)
            told = f"{cell.what}, {cell.stage}, {cell.signals}, {cell.threads} threads, {ending.seconds:.1f} s"
            console.print(f"{told}: {ending.problem(cell) or 'as it should'}")
    console.print(_table(endings))
    return int(any(ending.problem(cell) for cell, found in endings.items() for ending in found))


def _table(endings: dict[Cell, list[Ending]]) -> Table:
    table = Table(title="signals")
    for column in ("what", "stage", "signal", "threads", "as it should", "exit codes", "longest"):
        table.add_column(column)
    for cell, found in endings.items():
        right = sum(ending.problem(cell) is None for ending in found)
        codes = Counter("hung" if ending.code is None else str(ending.code) for ending in found)
        table.add_row(
            *(cell.what, cell.stage, cell.signals, str(cell.threads or "")),
            f"{right} of {len(found)}",
            ", ".join(f"{code}: {times}" for code, times in codes.items()),
            f"{max(ending.seconds for ending in found):.1f} s",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
