from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from trainables.common import machine
from trainables.common.machine import Cpus, cpus, memory

GIB = 2**30
V2 = "30 29 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
V1 = (
    "32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 {top} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.delenv("SLURM_CPUS_ON_NODE", raising=False)
    total = psutil.virtual_memory()._replace(total=16 * GIB, available=12 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: total)


def system(root: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    """A file system with these control groups."""
    for name, text in {
        "proc/self/cgroup": groups,
        "proc/self/mountinfo": mounts,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("quotas", "usable", "limited_by"),
    [
        ({"a/b/cpu.max": "max 100000\n"}, 8, ""),
        ({"a/b/cpu.max": "250000 100000\n"}, 2, "cgroup quota of 2.5"),
        ({"a/b/cpu.max": "10000 100000\n"}, 1, "cgroup quota of 0.1"),
        ({"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "max 100000\n"}, 3, "cgroup quota of 3"),
        ({"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "600000 100000\n"}, 3, "cgroup quota of 3"),
        ({"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "200000 100000\n"}, 2, "cgroup quota of 2"),
        ({"a/b/cpu.max": "1600000 100000\n"}, 8, ""),
        ({"other/cpu.max": "100000 100000\n", "a/b/cgroup.procs": ""}, 8, ""),
        ({"a/b/cpu.max": "nonsense\n"}, 8, ""),
        ({"a/b/cpu.max": ""}, 8, ""),
        ({"a/b/cpu.max": "100000 0\n"}, 8, ""),
        ({}, 8, ""),
    ],
)
def test_quotas_of_version_2(tmp_path: Path, quotas: dict[str, str], usable: int, limited_by: str) -> None:
    assert cpus(system(tmp_path, "0::/a/b\n", V2, quotas)) == Cpus(usable, 8, limited_by)


@pytest.mark.parametrize(
    ("path", "top", "files", "usable"),
    [
        ("/", "/", {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, 8),
        ("/job/step", "/", {"job/cpu.cfs_quota_us": "200000", "job/cpu.cfs_period_us": "100000"}, 2),
        ("/job/step", "/", {"job/step/cpu.cfs_quota_us": "150000", "job/step/cpu.cfs_period_us": "50000"}, 3),
        # A container: its own group is the mount's top, and the path is the host's, or starts at the top.
        ("/docker/1a2b", "/docker/1a2b", {"cpu.cfs_quota_us": "400000", "cpu.cfs_period_us": "100000"}, 4),
        ("/docker/1a2b", "/", {"cpu.cfs_quota_us": "400000", "cpu.cfs_period_us": "100000"}, 4),
        ("/../other", "/", {"cpu.cfs_quota_us": "400000", "cpu.cfs_period_us": "100000"}, 4),
        ("/job", "/", {"job/cpu.cfs_quota_us": "200000"}, 8),  # no period
    ],
)
def test_quotas_of_version_1(tmp_path: Path, path: str, top: str, files: dict[str, str], usable: int) -> None:
    placed = {f"cpu,cpuacct/{name}": text for name, text in files.items()}
    assert (
        cpus(system(tmp_path, f"7:memory:{path}\n4:cpu,cpuacct:{path}\n", V1.format(top=top), placed)).usable == usable
    )


def test_both_versions_at_once(tmp_path: Path) -> None:
    files = {"cpu,cpuacct/a/cpu.cfs_quota_us": "500000", "cpu,cpuacct/a/cpu.cfs_period_us": "100000"}
    mounts = V1.format(top="/") + V2.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
    assert cpus(system(tmp_path, "4:cpu,cpuacct:/a\n1:name=systemd:/a\n0::/a\n", mounts, files)).usable == 5
    (tmp_path / "sys/fs/cgroup/unified/a").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/unified/a/cpu.max").write_text("100000 50000")
    assert cpus(tmp_path).usable == 2


@pytest.mark.parametrize("missing", ["proc/self/cgroup", "proc/self/mountinfo", "sys/fs/cgroup/a"])
def test_what_is_missing_or_cannot_be_read_limits_nothing(tmp_path: Path, missing: str) -> None:
    root = system(tmp_path, "0::/a\n", V2, {"a/cpu.max": "100000 100000", "a/memory.max": str(GIB)})
    assert (cpus(root).usable, memory(root).limit_bytes) == (1, GIB)
    gone = root / missing
    if gone.is_dir():
        shutil.rmtree(gone)
    else:
        gone.unlink()
        gone.mkdir()  # reading it is an error
    assert (cpus(root).usable, memory(root).limit_bytes) == (8, 16 * GIB)


def test_affinity_and_allocation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = system(tmp_path, "0::/a\n", V2, {"a/cpu.max": "400000 100000"})
    assert str(cpus(root)) == "4 of 8 CPUs (cgroup quota of 4)"
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "3")
    assert str(cpus(root)) == "3 of 8 CPUs (SLURM_CPUS_ON_NODE)"
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5}, raising=False)
    assert cpus(root).told == "this process may use 1 of 8 CPUs (affinity)"
    monkeypatch.delattr(os, "sched_getaffinity")
    for nonsense in ("", "0", "-1", "2(x4)"):
        monkeypatch.setenv("SLURM_CPUS_ON_NODE", nonsense)
        assert cpus(root).usable == 4


def test_all_of_a_machine(tmp_path: Path) -> None:
    assert cpus(tmp_path).told == "this machine has 8 CPUs"
    assert str(Cpus(1, 1)) == "1 CPU"


STAT = "anon 1\ninactive_file 1073741824\ntotal_inactive_file 1073741824\nworkingset x y\n"


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [
        (str(4 * GIB), str(3 * GIB), (4 * GIB, 2 * GIB, "cgroup limit")),  # a GiB of file pages can be given up
        (str(2 * GIB), str(5 * GIB), (2 * GIB, 0, "cgroup limit")),
        (str(4 * GIB), "", (4 * GIB, 4 * GIB, "cgroup limit")),
        ("max", "1", (16 * GIB, 12 * GIB, "")),
        ("9223372036854771712", "1", (16 * GIB, 12 * GIB, "")),  # version 1's way of saying so
        ("-1", "1", (16 * GIB, 12 * GIB, "")),
    ],
)
def test_memory(tmp_path: Path, version: int, limit: str, used: str, expected: tuple[int, int, str]) -> None:
    if version == 1:
        files = {"memory/a/memory.limit_in_bytes": limit, "memory/a/memory.usage_in_bytes": used}
        root = system(tmp_path, "7:memory:/a/b\n", V1.format(top="/"), {**files, "memory/a/memory.stat": STAT})
        (tmp_path / "sys/fs/cgroup/memory/a/b").mkdir()
    else:
        files = {"a/memory.max": limit, "a/memory.current": used, "a/b/memory.max": "max"}
        root = system(tmp_path, "0::/a/b\n", V2, {**files, "a/memory.stat": STAT})
    found = memory(root)
    assert (found.limit_bytes, found.available_bytes, found.limited_by) == expected


ASK = (
    "import json; from trainables.common.machine import cpus, memory; "
    "print(json.dumps([str(cpus()), memory().limit_bytes]))"
)


@pytest.mark.skipif(shutil.which("taskset") is None or len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_taskset() -> None:
    first = str(min(os.sched_getaffinity(0)))
    answer = subprocess.run(
        ["taskset", "-c", first, sys.executable, "-c", ASK], capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout)[0].startswith("1 of ")


@pytest.mark.skipif(not os.access("/sys/fs/cgroup/cpu", os.W_OK), reason="needs to make control groups")
def test_a_real_control_group() -> None:
    """Version 1, as root."""
    groups = {kind: Path(f"/sys/fs/cgroup/{kind}/tuneoff-test-{os.getpid()}") for kind in ("cpu", "memory")}
    try:
        for group in groups.values():
            group.mkdir()
        (groups["cpu"] / "cpu.cfs_quota_us").write_text("100000")
        (groups["memory"] / "memory.limit_in_bytes").write_text(str(GIB))
        enter = "; ".join(f"echo $$ > {group}/cgroup.procs" for group in groups.values())
        answer = subprocess.run(
            ["sh", "-c", f"{enter}; exec {sys.executable} -c '{ASK}'"], capture_output=True, text=True, check=True
        )
    except OSError as error:
        pytest.skip(f"this system lets nobody make control groups ({error})")
    finally:
        for group in groups.values():
            if group.is_dir():
                group.rmdir()
    said, limit = json.loads(answer.stdout)
    assert said.endswith("CPUs (cgroup quota of 1)")
    assert limit == GIB


def test_a_processor_has_a_name() -> None:
    assert machine.processor()
