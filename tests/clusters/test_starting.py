"""A study starts on whatever cluster there is, waits where it is busy, and follows its nodes as they come and go."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.clusters.cluster import cluster, head, held_cpu, wait_for

COMMAND = str(Path(sys.executable).with_name("tuneoff"))
SHORT = ("search.trials=2", "race.configurations=0", "confirm.runs=1")
LONG = (
    "race.configurations=0",
    "confirm.runs=0",
    "search.max_failures=5",
    "training.target=0.9999",
    "training.epochs=20",
)


def launch(name: str, *settings: str) -> list[str]:
    changes = [part for setting in settings for part in ("--set", setting)]
    return ["launch", "quickstart", "--frameworks", "simulated", "--name", name, *changes]


def run(*arguments: str, cwd: Path, environment: dict[str, str]) -> tuple[int, str, str]:
    """Exit code, output and errors of the command."""
    done = subprocess.run(
        [COMMAND, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, done.stdout, done.stderr


def as_user(home: Path, **variables: str) -> dict[str, str]:
    """The environment of somebody with this home folder and no variable of Ray's but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    # On 127.0.0.1 alone, as the clusters of these tests.
    return {**kept, "HOME": str(home), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", **variables}


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as knock:
        return knock.connect_ex((host, int(port))) == 0


@pytest.fixture
def homes(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Home folders: one with a token, one without, one with another token."""
    found = []
    for name, token in (("with", "a" * 64), ("without", None), ("other", "b" * 64)):
        home = tmp_path / f"home-{name}"
        (home / ".ray").mkdir(parents=True)
        if token:
            (home / ".ray" / "auth_token").write_text(token)
        found.append(home)
    return found[0], found[1], found[2]


def test_a_cluster_that_wants_a_token(tmp_path: Path, homes: tuple[Path, Path, Path]) -> None:
    with_token, without, other = homes
    (port,) = free_ports(1)
    with head(port, with_token, "--include-dashboard=false") as address:  # a token in the home folder turns it on
        wait_for(lambda: answers(address), "the cluster")
        time.sleep(3)
        code, said, errors = run(
            *launch("a", *SHORT), cwd=tmp_path, environment=as_user(with_token, RAY_ADDRESS=address)
        )
        assert code == 0, said + errors
        assert f"on the Ray cluster at {address} (RAY_ADDRESS)" in said
        assert errors == ""
        todo = "set RAY_AUTH_TOKEN to what `ray get-auth-token` prints on its head"
        for home, variables, told in (
            (without, {}, f"and there is none here; {todo}"),
            (other, {}, f"and not that of ~/.ray/auth_token; {todo}"),
            (with_token, {"RAY_AUTH_MODE": "disabled"}, "and RAY_AUTH_MODE is disabled; set RAY_AUTH_MODE=token"),
            (with_token, {"RAY_AUTH_TOKEN": "wrong"}, f"and not that of RAY_AUTH_TOKEN; {todo}"),
        ):
            command = [*launch("b", *SHORT), "--address", address]
            code, said, errors = run(*command, cwd=tmp_path, environment=as_user(home, **variables))
            assert code == 2
            assert told in errors
            assert errors.count("\n") == 1
            assert not (tmp_path / "results" / "b").exists()
        token = {"RAY_AUTH_TOKEN": "a" * 64}
        command = [*launch("c", *SHORT), "--address", address]
        assert run(*command, cwd=tmp_path, environment=as_user(without, **token))[0] == 0


def test_a_cluster_that_wants_none(tmp_path: Path, homes: tuple[Path, Path, Path]) -> None:
    (port,) = free_ports(1)
    with head(port, homes[1], "--include-dashboard=false", RAY_AUTH_MODE="disabled") as address:
        wait_for(lambda: answers(address), "the cluster")
        time.sleep(3)
        for name, home in zip("ab", homes, strict=False):
            command = [*launch(name, *SHORT), "--address", address]
            code, said, errors = run(*command, cwd=tmp_path, environment=as_user(home))
            assert code == 0, said + errors
            assert errors == ""
        code, said, _ = run(
            *launch("c", *SHORT), "--address", "local", cwd=tmp_path, environment=as_user(homes[0], RAY_ADDRESS=address)
        )
        assert code == 0
        assert "on the Ray cluster" not in said


def test_a_busy_cluster_is_waited_for_and_a_growing_one_used(tmp_path: Path) -> None:
    with cluster(1, TUNEOFF_SIMULATED_SPEED="8") as ours:
        out = tmp_path / "out.txt"
        with held_cpu(ours.address, ours.environment, tmp_path / "held"), out.open("w") as sink:
            driver = subprocess.Popen(
                [COMMAND, *launch("s", "search.trials=16", *LONG), "--address", ours.address],
                cwd=tmp_path,
                env=ours.environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
            wait_for(lambda: "waiting: 0 of 1 CPUs free; a trial needs 1 on one node" in out.read_text(), "the line")
            assert driver.poll() is None
            ours.add()  # while the head's only CPU is held
            wait_for(lambda: "has joined, with 2 CPUs" in out.read_text(), "the node's line")
            wait_for(lambda: "running search-simulated" in out.read_text(), "a trial")
            assert "going on" in out.read_text()
        wait_for(lambda: _at_once(tmp_path / "results" / "s") >= 3, "three trials at once, where one fitted at first")
        ours.lose()
        assert driver.wait(timeout=240) == 0
        said = out.read_text()
        # Which of the two sees it first is chance: the look at Ray's nodes, or a trial that waits for one of them.
        assert "is gone; its trials run elsewhere" in said or "what has to run there runs elsewhere" in said
        assert "(raylet)" not in said
        assert said.count("waiting: ") <= 2
    table = pd.read_parquet(tmp_path / "results" / "s" / "trials.parquet")
    assert len(table) == 16
    assert table["outcome"].ne("failed").all()


def _at_once(folder: Path) -> int:
    """Trials that have evaluated, and not ended."""
    log = folder / "records.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    seen = {row["trial_id"] for row in rows if row["kind"] == "evaluation"}
    return len(seen - {row["trial_id"] for row in rows if row["kind"] == "trial"})


class Jobs:
    """``ray job`` at one cluster."""

    def __init__(self, address: str, dashboard: str, environment: dict[str, str], folder: Path) -> None:
        self.address, self._dashboard, self._environment, self._folder = address, dashboard, environment, folder

    def __call__(self, what: str, *arguments: str) -> str:
        command = [sys.executable, "-P", "-m", "ray.scripts.scripts", "job", what, "--address", self._dashboard]
        done = subprocess.run(
            [*command, *arguments],
            cwd=self._folder.parent,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.stdout + done.stderr

    def submit(self, *arguments: str, speed: str = "0", wait: bool = True) -> str:
        return self(
            "submit",
            *(() if wait else ("--no-wait",)),
            "--submission-id=ours",
            f"--working-dir={self._folder}",
            "--runtime-env-json",
            json.dumps({"env_vars": {"TUNEOFF_SIMULATED_SPEED": speed}}),
            "--",
            COMMAND,
            *arguments,
        )


@pytest.fixture
def jobs(tmp_path: Path, homes: tuple[Path, Path, Path]) -> Iterator[Jobs]:
    """A cluster that takes jobs; what they are submitted with holds a package called like one of ours."""
    pytest.importorskip("aiohttp_cors", reason="needs ray[default]")
    pytest.importorskip("opencensus", reason="needs ray[default]")
    folder = tmp_path / "submitted"
    (folder / "trainables").mkdir(parents=True)
    (folder / "trainables" / "__init__.py").write_text("raise SystemExit('not ours')\n")
    port, dashboard, *others = free_ports(5)
    options = ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"]
    names = ("dashboard-agent-listen-port", "dashboard-agent-grpc-port", "runtime-env-agent-port")
    options += [f"--{name}={each}" for name, each in zip(names, others, strict=True)]
    with head(port, homes[0], *options) as address:  # which wants a token
        found = Jobs(address, f"http://127.0.0.1:{dashboard}", as_user(homes[0], RAY_AUTH_MODE="token"), folder)
        wait_for(lambda: answers(f"127.0.0.1:{dashboard}"), "the dashboard")
        wait_for(lambda: "submitted" in found("submit", "--", "true"), "a cluster that takes jobs")
        yield found


@pytest.mark.parametrize("where", [[], ["--address", "auto"], ["--address", "local"]])
def test_inside_a_ray_job(jobs: Jobs, tmp_path: Path, where: list[str]) -> None:
    said = jobs.submit(*launch("s", *SHORT), "--out", str(tmp_path / "results"), *where)
    assert "succeeded" in said, said
    assert ("(this Ray job)" in said) == ("local" not in where)
    assert "not ours" not in said
    assert len(pd.read_parquet(tmp_path / "results" / "s" / "trials.parquet")) == 3


def test_a_job_that_is_stopped_leaves_a_study_that_goes_on(
    jobs: Jobs, tmp_path: Path, homes: tuple[Path, Path, Path]
) -> None:
    folder = tmp_path / "results" / "s"
    jobs.submit(*launch("s", "search.trials=4", *LONG), "--out", str(folder.parent), speed="8", wait=False)
    wait_for(lambda: _at_once(folder) > 0, "a trial")
    jobs("stop", "ours")
    code, said, errors = run(
        "resume", str(folder), "--address", jobs.address, cwd=tmp_path, environment=as_user(homes[0])
    )
    assert code == 0, said + errors
    table = pd.read_parquet(folder / "trials.parquet")
    assert len(table) == 4
    assert table["outcome"].ne("failed").all()
    assert table["segments"].max() == 2
