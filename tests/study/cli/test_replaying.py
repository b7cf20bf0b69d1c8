"""``tuneoff replay``: what it prints, as text and as JSON, and what it refuses in a line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.study.cli.test_commands import call
from tests.study.replay import recorded


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(recorded.write(tmp_path_factory.mktemp("tables") / "small", rates=8, sizes=(32, 256)))


def test_what_a_search_costs_and_finds_in_a_few_lines(
    table: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    code, out, err = call(["replay", table, "--repetitions", "3", "--slots", "2"], capsys, monkeypatch)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "fashion-lenet: 16 configurations, 32 trainings, in seconds of no machine"
    assert lines[1] == "PyTorch: 3 searches of 30 trials (tpe, cap), 2 slots"
    heads = [line.split("  ")[1] for line in lines[2:]]
    assert heads == ["search", "race", "found", "best recorded", "within 5%"]
    assert " slice-s (" in lines[2]
    assert "capped" in lines[2]


def test_json_has_every_search_and_the_recorded_truth_beside_it(
    table: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["replay", table, "--repetitions", "2", "--seed", "7", "--set", "search.scheduler=fifo", "--json"]
    code, out, _ = call(arguments, capsys, monkeypatch)
    assert code == 0
    told = json.loads(out)
    found = told["frameworks"]["pytorch"]
    assert told["slots"] == 1
    assert set(found["best_recorded"]) == {"batch_size", "learning_rate", "num_workers", "truth_s"}
    assert [each["seed"] for each in found["repetitions"]] == [7, 8]
    for each in found["repetitions"]:
        assert each["truth_s"] == pytest.approx(found["best_recorded"]["truth_s"] * (1 + each["regret"]))
        assert "capped" not in each["outcomes"]
        assert each["search_s"] > 0 < each["race_s"]
    assert call(arguments, capsys, monkeypatch)[1] == out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "TABLE is missing"),
        (["nowhere"], "unknown table 'nowhere', and no such folder"),
        (["."], ". is neither a recorded table nor a study: it has no about.toml and no plan.toml"),
        (["s3://tables/a"], "s3"),
        (["{table}", "--repetitions", "0"], "--repetitions is 0; it must be 1 or more"),
        (["{table}", "--slots", "none"], "--slots is 'none'; it takes a whole number"),
        (["{table}", "--seed", "-1"], "--seed is -1"),
        (
            ["{table}", "--set", "training.limit_s=5"],
            "what was recorded cannot be changed; a replay takes keys of search",
        ),
        (["{table}", "--set", "confirm.runs=5"], "what was recorded cannot be changed"),
        (["{table}", "--set", "search.sampler=tpa"], "search.sampler"),
        (["{table}", "--set", "search.trials"], "write key=value"),
        (["{table}", "--set", "search.budget=5 EUR"], "a replay knows no price; give a time, as in 2h"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    message: str,
    table: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(["replay", *(each.format(table=table) for each in arguments)], capsys, monkeypatch)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


def test_a_recording_in_which_nothing_reaches_the_target_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = recorded.write(tmp_path / "hopeless", rates=3, sizes=(32,), limit_s=1.0)
    code, _, err = call(["replay", str(table)], capsys, monkeypatch)
    assert code == 2
    assert "no recorded training of PyTorch reaches the target; there is nothing to find" in err


def test_what_is_found_nowhere_and_what_stops_early_is_said_in_words(
    table: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    few = ["--set", "search.trials=1", "--set", "search.default_first=false", "--set", "race.runs=0"]
    bad = ["--set", "search.initial_points=[{learning_rate=0.01,batch_size=256,num_workers=0}]"]
    code, out, _ = call(["replay", table, "--repetitions", "1", *few, *bad], capsys, monkeypatch)
    assert code == 0
    lines = out.splitlines()
    assert lines[1] == "PyTorch: 1 search of 1 trial (tpe, cap), 1 slot"
    assert lines[3].split() == ["race", "none"]
    assert lines[4].split() == ["found", "nothing", "that", "reaches", "the", "target"]
    assert lines[6].endswith("0 of 1 search")
    _, out, _ = call(["replay", table, "--repetitions", "3", "--set", "search.budget=200s"], capsys, monkeypatch)
    assert re.search(r"slice-s \([0-9 to]+\); \d+ \(\d+ to \d+\) trials: ", out.splitlines()[2])


def test_more_slots_than_trials_are_never_filled(
    table: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ["replay", table, "--repetitions", "1", "--set", "search.trials=4", "--json"]
    found = [
        json.loads(call([*few, "--slots", slots], capsys, monkeypatch)[1])["frameworks"]
        for slots in ("4", "5", "1000000000")
    ]
    assert found[0] == found[1] == found[2]


def test_a_framework_of_which_nothing_reaches_the_target_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = recorded.write(tmp_path / "half", rates=4, sizes=(32, 256), frameworks=("pytorch", "simulated"))
    curves = pq.read_table(folder / "curves.parquet").to_pylist()
    for row in curves:
        row["accuracy"] *= 0.5 if row["framework"] == "simulated" else 1.0
    pq.write_table(pa.Table.from_pylist(curves), folder / "curves.parquet")
    few = ["replay", str(folder), "--repetitions", "1", "--set", "search.trials=5"]
    code, out, err = call(few, capsys, monkeypatch)
    assert (code, err) == (0, "")
    assert out.splitlines()[1] == "no recorded training of Simulated reaches the target: left out"
    assert sum("1 search of 5 trials" in line for line in out.splitlines()) == 1
    found = json.loads(call([*few, "--json"], capsys, monkeypatch)[1])
    assert list(found["frameworks"]) == ["pytorch"]


def test_a_study_that_is_not_there_may_be_the_one_in_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "dense").mkdir(parents=True)
    (tmp_path / "results" / "dense" / "plan.toml").touch()
    _, _, err = call(["replay", "dense"], capsys, monkeypatch)
    assert err == "tuneoff: unknown table 'dense', and no such folder; did you mean results/dense?\n"
