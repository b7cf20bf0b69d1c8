"""Faults: each does harm to a running study, and tells whether the driver is expected to survive it.

Every one is what happens to people: a process or a machine that dies, a signal, a disk that is full, away or damaged, a
folder that is moved.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.chaos.driver import Driver, kill, wait_until

AWAY_S = 2.0  # how long storage stays away


@dataclass
class Scene:
    """What a fault works on; it may move the study's folder."""

    driver: Driver
    folder: Path
    random: random.Random


Fault = Callable[[Scene], None]
FAULTS: dict[str, Fault] = {}


def _fault(function: Fault) -> Fault:
    FAULTS[function.__name__] = function
    return function


@_fault
def driver_killed(scene: Scene) -> None:
    scene.driver.process.kill()
    scene.driver.wait()


@_fault
def everything_killed(scene: Scene) -> None:
    scene.driver.kill_family()


@_fault
def trial_killed(scene: Scene) -> None:
    """The driver starts it again by itself."""
    for process in scene.driver.named("Trainable")[:1]:
        kill(process)


@_fault
def loader_killed(scene: Scene) -> None:
    """A DataLoader's worker: the trial fails and is started again."""
    for trial in scene.driver.named("Trainable"):
        try:
            workers = trial.children(recursive=True)
        except psutil.Error:
            continue
        if workers:
            kill(scene.random.choice(workers))
            return


@_fault
def ray_node_killed(scene: Scene) -> None:
    for process in scene.driver.named("/raylet "):
        kill(process)
    _must_end(scene)


@_fault
def ray_control_killed(scene: Scene) -> None:
    for process in scene.driver.named("/gcs_server "):
        kill(process)
    _must_end(scene)


@_fault
def sigterm(scene: Scene) -> None:
    _signal(scene, signal.SIGTERM)


@_fault
def ctrl_c(scene: Scene) -> None:
    _signal(scene, signal.SIGINT)


@_fault
def ctrl_c_twice(scene: Scene) -> None:
    _signal(scene, signal.SIGINT, signal.SIGINT)


@_fault
def disk_full(scene: Scene) -> None:
    """Neither driver nor trials can write a byte for a while: a limit on file sizes fails like a full disk.

    Loader workers are spared: their files are shared memory, which is no disk.
    """
    family = [*scene.driver.named("Trainable"), *scene.driver.family()[-1:]]
    former = {}
    for process in family:
        try:
            former[process] = process.rlimit(resource.RLIMIT_FSIZE)
            process.rlimit(resource.RLIMIT_FSIZE, (0, former[process][1]))
        except psutil.Error:
            continue
    time.sleep(AWAY_S)
    for process, limit in former.items():
        try:
            process.rlimit(resource.RLIMIT_FSIZE, limit)
        except psutil.Error:
            continue


@_fault
def storage_away(scene: Scene) -> None:
    """The folder is gone for a while, as an unmounted share; what grew in its place is hidden when it comes back."""
    away = scene.folder.with_name(f"{scene.folder.name}-away")
    scene.folder.rename(away)
    time.sleep(AWAY_S)
    grown = scene.folder.with_name(f"{scene.folder.name}-grown-{time.monotonic_ns()}")
    while scene.folder.exists():
        scene.folder.rename(grown)
    away.rename(scene.folder)


@_fault
def journal_torn(scene: Scene) -> None:
    scene.driver.kill_family()
    _cut(scene, scene.folder / "optuna.journal")


@_fault
def records_torn(scene: Scene) -> None:
    scene.driver.kill_family()
    _cut(scene, scene.folder / "records.jsonl")


@_fault
def journal_damaged(scene: Scene) -> None:
    scene.driver.kill_family()
    _flip(scene, scene.folder / "optuna.journal")


@_fault
def records_damaged(scene: Scene) -> None:
    scene.driver.kill_family()
    _flip(scene, scene.folder / "records.jsonl")


@_fault
def checkpoint_damaged(scene: Scene) -> None:
    """The newest file of a random trial."""
    scene.driver.kill_family()
    folders = sorted((scene.folder / "tune" / "checkpoints").glob("*"))
    if folders:
        files = sorted(scene.random.choice(folders).glob("*-[0-9]*"), key=lambda path: path.stat().st_mtime)
        for newest in files[-1:]:
            scene.random.choice([_cut, _flip])(scene, newest)


@_fault
def parquet_damaged(scene: Scene) -> None:
    scene.driver.kill_family()
    _cut(scene, scene.folder / "trials.parquet")
    _flip(scene, scene.folder / "evaluations.parquet")


@_fault
def provenance_damaged(scene: Scene) -> None:
    scene.driver.kill_family()
    _cut(scene, scene.folder / "provenance.json")


@_fault
def plan_damaged(scene: Scene) -> None:
    """Only once the journal has the plan, too; before that there is nothing to lose."""
    has_plan = wait_until(
        lambda: b'"plan"' in _content(scene.folder / "optuna.journal") or not scene.driver.alive, timeout_s=60.0
    )
    scene.driver.kill_family()
    if has_plan and b'"plan"' in _content(scene.folder / "optuna.journal"):
        _cut(scene, scene.folder / "plan.toml")


@_fault
def moved(scene: Scene) -> None:
    scene.driver.kill_family()
    new = scene.folder.with_name(f"moved-{time.monotonic_ns()}")
    scene.folder.rename(new)
    scene.folder = new


@_fault
def copied(scene: Scene) -> None:
    """The copy goes on; the harness looks at the end that the original was left alone."""
    scene.driver.kill_family()
    new = scene.folder.with_name(f"copy-{time.monotonic_ns()}")
    shutil.copytree(scene.folder, new)
    (new / ORIGINAL).write_text(json.dumps({"path": str(scene.folder), "files": fingerprint(scene.folder)}))
    scene.folder = new


ORIGINAL = "original.json"  # in a copy: where it came from


def fingerprint(folder: Path) -> dict[str, int]:
    """Sizes and times of a folder's files."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def _signal(scene: Scene, *signals: signal.Signals) -> None:
    for number in signals:
        if scene.driver.alive:
            scene.driver.process.send_signal(number)
            time.sleep(scene.random.uniform(0.05, 0.5))
    _must_end(scene)


def _must_end(scene: Scene) -> None:
    scene.driver.wait(60.0)


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _cut(scene: Scene, path: Path) -> None:
    content = _content(path)
    if content:
        path.write_bytes(content[: scene.random.randrange(len(content))])


def _flip(scene: Scene, path: Path) -> None:
    content = bytearray(_content(path))
    if content:
        place = scene.random.randrange(len(content))
        content[place] ^= 1 << scene.random.randrange(8)
        path.write_bytes(content)
