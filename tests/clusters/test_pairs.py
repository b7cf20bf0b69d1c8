"""A study of two frameworks on two nodes of which one is slow: the frameworks are compared, and not the nodes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.clusters.cluster import end, wait_for
from tests.clusters.nodes import alive, missing
from tests.study.test_study import finish, tuneoff

pytestmark = pytest.mark.skipif(missing() is not None, reason=f"two host names: {missing()}")
PORTS = ["--dashboard-agent-listen-port=0", "--dashboard-agent-grpc-port=0", "--runtime-env-agent-port=0"]


def raylet(name: str, *arguments: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A node with one CPU and a host name of its own, on this machine alone."""
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--node-ip-address=127.0.0.1"]
    size = ["--num-cpus=1", "--object-store-memory=80000000", "--disable-usage-stats"]
    naming = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name]
    return subprocess.Popen(
        [*naming, *ray, *size, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.fixture
def cluster() -> Iterator[tuple[str, dict[str, str], subprocess.Popen[bytes]]]:
    """Address, environment of a driver, and the slow node."""
    folder = tempfile.mkdtemp(prefix="p", dir="/tmp")
    port = "27613"
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": folder, "RAY_worker_niceness": "0"}
    nodes = []

    def call(words: list[str]) -> int:
        return subprocess.run(words, env=environment, capture_output=True, check=False).returncode

    try:
        head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}"]
        nodes.append(raylet("quick", *head, environment=environment))
        address = f"127.0.0.1:{port}"
        wait_for(lambda: alive(address, call) == 1, "a head")
        slow = {**environment, "TUNEOFF_SIMULATED_MACHINE": "2"}
        nodes.append(raylet("slow", f"--address={address}", *PORTS, environment=slow))
        wait_for(lambda: alive(address, call) == 2, "a second node")
        yield address, environment, nodes[1]
    finally:
        for node in reversed(nodes):
            end(node)
        shutil.rmtree(folder, ignore_errors=True)


def launch(address: str) -> list[str]:
    wanted = ["search.trials=4", "search.sampler=random", "race.configurations=0", "confirm.runs=6"]
    changes = [part for setting in wanted for part in ("--set", setting)]
    names = ["--name", "s", "--address", address, "--frameworks", "simulated,simulated2"]
    return ["launch", "quickstart", *names, *changes]


def test_both_frameworks_confirm_on_every_node_and_the_slow_one_changes_nothing(
    tmp_path: Path, cluster: tuple[str, dict[str, str], subprocess.Popen[bytes]]
) -> None:
    address, environment, _ = cluster
    said = finish(tuneoff(*launch(address), cwd=tmp_path, env=environment))
    table = pd.read_parquet(tmp_path / "results" / "s" / "trials.parquet").sort_values("began_at")
    confirmed = table[table["phase"] == "confirm"]
    had = pd.crosstab(confirmed["host"], confirmed["framework"])
    assert had.to_dict() == {name: {"quick": 3, "slow": 3} for name in ("simulated", "simulated2")}
    assert confirmed.groupby("number")["host"].nunique().eq(1).all()
    orders = confirmed.groupby("number").agg(host=("host", "first"), order=("framework", tuple))
    assert orders.groupby("host")["order"].nunique().eq(2).all()
    assert "Warm: Simulated is 1.50x [1.50, 1.50] faster" in said
    search = table[table["phase"] == "search"]
    assert search.groupby("number")["host"].nunique().eq(1).all()


def test_a_pair_whose_node_dies_moves(
    tmp_path: Path, cluster: tuple[str, dict[str, str], subprocess.Popen[bytes]]
) -> None:
    address, environment, slow = cluster
    log = tmp_path / "results" / "s" / "records.jsonl"
    driver = tuneoff(*launch(address), cwd=tmp_path, env=environment)
    wait_for(
        lambda: log.exists() and "confirm-" in log.read_text() and '"host": "slow"' in confirmations(log), "a half"
    )
    end(slow)
    finish(driver)
    table = pd.read_parquet(tmp_path / "results" / "s" / "trials.parquet")
    confirmed = table[table["phase"] == "confirm"]
    last = confirmed.sort_values("attempt").groupby(["framework", "number"]).tail(1)
    assert len(last) == 12
    assert last.groupby("number")["host"].nunique().eq(1).all()


def confirmations(log: Path) -> str:
    return "".join(line for line in log.read_text().splitlines() if '"kind": "trial"' in line and '"confirm"' in line)
