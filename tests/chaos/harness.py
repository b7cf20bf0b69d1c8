"""Real studies, one fault after the other at random moments from a seeded plan, resumed until they are done."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from study.store.patience import RETRY_S
from tests.chaos.driver import Driver
from tests.chaos.faults import AWAY_S, FAULTS, Scene
from tests.chaos.promise import Tally, check

# What makes a trial long enough to be hit: no configuration reaches the target, so all run to their limits.
SETTINGS = (
    "search.trials=5",
    "race.configurations=0",
    "confirm.runs=0",
    "search.sampler=random",
    "training.target=0.9999",
    "search.max_failures=9",
)
FRAMEWORKS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    # A real framework, with a loader process each; about four seconds of training per trial.
    "pytorch": (("training.limit_s=3", "space.all.num_workers={low=1,high=1}"), {}),
    "flux": (("training.limit_s=3", "space.all.num_workers={low=1,high=1}"), {}),
    # A virtual clock, slowed down to about as long.
    "simulated": (("training.epochs=20",), {"TUNEOFF_SIMULATED_SPEED": "4"}),
}
# A fault comes within so many seconds of a trial's being under way; one in five of them at a moment after the start.
MOMENT_S, EARLY = 4.0, 0.2
PER_STUDY = 5  # faults
AWAY = {"disk_full", "storage_away"}
BEHIND = AWAY | {"checkpoint_damaged"}  # without these every checkpoint that was due is there


@dataclass
class Outcome:
    """One study."""

    framework: str
    seed: int
    faults: list[str] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0


def deal(count: int, *, seed: int) -> list[str]:
    """Names of faults, every kind as often as another, in random order."""
    chooser, names = random.Random(seed), []
    while len(names) < count:
        block = sorted(FAULTS)
        chooser.shuffle(block)
        names += block
    return names[:count]


def run(faults: Sequence[str], *, seed: int, frameworks: Sequence[str], into: Path) -> Iterator[Outcome]:
    """Studies until all faults have been injected; each is finished and checked.

    Raises
    ------
    AssertionError
        When a study breaks its promise; its folder is left for a look.
    """
    chooser = random.Random(seed)
    left = list(faults)
    number = 0
    while left:
        where = into / f"study-{number:03d}"
        where.mkdir()
        yield _study(left, chooser, framework=frameworks[number % len(frameworks)], where=where, seed=number)
        number += 1


def _study(left: list[str], chooser: random.Random, *, framework: str, where: Path, seed: int) -> Outcome:
    """One study; takes the faults that hit it off ``left``."""
    settings, environment = FRAMEWORKS[framework]
    changes = [part for setting in (*SETTINGS, f"seed={seed}", *settings) for part in ("--set", setting)]
    launch = ["launch", "quickstart", "--name", "s", "--frameworks", framework, *changes]
    outcome, began = Outcome(framework, seed), time.monotonic()
    alive_s, started = 0.0, time.monotonic()
    driver = Driver(*launch, cwd=where, env=environment)
    scene = Scene(driver, where / "results" / "s", chooser)
    while True:
        while left and len(outcome.faults) < PER_STUDY and _moment_comes(scene):
            if scene.folder.exists():
                outcome.faults.append(left.pop(0))
                try:
                    FAULTS[outcome.faults[-1]](scene)
                except AssertionError as error:
                    raise AssertionError(f"{', '.join(outcome.faults)}: {error}") from error
        code = scene.driver.wait()
        alive_s += time.monotonic() - started
        _check_said(scene.driver, code, outcome)
        if code == 0:
            break
        started = time.monotonic()
        begun = any((scene.folder / name).exists() for name in ("plan.toml", "optuna.journal"))
        again = ["resume", str(scene.folder)] if begun else launch
        scene.driver = Driver(*again, cwd=where, env=environment)
    try:
        waits = sum(fault in AWAY for fault in outcome.faults)
        outcome.tally = check(scene.folder, alive_s=alive_s, away_s=waits * (AWAY_S + RETRY_S))
        assert outcome.tally.trials_lost == outcome.tally.trials_duplicated == 0, outcome.tally
        if not BEHIND & set(outcome.faults):
            assert outcome.tally.redone_s <= outcome.tally.redoable_s + 1e-6, outcome.tally
    except AssertionError as error:
        raise AssertionError(f"{scene.folder} after {', '.join(outcome.faults)}: {error}") from error
    outcome.seconds = time.monotonic() - began
    return outcome


def _moment_comes(scene: Scene) -> bool:
    """Wait for the moment of the next fault; False where the driver ends before."""
    chooser, log = scene.random, scene.folder / "records.jsonl"
    if chooser.random() > EARLY:
        before = _size(log)
        while scene.driver.alive and _size(log) <= before:
            time.sleep(0.02)
    return _runs_for(scene.driver, chooser.uniform(0.0, MOMENT_S))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _runs_for(driver: Driver, seconds: float) -> bool:
    """Whether a driver is still alive after so long."""
    deadline = time.monotonic() + seconds
    while driver.alive and time.monotonic() < deadline:
        time.sleep(0.02)
    return driver.alive


def _check_said(driver: Driver, code: int, outcome: Outcome) -> None:
    """No fault may show a traceback of ours; an interruption says how to go on."""
    said = driver.said()
    where = f"after {', '.join(outcome.faults)} the driver said\n{said[-3000:]}"
    assert "Traceback" not in said, where
    if code == 2 and outcome.faults[-1] == "storage_away":  # it was away when the driver started
        assert re.search(r"tuneoff: (no folder|cannot write|.* is not a study's folder)", said), where
    elif code in (1, 130, 143):
        assert re.search(r"tuneoff: (.*tuneoff resume|.*: stopped$)", said, re.MULTILINE), where  # before it read any
    else:
        assert code in (0, -9), f"exit code {code}; {where}"
