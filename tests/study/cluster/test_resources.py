"""What a local Ray may deal out is what this process may use."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from study.cluster import connection
from study.cluster.nodes import too_many
from trainables.common.machine import Cpus, Memory

START = """
import json, study.cluster.environment as environment
environment.prepare(local=True)
import ray
from study.cluster.connection import connected
with connected(None, on_death=lambda: None):
    print(json.dumps(ray.cluster_resources()))
"""


@pytest.mark.parametrize(
    ("limit", "store"), [(64 * 2**30, 256 * 2**20), (2**30, 128 * 2**20), (256 * 2**20, 75 * 2**20)]
)
def test_the_object_store_lies_within_the_limit(monkeypatch: pytest.MonkeyPatch, limit: int, store: int) -> None:
    monkeypatch.setattr(connection, "cpus", lambda: Cpus(3, 8, "affinity"))
    monkeypatch.setattr(connection, "memory", lambda: Memory(limit, limit))
    assert connection._resources() == {"num_cpus": 3, "object_store_memory": store, "_memory": limit - store}


@pytest.mark.skipif(shutil.which("taskset") is None or len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_ray_under_taskset_deals_out_one_cpu() -> None:
    first = str(min(os.sched_getaffinity(0)))
    command = ["taskset", "-c", first, sys.executable, "-c", START]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(answer.stdout.splitlines()[-1])["CPU"] == 1.0


def test_a_node_that_deals_out_more_than_it_may_use_is_told() -> None:
    assert too_many(1.0, Cpus(1, 2, "affinity")) is None
    assert too_many(2.0, Cpus(2, 2)) is None
    assert too_many(2.0, Cpus(1, 2, "affinity")) == (
        "Ray deals out 2 CPUs, but may use 1 of 2 CPUs (affinity), so trials will share them; "
        "start it there with `ray start --num-cpus=1`"
    )
