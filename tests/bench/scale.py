"""How a study grows: resume, status, report and the driver's memory at 1,000 and at 10,000 trials.

The trials are simulated ones, a few dozen trainings repeated under other names; journal, records and checkpoints are
written by the study's own code, only without waiting for the disk at every line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import optuna
import pandas as pd
import psutil
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from study.driver.recorder import trial_row
from study.driver.searcher import search_seed, suggest
from study.plan.files import load_plan
from study.plan.plan import Plan
from study.store.folder import StudyFolder, create
from study.store.journal import open_searches, search_distributions, trial_id
from study.store.manifest import check_manifest
from study.store.records import Records
from trainables import checkpoint
from trainables.training import Training

SIZES = (1_000, 10_000)
DISTINCT = 40  # trainings that really run
EVALUATIONS = "training.evaluate_every_samples=1079"
INTERRUPTED = 2
LIVE = 600  # trials of the study that Ray Tune runs from its start to its end
Row = dict[str, object]


def rows() -> Iterator[Row]:
    """One row per figure, and one for its growth."""
    found: dict[int, dict[str, float]] = {}
    for trials in SIZES:
        with tempfile.TemporaryDirectory() as where:
            found[trials] = measure(build(Path(where), trials))
    small, large = SIZES
    limits = {"resume_s": 60.0, "report_s": 30.0, "status_s": None, "driver_gb": 2.0}
    for key, limit in limits.items():
        growth = found[large][key] / found[small][key]
        good = growth <= large / small and (limit is None or found[large][key] <= limit)
        yield {
            "what": f"{key.replace('_', ' in ')} of a study with {large:,} trials over one with {small:,}",
            "setting": "simulated trials, two of them interrupted",
            "mine": f"{found[large][key]:.2f}",
            "other": f"{found[small][key]:.2f}",
            "ratio": growth,
            "good": good,
            "want": f"<= {large // small}" + ("" if limit is None else f", at most {limit:g}"),
        }
    with tempfile.TemporaryDirectory() as where:
        yield _live(Path(where))


def build(where: Path, trials: int) -> StudyFolder:
    """A study as a killed driver leaves it, two trials short of its end."""
    plan = _plan(trials)
    folder = create(where / "s", plan)
    folder.checkpoints("").mkdir(parents=True)
    records = Records(folder, say=print)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    search = open_searches(plan, JournalStorage(_Hasty(str(folder.journal))), concurrent=True)["simulated"]
    check_manifest(plan, folder, {"simulated": search})
    results: list[tuple[Training, dict[str, Any]]] = []
    for number in range(trials):
        trial = search.study.ask()
        for name, each in search_distributions(plan, "simulated").items():
            suggest(trial, name, each)
        spec = plan.spec("simulated", trial.params, seed=search_seed(plan, number))
        name = trial_id("simulated", number)
        identity = {"study": "s", "phase": "search", "framework": "simulated", "trial_id": name, "number": number}
        if len(results) < DISTINCT:
            training = Training(spec)
            while not training.finished:
                training.advance()
            results.append((training, training.result()))
        training, result = results[number % len(results)]
        points = [vars(each) for each in training.evaluations]
        if number < trials - INTERRUPTED:
            records.add_evaluations({**each, **identity} for each in points)
            records._append("trial", [trial_row(identity, plan, spec, result, held_s=1.0, lost_s=0.0)])
            state = {"evaluations": points, "segments": [], "spec": spec.as_dict()}
            checkpoint.save(folder.checkpoints(name), len(points), state, save_model=None)
            for step, point in enumerate(points):
                trial.report(point["train_s"], step)
            search.study.tell(trial, result["objective"])
    records.close()
    return folder


def measure(folder: StudyFolder) -> dict[str, float]:
    """Seconds of the commands, and the driver's largest resident memory in 10^9 bytes while it resumes."""
    resume_s, memory = _timed("resume", folder)
    status_s, _ = _timed("status", folder)
    report_s, _ = _timed("report", folder)
    table = pd.read_parquet(folder.trials)
    assert table["trial_id"].is_unique
    state = subprocess.run(
        [sys.executable, "-m", "study", "status", str(folder.path), "--json"], stdout=subprocess.PIPE, check=True
    )
    assert json.loads(state.stdout)["done"]
    return {"resume_s": resume_s - report_s, "report_s": report_s, "status_s": status_s, "driver_gb": memory / 1e9}


def _live(where: Path) -> Row:
    """Whether the last trials of a study that Ray Tune runs take as long as its first."""
    settings = [f"search.trials={LIVE}", *_SETTINGS]
    changes = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "study", "launch", "quickstart", "--name", "s", "--frameworks", "simulated"]
    subprocess.run([*command, *changes], cwd=where, check=True, stdout=subprocess.DEVNULL)
    ended = np.sort(pd.read_parquet(where / "results" / "s" / "trials.parquet")["ended_at"].to_numpy())
    third = len(ended) // 3
    early, late = (float(median(np.diff(part))) for part in (ended[: third + 1][10:], ended[-third:]))
    return {
        "what": "seconds per trial: the last third over the first",
        "setting": f"{LIVE} simulated trials under Ray Tune",
        "mine": f"{late:.3f} s",
        "other": f"{early:.3f} s",
        "ratio": late / early,
        "good": late / early <= 1.5,
        "want": "<= 1.5",
    }


_SETTINGS = ("race.configurations=0", "confirm.runs=0", "search.sampler=random", EVALUATIONS)


def _plan(trials: int) -> Plan:
    return load_plan("quickstart", settings=[f"search.trials={trials}", *_SETTINGS], frameworks=["simulated"])


def _timed(command: str, folder: StudyFolder) -> tuple[float, float]:
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "study", command, str(folder.path)], stdout=subprocess.DEVNULL, env=os.environ
    )
    peak = [0.0]

    def watch() -> None:
        driver = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                peak[0] = max(peak[0], float(driver.memory_info().rss))
            except psutil.Error:
                return
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert process.wait() == 0
    watcher.join()
    return time.monotonic() - began, peak[0]


class _Hasty(JournalFileBackend):
    """Optuna's file without its lock and its wait for the disk."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with Path(self._file_path).open("ab") as file:
            file.write(b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs))
