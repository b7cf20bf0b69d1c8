"""Recording real curves on digits: which trainings, what a line says, going on, and the table that becomes of it."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.search_bench import costs, lines, record, tables
from tests.search_bench.grid import Job, batch_sizes, coarse_to_fine, jobs, learning_rates
from trainables.workloads.workload import Workload, find

SMALL = ["digits-lenet", "--per-batch", "1", "--seeds", "1", "--epochs", "1"]


@pytest.fixture(scope="module")
def digits() -> Workload:
    return find("digits-lenet")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("recorded") / "digits.jsonl"
    assert record.main([*SMALL, "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize("count", [1, 2, 5, 34])
def test_every_stratum_has_one_learning_rate(count: int) -> None:
    low, high = 0.01, 0.5
    rates = learning_rates({"low": low, "high": high, "log": True}, 32, count)
    edges = [low * (high / low) ** (each / count) for each in range(count + 1)]
    assert all(edges[each] * 0.9999 <= rate <= edges[each + 1] * 1.0001 for each, rate in enumerate(rates))
    assert json.loads(json.dumps(rates)) == rates
    assert rates != learning_rates({"low": low, "high": high, "log": True}, 64, count)


@pytest.mark.parametrize("count", [1, 2, 3, 34, 64])
def test_coarse_to_fine_is_an_order_of_all(count: int) -> None:
    assert sorted(coarse_to_fine(count)) == [*range(count)]
    assert coarse_to_fine(8) == [0, 4, 2, 6, 1, 5, 3, 7]


def test_jobs_are_one_seed_after_the_other_and_the_long_ones_of_a_stratum_first(digits: Workload) -> None:
    found = list(jobs(digits, framework="pytorch", per_batch=3, seeds=2))
    assert len({*found}) == len(found) == 3 * len(batch_sizes(digits)) * 2
    assert [job.seed for job in found] == [0] * 12 + [1] * 12
    assert [job.batch_size for job in found[:5]] == [16, 32, 64, 128, 16]
    assert [replace(job, seed=0) for job in found[12:]] == found[:12]


def test_a_line_says_what_was_trained_and_every_evaluation(recorded: Path, digits: Workload) -> None:
    rows = lines.read(recorded)
    assert [row["batch_size"] for row in rows] == batch_sizes(digits)
    for row in rows:
        assert len(row["samples"]) == len(row["accuracy"]) == 2
        assert row["samples"][-1] == 1079
        assert all(0 <= each <= 1 for each in row["accuracy"])
        assert (row["outcome"], row["epochs_limit"], row["device"]) == ("out_of_epochs", 1, "cpu")


def test_what_a_file_has_is_not_done_again(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = recorded.read_text()
    torn = tmp_path / "torn.jsonl"
    torn.write_text(whole[:-20])
    trained = []
    real = record.Recording.train

    def train(recording: record.Recording, job: Job) -> lines.Row | None:
        trained.append(job)
        return real(recording, job)

    monkeypatch.setattr(record.Recording, "train", train)
    assert record.main([*SMALL, "--out", str(torn)]) == 0
    assert [job.batch_size for job in trained] == [128]
    again, before = lines.read(torn), lines.read(recorded)
    assert [(row["samples"], row["accuracy"]) for row in again] == [(row["samples"], row["accuracy"]) for row in before]
    assert record.main([*SMALL, "--out", str(torn)]) == 0
    assert len(trained) == 1
    assert capsys.readouterr().out.endswith("all are there\n")


def test_what_ended_soonest_with_another_seed_can_come_first(digits: Workload) -> None:
    wanted = list(jobs(digits, framework="pytorch", per_batch=1, seeds=2))
    rows = [{**job.as_row(), "samples": [count]} for job, count in zip(wanted, (900, 500, 700), strict=False)]
    assert record.missing_in(rows, wanted) == wanted[3:]
    quick = record.missing_in(rows, wanted, quick_first=True)
    assert quick == [wanted[5], wanted[6], wanted[4], wanted[3], wanted[7]]


def test_no_more_than_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "few.jsonl"
    assert record.main([*SMALL, "--out", str(out), "--most", "1"]) == 3
    assert [row["batch_size"] for row in lines.read(out)] == [16]
    assert capsys.readouterr().out.endswith("3 are missing\n")


def test_another_limit_of_epochs_is_refused(recorded: Path) -> None:
    with pytest.raises(SystemExit, match=r"was recorded with --epochs 1; a table needs one limit for all"):
        record.main([*SMALL[:-1], "2", "--out", str(recorded)])


@pytest.mark.parametrize("processes", ["1", "2"])
def test_nothing_is_kept_of_what_has_not_ended_in_time(
    processes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "late.jsonl"
    assert record.main([*SMALL, "--out", str(out), "--until", "0", "--processes", processes]) == 3
    assert lines.read(out) == []
    assert capsys.readouterr().out.endswith("4 are missing\n")


def test_a_training_ends_when_the_target_held(digits: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    easy = replace(digits, target=0.05)
    monkeypatch.setattr(record, "find", lambda _: easy)
    row = record.Recording("digits-lenet", epochs=3, device="cpu", until=None).train(Job("pytorch", 64, 0.05, 0))
    assert row is not None
    assert (row["outcome"], len(row["samples"])) == ("reached", digits.holds)


def test_a_gpu_gets_the_data_whole() -> None:
    spec = record.Recording("digits-lenet", epochs=3, device="cuda", until=None).spec(Job("pytorch", 64, 0.05, 1))
    assert (spec.device, spec.execution.data_on_device, spec.hyperparameters.num_workers, spec.seed) == (
        "cuda",
        True,
        0,
        1,
    )
    assert spec.limit_s >= 1e5


def test_a_table_of_it(recorded: Path, tmp_path: Path, digits: Workload, capsys: pytest.CaptureFixture[str]) -> None:
    measured = tmp_path / "costs.jsonl"
    for size in batch_sizes(digits):
        cost = costs.Cost("pytorch", size, 0, 1e-5, 0.1, 0.02, 0.3)
        extra = {
            "workload": "digits-lenet",
            "process_s": 3.0,
            "machine": "m",
            "torch": "2",
            "threads": 2,
            "rounds": 2,
            "load": 0.1,
            "measured_at": 1_800_000_000,
        }
        lines.append(measured, {**vars(cost), **extra})
    folder = tmp_path / "table"
    given = ["digits-lenet", "--curves", str(recorded), "--costs", str(measured), "--out", str(folder)]
    assert tables.main(given) == 0
    assert "4 trainings" in capsys.readouterr().out
    curves = pq.read_table(folder / "curves.parquet").to_pylist()
    assert [row["evaluation"] for row in curves] == [1, 2] * 4
    first = lines.read(recorded)[0]
    assert [row["samples"] for row in curves[:2]] == first["samples"]
    assert [row["accuracy"] for row in curves[:2]] == pytest.approx(first["accuracy"])
    assert curves[0]["learning_rate"] == first["learning_rate"]
    written = pq.read_table(folder / "costs.parquet")
    assert written.column("seconds_per_sample").to_pylist() == [1e-5] * 4
    assert written.column("process_s").to_pylist() == [3.0] * 4
    about = tomllib.loads((folder / "about.toml").read_text())
    assert (about["workload"], about["epochs"], about["target"], about["holds"]) == ("digits-lenet", 1, 0.94, 2)
    assert about["recorded"]["trainings"] == about["recorded"]["where"][0]["trainings"] == 4
    assert about["recorded"]["with_both_seeds"] == 0
    assert about["space"]["batch_size"]["choices"] == [16, 32, 64, 128]


def test_a_table_of_two_limits_is_none(recorded: Path, tmp_path: Path, digits: Workload) -> None:
    rows = lines.read(recorded)
    with pytest.raises(SystemExit, match="recorded with different limits"):
        tables.write(tmp_path / "table", digits, [rows[0], {**rows[1], "epochs_limit": 9}], [])


def test_costs_are_the_least_of_all_rounds(digits: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([3.0] * 12 + [2.0] * 6 + [4.0] * 6)
    monkeypatch.setattr(
        costs, "one_epoch", lambda _, framework, size, workers, threads: _cost(size, workers, next(seconds))
    )
    found = list(costs.measure(digits, framework="pytorch", threads=1, rounds=2))
    assert [(each.batch_size, each.num_workers) for each in found[:4]] == [(16, 0), (16, 1), (16, 2), (32, 0)]
    assert [each.evaluation_s for each in found] == [2.0] * 6 + [3.0] * 6


def test_an_epoch_tells_costs(digits: Workload) -> None:
    cost = costs.one_epoch(digits, "pytorch", 128, 0, threads=1)
    assert 0 < cost.seconds_per_sample < 1
    assert min(cost.evaluation_s, cost.startup_s, cost.warm_s) > 0


def _cost(size: int, workers: int, seconds: float) -> costs.Cost:
    return costs.Cost("pytorch", size, workers, seconds, seconds, seconds, seconds)
