from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from trainables.common import load
from trainables.common.load import Busyness, busyness, cpu_time_s, load_average


@pytest.mark.parametrize(
    ("load", "share", "busy"),
    [(0.3, 1.0, False), (2.0, 0.95, False), (0.3, 0.5, True), (4.0, 1.0, True), (None, 1.0, False), (None, 0.5, True)],
)
def test_busy_is_either_a_high_load_or_a_cpu_that_is_shared(load: float | None, share: float, busy: bool) -> None:
    assert Busyness(load, 2, share).busy is busy


def test_it_says_both_figures() -> None:
    told = str(Busyness(4.04, 2, 0.41))
    assert told == "load average 4.0 on 2 CPUs, a thread of this process gets 41% of a CPU"
    assert str(Busyness(None, 2, 0.41)) == "a thread of this process gets 41% of a CPU"


def test_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    found = busyness(0.01)
    assert 0.0 < found.share <= 1.0
    assert found.cpus == os.cpu_count()

    def not_told() -> tuple[float, float, float]:
        raise OSError

    monkeypatch.setattr(os, "getloadavg", not_told)
    assert load_average() is None
    assert busyness(0.01).load is None


def test_a_thread_that_is_kept_waiting_gets_a_small_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "thread_time", lambda: time.perf_counter() * 0.25)
    assert busyness(0.01).share == pytest.approx(0.25, abs=0.05)


def _burn(started: object, stop: object) -> None:
    while time.process_time() < 0.1:
        pass
    started.set()  # type: ignore[attr-defined]
    stop.wait()  # type: ignore[attr-defined]


def test_cpu_time_counts_loader_processes_that_live_and_those_that_ended() -> None:
    context = multiprocessing.get_context("fork")
    started, stop = context.Event(), context.Event()
    before, mine = cpu_time_s(), time.process_time()
    child = context.Process(target=_burn, args=(started, stop))
    child.start()
    started.wait(60)
    living = cpu_time_s() - before - (time.process_time() - mine)
    stop.set()
    child.join()
    ended = cpu_time_s() - before - (time.process_time() - mine)
    assert living >= 0.08
    assert ended >= living - 0.02


def test_what_the_kernel_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_ROOT", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2}, raising=False)
    assert (load.delayed_s(), load.stolen_s(), load.cpu_mhz()) == (None, None, None)
    (tmp_path / "proc/thread-self").mkdir(parents=True)
    (tmp_path / "proc/thread-self/schedstat").write_text("9000000000 1500000000 77\n")
    (tmp_path / "proc/stat").write_text("cpu  1 2 3 4 5 6 7 250 0 0\ncpu0 1\n")
    (tmp_path / "proc/cpuinfo").write_text(
        "processor\t: 0\ncpu MHz\t\t: 2000.0\n\nprocessor\t: 1\ncpu MHz : 9.9\n\nprocessor\t: 2\ncpu MHz : 3000.0\n"
    )
    assert load.delayed_s() == 1.5
    assert load.stolen_s() == 250 / os.sysconf("SC_CLK_TCK")
    assert load.cpu_mhz() == 2500.0
    for cpu, khz in ((0, 1_000_000), (2, 1_500_000)):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(f"{khz}\n")
    assert load.cpu_mhz() == 1250.0
    (tmp_path / "proc/thread-self/schedstat").write_text("nonsense\n")
    assert load.delayed_s() is None
