"""How the driver grows with a cluster: ``python -m tests.clusters.scale``. The trials are simulated and cost nothing.

All nodes are raylets on this machine, so that with many of them it is the machine, and not the driver, that is short of
time; the driver's own CPU time per trial tells the two apart.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil

from study.store.log import parse_line
from tests.clusters.cluster import Cluster, cluster

NODES = (2, 4, 8)  # of two CPUs each
TRIALS_PER_SLOT = 12
_SETTINGS = ("search.sampler=random", "race.configurations=0", "confirm.runs=0")


@dataclass(frozen=True)
class Figures:
    """One launch.

    Parameters
    ----------
    first_trial_s
        From the command to the first trial that was given a slice.
    trials_per_minute
        From the first trial's end to the last's.
    driver_cpu_s
        Of the whole command.
    driver_mb
        Its largest resident memory, 10^6 bytes.
    """

    nodes: int
    slots: int
    trials: int
    first_trial_s: float
    trials_per_minute: float
    driver_cpu_s: float
    driver_mb: float


def measure(found: Cluster, nodes: int, where: Path) -> Figures:
    """Launch a study on a cluster, and watch its driver."""
    slots = 2 * nodes
    trials = TRIALS_PER_SLOT * slots
    settings = [part for each in (f"search.trials={trials}", *_SETTINGS) for part in ("--set", each)]
    command = [sys.executable, "-P", "-m", "tuneoff", "launch", "quickstart", "--frameworks", "simulated"]
    began = time.time()
    driver = subprocess.Popen(
        [*command, "--name", "s", "--address", found.address, *settings],
        cwd=where,
        env=found.environment,
        stdout=subprocess.DEVNULL,
    )
    cpu_s, memory = 0.0, 0.0
    watched = psutil.Process(driver.pid)
    while driver.poll() is None:
        try:
            times = watched.cpu_times()
            cpu_s, memory = times.user + times.system, max(memory, float(watched.memory_info().rss))
        except psutil.Error:
            break
        time.sleep(0.1)
    assert driver.wait() == 0, f"launch ended with {driver.returncode}"
    study = where / "results" / "s"
    ended = pd.read_parquet(study / "trials.parquet")["ended_at"].sort_values().to_list()
    per_minute = 60 * (len(ended) - 1) / (ended[-1] - ended[0])
    return Figures(nodes, slots, len(ended), _first_start(study) - began, per_minute, cpu_s, memory / 1e6)


def _first_start(study: Path) -> float:
    rows = filter(None, map(parse_line, (study / "records.jsonl").read_bytes().splitlines(keepends=True)))
    return next(float(row["at"]) for row in rows if row["kind"] == "start")


def main() -> None:
    """Print a row for each size of cluster."""
    print("nodes  slots  trials  first trial  trials/min  driver CPU/trial  driver memory")
    for nodes in NODES:
        with cluster(2) as found, tempfile.TemporaryDirectory() as where:
            for _ in range(nodes - 1):
                found.add()
            each = measure(found, nodes, Path(where))
        print(
            f"{each.nodes:5}  {each.slots:5}  {each.trials:6}  {each.first_trial_s:9.1f} s  "
            f"{each.trials_per_minute:10.0f}  {each.driver_cpu_s / each.trials:14.2f} s  {each.driver_mb:10.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
