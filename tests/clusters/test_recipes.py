"""The files that ``tuneoff cluster`` prints, run: the sbatch script on two hosts, ``srun`` and ``scontrol`` made up."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from tests.clusters import nodes
from tests.clusters.nodes import Host

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300.0
STUDY = ["quickstart", "--frameworks", "simulated", "--name", "it's a"]
STUDY += ["--set", "search.sampler=random", "--set", "race.configurations=0"]

NO_HOSTS = nodes.missing()


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that all hosts see: /tmp is each one's own."""
    folder = Path(tempfile.mkdtemp(prefix="tn-", dir="/var/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def environment(shared: Path) -> Path:
    """A Python environment whose path has a space."""
    commands = {"python": [], "ray": ["-m", "ray.scripts.scripts"], "tuneoff": ["-m", "study"]}
    folder = shared / "my environment" / "bin"
    folder.mkdir(parents=True)
    for name, arguments in commands.items():
        _command(folder / name, [sys.executable, *arguments])
    return folder.parent


def _command(path: Path, words: list[str]) -> None:
    line = " ".join(f"'{word}'" for word in words)
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec {line} "$@"\n')
    path.chmod(0o755)


def printed(*words: str) -> str:
    command = [sys.executable, "-m", "study", "cluster", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


class Job:
    """A batch script, run as Slurm would."""

    def __init__(self, script: Path, hosts: list[Host], shared: Path, *, number: int) -> None:
        tools = shared / "slurm"
        tools.mkdir(exist_ok=True)
        for name in ("srun", "scontrol"):
            _command(tools / name, [sys.executable, str(ROOT / "tests/clusters/slurm.py"), name])
        variables = {
            "SLURM_JOB_ID": str(number),
            "SLURM_JOB_NUM_NODES": str(len(hosts)),
            "SLURM_JOB_NODELIST": f"rcp[1-{len(hosts)}]",
            "SLURM_CPUS_ON_NODE": "1",
            "FAKE_HOSTS": json.dumps({host.name: str(host.door) for host in hosts}),
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(shared),
        }
        self._log = shared / f"{number}.log"
        self._process = subprocess.Popen(
            [sys.executable, nodes.__file__, "run", str(hosts[0].door), "bash", str(script)],
            env={**os.environ, **variables},
            cwd=shared,
            stdout=self._log.open("w"),
            stderr=subprocess.STDOUT,
        )

    def said(self) -> str:
        return self._log.read_text()

    def terminate(self) -> None:
        self._process.terminate()

    def ends(self) -> int:
        return self._process.wait(timeout=TIMEOUT_S)

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while text not in self.said():
            assert self._process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)


@pytest.mark.skipif(NO_HOSTS is not None, reason=f"{NO_HOSTS}")
def test_the_sbatch_script_launches_stops_before_its_limit_and_resumes(shared: Path, environment: Path) -> None:
    words = [*STUDY, "--set", "search.trials=6", "--set", "confirm.runs=0", "--nodes", "2"]
    words += ["--set", "training.target=0.9999", "--set", "training.epochs=20"]
    words += [
        "--env",
        "TUNEOFF_SIMULATED_SPEED=4",
        "--out",
        str(shared / "my results"),
        "--environment",
        str(environment),
    ]
    script = shared / "job.sh"
    script.write_text(printed("slurm", *words))
    study = shared / "my results" / "it's a"
    with nodes.hosts(shared, 2, prefix="rcp") as hosts:
        first = Job(script, hosts, shared, number=1)
        first.wait_for("search Simulated 1/6")
        first.terminate()
        assert first.ends() == 143, first.said()
        assert "SIGTERM; the study is safe" in first.said()
        assert not (study / "report").exists()
        second = Job(script, hosts, shared, number=2)
        assert second.ends() == 0, second.said()
        left = subprocess.run(
            [sys.executable, nodes.__file__, "run", str(hosts[1].door), "sh", "-c", "ls /tmp; ps -e"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    assert not re.search(r"tuneoff-[12]$", left, re.MULTILINE)
    assert "raylet" not in left
    assert (study / "report" / "index.html").exists()
    trials = pd.read_parquet(study / "trials.parquet")
    assert (trials["phase"] == "search").sum() == 6
    assert set(trials["outcome"]) == {"out_of_epochs"}
    assert set(trials["host"]) == {"rcp1", "rcp2"}


# As KubeRay starts them: no trial beside the head.
PODS = """
import os, sys
from ray.cluster_utils import Cluster
cluster = Cluster()
node = {"object_store_memory": 10**8, "dashboard_agent_listen_port": None}
cluster.add_node(num_cpus=0, include_dashboard=False, **node)
for _ in range(2):
    cluster.add_node(num_cpus=1, **node)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


def test_the_entrypoint_of_the_ray_job_launches_and_resumes(shared: Path, environment: Path) -> None:
    words = [*STUDY, "--set", "search.trials=2", "--set", "confirm.runs=0", "--cpus", "1"]
    manifest = printed("kubernetes", *words, "--out", str(shared / "results"), "--image", "i", "--claim", "c")
    config, job = yaml.safe_load_all(manifest)
    script = shared / "study.sh"
    script.write_text(config["data"]["study.sh"])
    assert job["spec"]["entrypoint"] == "bash /etc/tuneoff/study.sh"
    (worker,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    pod = {each["name"]: each["value"] for each in worker["template"]["spec"]["containers"][0]["env"]}
    own = {"RAY_AUTH_MODE": "disabled", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_TMPDIR": str(shared)}
    variables = {**os.environ, **pod, **own}
    cluster = subprocess.Popen(
        [sys.executable, "-c", PODS], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert cluster.stdout is not None
    try:
        address = cluster.stdout.readline().strip()
        # Ray gives a job's entrypoint the address, and the PATH of `ray start`.
        inside = {**variables, "RAY_ADDRESS": address, "PATH": f"{environment / 'bin'}:{os.environ['PATH']}"}
        for expected in ("report: ", "is finished: nothing to run"):
            ran = subprocess.run(
                ["bash", str(script)], env=inside, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
            assert ran.returncode == 0, ran.stdout + ran.stderr
            assert expected in ran.stdout
    finally:
        cluster.communicate(timeout=TIMEOUT_S)


def test_the_local_script_runs_a_study_on_two_nodes_and_leaves_nothing(shared: Path, environment: Path) -> None:
    words = [*STUDY, "--set", "search.trials=4", "--set", "confirm.runs=0", "--set", "training.target=0.9999"]
    words += ["--env", "TUNEOFF_SIMULATED_SPEED=4", "--environment", str(environment)]
    script = shared / "local.sh"
    script.write_text(printed("local", *words, "--out", str(shared / "my results")))
    before = set(Path("/tmp").glob("tuneoff-*"))
    ran = subprocess.run(["bash", str(script)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert set(Path("/tmp").glob("tuneoff-*")) <= before
    assert [
        each for each in psutil.process_iter(["cmdline"]) if str(environment) in " ".join(each.info["cmdline"] or ())
    ] == []
    trials = pd.read_parquet(shared / "my results" / "it's a" / "trials.parquet")
    assert len(trials) == 4
