from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from trainables.common import slots
from trainables.common.machine import Cpus
from trainables.spec import TrainingSpec
from trainables.training import Training

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
TWO_THREADS_A_CORE = {0: 0, 1: 1, 2: 2, 3: 3, 4: 0, 5: 1, 6: 2, 7: 3}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Names of this test's own, so that what else runs on the machine has no part in it."""
    bound = slots._bound
    monkeypatch.setattr(slots, "_bound", lambda name: bound(f"{name}-test-{os.getpid()}"))
    monkeypatch.setattr(slots, "WAIT_S", 0.0)
    monkeypatch.delenv("SLURM_CPUS_ON_NODE", raising=False)
    ours = os.sched_getaffinity(0)
    monkeypatch.setattr(slots, "cpus", lambda: Cpus(len(ours), len(ours)))
    yield
    slots.let_go()
    assert os.sched_getaffinity(0) == ours


@pytest.mark.parametrize(
    ("count", "free", "found"),
    [
        (1, range(8), [0]),
        (1, [1, 2, 3, 4, 5, 6, 7], [1]),  # a core of its own, while there is one
        (2, range(8), [0, 4]),
        (2, [1, 2, 3, 4, 5, 6, 7], [1, 5]),
        (3, range(8), [0, 4, 1]),
        (3, [1, 2, 3, 4, 7], [3, 7, 4]),
        (2, [1, 2], [1, 2]),
        (8, range(8), [0, 4, 1, 5, 2, 6, 3, 7]),
    ],
)
def test_whole_cores_come_first(count: int, free: list[int], found: list[int]) -> None:
    assert slots.chosen(count, free, TWO_THREADS_A_CORE) == found


def test_hyperthreads_are_known_by_what_the_kernel_says(tmp_path: Path) -> None:
    for cpu, siblings in ((0, "0,4\n"), (4, "0,4\n"), (1, "1-2\n"), (2, "1-2\n"), (3, "nonsense\n")):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(siblings)
    assert slots.cores_of([0, 1, 2, 3, 4, 5], tmp_path) == {0: 0, 1: 1, 2: 1, 3: 3, 4: 0, 5: 5}


@pytest.mark.parametrize(
    ("held", "said"), [((), ""), ((3,), "3"), ((0, 1, 2), "0-2"), ((0, 2, 3, 8), "0,2-3,8"), ((5, 4), "4-5")]
)
def test_cpus_are_told_as_the_kernel_tells_them(held: tuple[int, ...], said: str) -> None:
    assert slots.told(held) == said


def test_a_process_is_held_with_all_its_threads_and_children() -> None:
    go, seen = threading.Event(), []
    thread = threading.Thread(target=lambda: (go.wait(), seen.append(os.sched_getaffinity(0))))  # began before
    thread.start()
    held = slots.hold(1)
    go.set()
    thread.join()
    assert len(held) == 1
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"], capture_output=True, text=True, check=True
    )
    assert seen == [set(held)] == [os.sched_getaffinity(0)]
    assert child.stdout.strip() == str(set(held))


OTHER = """
import os, sys, time
from trainables.common import slots
bound = slots._bound
slots._bound = lambda name: bound(name + "-test-" + sys.argv[1])
if sys.argv[3] == "forks" and slots.hold(int(sys.argv[2])) is not None and os.fork() == 0:
    time.sleep(600)
print(*(slots._taken or slots.hold(int(sys.argv[2]))), flush=True)
time.sleep(600)
"""


def another(count: int, *, forks: bool = False) -> tuple[subprocess.Popen[str], set[int]]:
    """Another process that takes CPUs, and which."""
    words = [sys.executable, "-c", OTHER, str(os.getpid()), str(count), "forks" if forks else ""]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    return process, {int(cpu) for cpu in process.stdout.readline().split()}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU alone")
def test_two_processes_get_other_cpus_and_a_killed_one_gives_them_back() -> None:
    process, theirs = another(1, forks=True)
    try:
        mine = slots.hold(len(os.sched_getaffinity(0)) - 1)
        assert len(theirs) == 1
        assert mine
        assert not theirs & set(mine)
        slots.let_go()
        assert slots.hold(len(os.sched_getaffinity(0))) == ()  # as long as the other has one
        process.kill()  # and not the child that it has forked
        process.wait()
        assert slots.hold(len(os.sched_getaffinity(0)))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_nothing_is_held_where_a_quota_leaves_fewer_cpus_than_the_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = len(os.sched_getaffinity(0))
    monkeypatch.setattr(slots, "cpus", lambda: Cpus(max(1, ours - 1), ours, "cgroup quota of 1"))
    assert slots.hold(1) == () or ours == 1
    assert slots.hold(ours + 1) == ()
    assert not slots._taken


def test_a_container_that_forbids_it_is_minded(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(task: int, wanted: set[int]) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "sched_setaffinity", forbidden)
        assert slots.hold(1) == ()
    assert not slots._taken


def test_a_process_that_serves_another_training_is_held_anew() -> None:
    first = slots.hold(1)
    assert slots.hold(1) == first  # it had given them back before
    slots.let_go()
    slots.let_go()


def test_a_training_that_is_pinned_says_to_what_and_lets_go(spec: TrainingSpec) -> None:
    ours = os.sched_getaffinity(0)
    training = Training(replace(spec, pinned=True))
    training.advance()
    held = os.sched_getaffinity(0)
    assert len(held) == 1
    assert training.result()["pinned_cpus"] == str(*held)
    training.close()
    assert os.sched_getaffinity(0) == ours
    free = Training(spec)
    free.advance()
    assert free.result()["pinned_cpus"] == ""
    assert os.sched_getaffinity(0) == ours
    free.close()


def test_loader_processes_share_the_cpus_of_their_training(spec: TrainingSpec) -> None:
    knobs = replace(spec.hyperparameters, num_workers=2, learning_rate=0.05)
    training = Training(replace(spec, framework="pytorch", pinned=True, hyperparameters=knobs, target=1.0))
    training.advance()
    found = [os.sched_getaffinity(child.pid or 0) for child in multiprocessing.active_children()]
    assert found == [os.sched_getaffinity(0)] * 2
    assert len(found[0]) == 1
    training.close()
