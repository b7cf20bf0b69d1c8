"""A node that cannot take part, in a cluster of two raylets on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.study.test_study import check_whole, finish, simulated, tuneoff

OTHER = "127.0.0.2"
CLUSTER = f"""
import sys
from ray.cluster_utils import Cluster
small = {{"num_cpus": 1, "object_store_memory": 10**8}}
cluster = Cluster(initialize_head=True, head_node_args=small)
cluster.add_node(**small, node_ip_address="{OTHER}", env_vars={{"PYTHONPATH": sys.argv[1], "RAY_worker_niceness": "3"}})
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.readline()
"""
BROKEN = """
import sys

class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "trainables.simulated.backend":
            raise ImportError("libgomp.so.1: cannot open shared object file")

sys.meta_path.insert(0, Broken())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a second address on loopback")
def test_a_node_that_lacks_a_library_is_named_and_can_be_excluded(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BROKEN)
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    cluster = subprocess.Popen(
        [sys.executable, "-c", CLUSTER, str(tmp_path)],
        env={**environment, "RAY_worker_niceness": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert cluster.stdout is not None
    try:
        address = cluster.stdout.readline().strip()
        if not address:
            pytest.skip("two raylets do not start here")
        arguments = [*simulated(2), "--address", address]
        said = finish(tuneoff(*arguments, cwd=tmp_path, env=environment), expected=2)
        assert f"node {OTHER} cannot take part: a training step of Simulated failed with exit code 1 (Import" in said
        assert f"--exclude-node {OTHER}" in said
        assert not (tmp_path / "results" / "s").exists()
        finish(tuneoff(*arguments, "--exclude-node", OTHER, cwd=tmp_path, env=environment))
        table = check_whole(tmp_path / "results" / "s", 2)
        assert table["outcome"].ne("failed").all()
        assert table["niceness"].eq(os.nice(0)).all()
        known = json.loads((tmp_path / "results" / "s" / "provenance.json").read_text())
        assert [each["address"] for each in known["nodes"]] == [address.partition(":")[0]]
        assert known["nodes_left_out"] == {OTHER: "excluded by --exclude-node"}
    finally:
        for process in [*psutil.Process(cluster.pid).children(recursive=True), cluster]:
            process.kill()
        cluster.wait()
