"""Nodes that join, are drained or break while a study runs, on hosts with a network, processes and folders each."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest

from study.driver.searcher import last_host
from study.store.folder import StudyFolder
from study.store.log import read_log
from tests.clusters import nodes
from tests.clusters.cluster import wait_for
from tests.clusters.nodes import Host

ROOT = Path(__file__).parents[2]
NO_HOSTS = nodes.missing()
PORT = 6379
LONG = (
    "search.sampler=random",
    "race.configurations=0",
    "confirm.runs=0",
    "search.max_failures=0",
    "training.target=0.9999",
)
RAY = [sys.executable, "-P", "-m", "ray.scripts.scripts"]

pytestmark = pytest.mark.skipif(NO_HOSTS is not None, reason=f"{NO_HOSTS}")


class Lab:
    """Hosts, a head on the first of them, and the driver there."""

    def __init__(self, shared: Path, hosts: list[Host]) -> None:
        self.shared = shared
        self._hosts = hosts
        self._running = ExitStack()
        self.study = shared / "results" / "s"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "HOME": str(shared),
            "PYTHONPATH": str(ROOT),
            "RAY_AUTH_MODE": "disabled",
            "RAY_worker_niceness": "0",
            "TUNEOFF_SIMULATED_SPEED": "3",
        }
        self.up(0, "--head", f"--port={PORT}", "--include-dashboard=false")
        wait_for(lambda: self.nodes() == 1, "a head")

    def up(self, host: int, *options: str, before: str = ":") -> None:
        """Start Ray on a host, after a command there."""
        address = self._hosts[host].address
        words = [*RAY, "start", "--block", f"--node-ip-address={address}", "--num-cpus=1", *options]
        words += ["--object-store-memory=80000000", "--disable-usage-stats"]
        if "--head" not in options:
            words.append(f"--address={self._hosts[0].address}:{PORT}")
        self._start(host, ["sh", "-c", f'{before} && exec "$@"', "sh", *words])

    def launch(self, *settings: str) -> subprocess.Popen[bytes]:
        changes = [part for setting in (*settings, *LONG) for part in ("--set", setting)]
        words = ["-m", "study", "launch", "quickstart", "--frameworks", "simulated", "--name", "s"]
        words += ["--address", f"{self._hosts[0].address}:{PORT}", "--out", str(self.shared / "results")]
        return self._start(0, [sys.executable, *words, *changes], log=self.shared / "said.txt")

    def blind(self, host: int) -> None:
        """From now on a host does not see the study."""
        assert self.call(host, ["mount", "-t", "tmpfs", "none", str(self.study)]) == 0

    def drain(self, host: int) -> None:
        ids = self.shared / "ids.json"
        code = (
            "import ray, sys, json; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR'); "
            "json.dump({n['NodeManagerAddress']: n['NodeID'] for n in ray.nodes()}, open(sys.argv[2], 'w'))"
        )
        head = f"{self._hosts[0].address}:{PORT}"
        assert self.call(0, [sys.executable, "-c", code, head, str(ids)]) == 0
        node = json.loads(ids.read_text())[self._hosts[host].address]
        reason = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "tried"]
        words = [*RAY, "drain-node", "--address", head, "--node-id", node, *reason, "--deadline-remaining-seconds=600"]
        assert self.call(0, words) == 0

    def call(self, host: int, words: list[str]) -> int:
        return self._start(host, words).wait(timeout=60)

    def said(self) -> str:
        """What the driver printed, each message in a line."""
        return re.sub(r"\s+", " ", (self.shared / "said.txt").read_text())

    def evaluated_on(self) -> list[str | None]:
        """The host of each trial that has evaluated."""
        log = read_log(self.study / "records.jsonl")
        return [last_host(StudyFolder(self.study), name) for name in {name for name, _ in log.evaluations}]

    def trials(self) -> pd.DataFrame:
        return pd.read_parquet(self.study / "trials.parquet")

    def close(self) -> None:
        self._running.close()

    def nodes(self) -> int:
        """How many are up."""
        return nodes.alive(f"{self._hosts[0].address}:{PORT}", lambda words: self.call(0, words))

    def _start(self, host: int, words: list[str], log: Path | None = None) -> subprocess.Popen[bytes]:
        with (log or Path(os.devnull)).open("w") as sink:
            process = subprocess.Popen(
                [sys.executable, nodes.__file__, "run", str(self._hosts[host].door), *words],
                cwd=self.shared,
                env=self._environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        self._running.callback(process.wait)
        self._running.callback(process.kill)
        return process


@pytest.fixture
def lab() -> Iterator[Lab]:
    shared = Path(tempfile.mkdtemp(prefix="tn-", dir="/var/tmp"))  # /tmp is each host's own
    try:
        with nodes.hosts(shared, 4, prefix="chg") as hosts:
            lab = Lab(shared, hosts)
            yield lab
        lab.close()
    finally:
        shutil.rmtree(shared)


def test_a_node_that_joins_is_asked_before_it_is_used_and_a_drained_one_gets_no_more(lab: Lab) -> None:
    driver = lab.launch("search.trials=14")
    wait_for(lambda: lab.evaluated_on(), "a trial")
    lab.up(1)
    lab.up(2, before=f"mount -t tmpfs none '{lab.study.parent}'")
    wait_for(lambda: "node 10.213.77.2 takes part from now on" in lab.said(), "the one that is let in")
    wait_for(lambda: "node 10.213.77.3 cannot take part: it does not see" in lab.said(), "the one that is not")
    wait_for(lambda: "chg2" in lab.evaluated_on(), "a trial on the newcomer")
    lab.drain(1)
    wait_for(lambda: "node 10.213.77.2 is being drained: it gets no more trials" in lab.said(), "the drained one")
    before = lab.evaluated_on().count("chg2")
    assert driver.wait(timeout=240) == 0, lab.said()
    table = lab.trials()
    assert len(table) == 14
    assert table["outcome"].ne("failed").all()
    assert (table["host"] == "chg3").sum() == 0
    assert 1 <= (table["host"] == "chg2").sum() <= before + 1  # the one that ran there
    provenance = json.loads((lab.study / "provenance.json").read_text())
    assert {each["address"] for each in provenance["nodes"]} == {f"10.213.77.{number}" for number in (1, 2, 3)}
    assert list(provenance["nodes_left_out"]) == ["10.213.77.3"]


def test_a_node_that_breaks_gets_no_more_trials_and_they_run_again_elsewhere(lab: Lab) -> None:
    lab.up(1)
    wait_for(lambda: lab.nodes() == 2, "a second node")
    driver = lab.launch("search.trials=8")
    wait_for(lambda: "chg2" in lab.evaluated_on(), "a trial there")
    lab.blind(1)
    assert driver.wait(timeout=240) == 0, lab.said()
    assert "node 10.213.77.2 gets no more trials: 3 in a row failed there with" in lab.said()
    table = lab.trials()
    assert len(table) == 8
    assert table["outcome"].ne("failed").all()


def test_a_study_all_of_whose_nodes_break_ends_with_the_cause_and_goes_on_later(lab: Lab) -> None:
    lab.up(1)
    wait_for(lambda: lab.nodes() == 2, "a second node")
    driver = lab.launch("search.trials=20", "slice.cpus=1")
    wait_for(lambda: {"chg1", "chg2"} <= set(lab.evaluated_on()), "trials on both")
    data = next((lab.study / "data").iterdir())
    for host in (0, 1):
        assert lab.call(host, ["mount", "-t", "tmpfs", "none", str(data)]) == 0
    assert driver.wait(timeout=240) == 1, lab.said()
    assert "no node is left that trials do not fail on: 3 trials in a row failed on 10.213.77." in lab.said()
