"""A process that never comes for a trial is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from study.cluster.starting import START_LIMIT_S, NothingStarts, StartWatch, last_words, start_limit_s


def test_on_a_busy_machine_a_process_has_longer_to_start() -> None:
    assert start_limit_s(1.0) == START_LIMIT_S
    assert start_limit_s(0.25) == 4 * START_LIMIT_S
    assert start_limit_s(0.0) == 10 * START_LIMIT_S


def test_waiting_while_nothing_runs_ends() -> None:
    watch = StartWatch(10.0)
    watch.look(["PENDING"], now=100.0)
    watch.look(["PENDING", "PENDING"], now=109.0)
    with pytest.raises(NothingStarts, match="no process for a trial in 11 s"):
        watch.look(["PENDING"], now=111.0)


@pytest.mark.parametrize("meanwhile", [["RUNNING", "PENDING"], ["TERMINATED"], []])
def test_a_trial_that_runs_or_none_that_waits_begins_the_count_anew(meanwhile: list[str]) -> None:
    watch = StartWatch(10.0)
    watch.look(["PENDING"], now=100.0)
    watch.look(meanwhile, now=109.0)
    watch.look(["PENDING"], now=112.0)
    watch.look(["PENDING"], now=121.0)
    with pytest.raises(NothingStarts):
        watch.look(["PENDING"], now=123.0)


def test_without_a_limit_it_waits() -> None:
    watch = StartWatch(None)
    watch.look(["PENDING"], now=0.0)
    watch.look(["PENDING"], now=1e6)


def test_the_last_words_are_of_the_telling_log(tmp_path: Path) -> None:
    assert last_words(tmp_path) == ""
    (tmp_path / "raylet.out").write_text("started\n")
    assert last_words(tmp_path).endswith("raylet.out ends: started")
    (tmp_path / "worker-a.err").write_text(":job_id:01\n")  # Ray's own mark says nothing
    assert "raylet.out" in last_words(tmp_path)
    (tmp_path / "worker-b.err").write_bytes(b"1\n2\n\n3\n\xff4\n")
    assert last_words(tmp_path).endswith("worker-b.err ends: 2 / 3 / \N{REPLACEMENT CHARACTER}4")
    (tmp_path / "worker-c.err").write_text("newer\n")
    os.utime(tmp_path / "worker-b.err", (1, 1))
    assert last_words(tmp_path).endswith("worker-c.err ends: newer")
