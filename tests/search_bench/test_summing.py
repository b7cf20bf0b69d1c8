from __future__ import annotations

import csv
from math import inf
from pathlib import Path

import pytest

from tests.search_bench import __main__ as bench
from tests.search_bench.running import Job, Run, keep, kept, rules, run
from tests.search_bench.summing import close_s, estimate, ratio, regret_at
from tests.search_bench.writing import figure, markdown, summary, write_csv
from tests.study.replay import recorded


def made(strategy: str, repetition: int, *steps: tuple[float, float | None]) -> Run:
    return Run(
        Job("fashion-lenet", "pytorch", 1, strategy, repetition), list(steps), steps[-1][0], steps[-1][1], {}, 0.0
    )


def test_a_median_has_an_interval_and_may_be_never() -> None:
    found = estimate([1.0, 2.0, 3.0, 4.0, 100.0])
    assert (found.value, found.low <= 3.0 <= found.high) == (3.0, True)
    assert str(estimate([inf, inf, inf])) == "never"
    assert estimate([1.0, inf, inf]).value == inf
    assert str(estimate([5.0, 5.0])) == "5 [5, 5]"


def test_a_ratio_is_of_medians() -> None:
    found = ratio([1.0] * 9, [4.0] * 9)
    assert (found.value, found.low, found.high) == (0.25, 0.25, 0.25)
    assert ratio([inf] * 3, [1.0] * 3).value == inf


def test_steps_are_looked_up_by_cost_and_by_regret() -> None:
    known = made("tune", 0, (10.0, None), (20.0, 0.5), (30.0, 0.04), (40.0, 0.2))
    assert close_s(known, 0.05) == 30.0
    assert close_s(known, 0.01) == inf
    assert [regret_at(known, at) for at in (5.0, 15.0, 25.0, 35.0, 99.0)] == [inf, inf, 0.5, 0.04, 0.2]


def test_runs_of_other_rules_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, mine = tmp_path / "runs.jsonl", made("tune", 0, (10.0, 0.5))
    with path.open("a") as file:
        keep(file, mine)
        file.write('{"torn')
    assert list(kept(path)) == [mine]
    monkeypatch.setattr("tests.search_bench.running.rules", lambda table: "others")
    assert list(kept(path)) == []


def test_runs_on_another_table_do_not_count(tmp_path: Path) -> None:
    first, second = (str(recorded.write(tmp_path / name, rates=2, sizes=(32,))) for name in ("first", "second"))
    before = rules(second)
    assert rules(first) == before  # they are alike
    rules.cache_clear()
    recorded.write(Path(second), rates=3, sizes=(32,))
    assert rules(second) != before == rules(first)
    rules.cache_clear()


def test_the_table_has_every_strategy_and_the_csv_every_number(tmp_path: Path) -> None:
    runs = {
        name: [made(name, each, (scale * (10.0 + each), 0.5), (scale * (30.0 + each), 0.02)) for each in range(5)]
        for name, scale in (("tune", 2.0), ("ours", 1.0))
    }
    rows = summary(runs, reference_s=100.0)
    assert str(rows[1]["within 5%, of plain Tune's"]).startswith("0.5 [")
    text = markdown(rows, "A head.")
    assert text.splitlines()[4].startswith("| Ray Tune, OptunaSearch (TPE) | 64 [")
    assert text.splitlines()[5].startswith("| **tuneoff, as plans have it** | 32 [")
    write_csv(rows, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open() as file:
        read = list(csv.DictReader(file))
    assert [row["strategy"] for row in read] == ["tune", "ours"]
    assert float(read[1]["within 5%"]) == 32.0
    assert float(read[1]["within 5%, low"]) <= 32.0 <= float(read[1]["within 5%, high"])
    assert len(figure(runs, 100.0, "title").axes[0].lines) == 3  # two strategies, and what is close


def test_a_run_is_the_same_again_and_goes_through_a_file(tmp_path: Path) -> None:
    table = str(recorded.write(tmp_path / "small", rates=5, sizes=(32, 256)))
    first, second = run(Job(table, "pytorch", 1, "ours", 3)), run(Job(table, "pytorch", 1, "ours", 3))
    assert (first.steps, first.planned_s) == (second.steps, second.planned_s)
    assert sum(first.outcomes.values()) == 30
    assert first.steps == sorted(first.steps, key=lambda step: step[0])


def test_the_command_writes_a_table_a_csv_and_a_figure_and_goes_on_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = str(recorded.write(tmp_path / "small", rates=4, sizes=(32, 256)))
    arguments = [table, "--strategies", "random,ours", "--slots", "1", "--runs", str(tmp_path / "runs.jsonl")]
    out = ["--out", str(tmp_path / "results")]
    assert bench.main([*arguments, *out, "--repetitions", "1"]) == 0
    capsys.readouterr()
    assert bench.main([*arguments, *out, "--repetitions", "2"]) == 0
    assert "2 of 2 searches" in capsys.readouterr().err  # the other two are there
    names = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert names == ["small-1.csv", "small-1.md", "small-1.svg"]
    with pytest.raises(SystemExit):
        bench.main([table, "--strategies", "tunne"])
    assert "unknown strategy tunne" in capsys.readouterr().err


def test_each_framework_of_a_table_is_searched_and_has_files_of_its_own(tmp_path: Path) -> None:
    table = str(recorded.write(tmp_path / "small", rates=4, sizes=(32, 256), frameworks=("flux", "pytorch")))
    runs, out = tmp_path / "runs.jsonl", tmp_path / "results"
    asked = [table, "--strategies", "random", "--slots", "1", "--repetitions", "1"]
    assert bench.main([*asked, "--runs", str(runs), "--out", str(out)]) == 0
    assert [each.job.framework for each in kept(runs)] == ["flux", "pytorch"]
    assert "PyTorch, 1 slot" in (out / "small-pytorch-1.md").read_text()
    assert "Flux, 1 slot" in (out / "small-flux-1.md").read_text()
