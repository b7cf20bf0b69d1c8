from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reports.page.checking import verify_report
from reports.page.report import write_report
from reports.tables.cautions import cautions
from reports.tables.weakness import disturbed, few_reached, weaknesses
from tests.reports.conftest import make, save, study, trial


def search(reached: int, missed: int, outcome: str = "out_of_time", framework: str = "pytorch") -> list[dict[str, Any]]:
    return [
        *(trial(framework, "search", number, 2.0 + number) for number in range(reached)),
        *(trial(framework, "search", reached + number, None, outcome=outcome) for number in range(missed)),
    ]


def few(rows: list[dict[str, Any]]) -> str:
    return " ".join(few_reached(study(rows).trials)["caution"])


@pytest.mark.parametrize(
    ("reached", "missed", "warned"),
    [(1, 9, True), (4, 6, True), (5, 5, False), (10, 0, False), (3, 0, False), (1, 0, False), (9, 21, True),
     (10, 20, False), (2, 1, True)],
)  # fmt: skip
def test_few_that_reached_the_target(reached: int, missed: int, warned: bool) -> None:
    said = few(search(reached, missed))
    assert bool(said) is warned
    if warned:
        assert said == (
            f"PyTorch: {reached} of {reached + missed} search trials reached 95 % ({missed} out of time); "
            "its best configuration rests on few."
        )


def test_none_that_reached_the_target_and_why() -> None:
    rows = [*search(0, 2), trial("pytorch", "search", 2, None, outcome="diverged")]
    assert few(rows) == "PyTorch: none of 3 search trials reached 95 % (2 out of time, 1 diverged)."


def test_trials_that_the_scheduler_stopped_were_judged() -> None:
    assert few(search(5, 25, "stopped")) == ""
    assert "4 of 30 search trials reached 95 % (26 stopped by ASHA)" in few(search(4, 26, "stopped"))


def test_trials_that_were_capped_are_no_misses() -> None:
    """Of each it is known that it is no better than the best, as of one that reached the target later."""
    assert few(search(5, 25, "capped")) == few(search(1, 4, "capped")) == ""
    assert "1 of 4 search trials reached 95 % (3 capped)" in few(search(1, 3, "capped"))


def test_each_framework_for_itself_and_no_sweep() -> None:
    said = few(search(1, 9) + search(6, 4, framework="flux"))
    assert said.startswith("PyTorch: 1 of 10")
    assert "Flux" not in said
    assert few([trial("pytorch", "sweep", number, None) for number in range(3)]) == ""
    assert "PyTorch: 1 of 10" in " ".join(cautions(study(search(1, 9)).trials, {})["caution"])


def ran(*shares: float, **changes: Any) -> list[dict[str, Any]]:
    """Trials that trained for ten seconds and got these CPUs, on a machine with two and little load."""
    quiet = {"train_wall_s": 10.0, "load_start": 1.5, "load_end": 1.5, "host_cpus": 2}
    return [
        trial("pytorch", "search", number, 2.0, **{**quiet, "train_cpu_s": 10.0 * share, **changes})
        for number, share in enumerate(shares)
    ]


def told(rows: list[dict[str, Any]]) -> str:
    return " ".join(disturbed(study(rows).trials)["caution"])


@pytest.mark.parametrize(
    "rows",
    [
        ran(0.98, 1.0, 0.97, 1.3),
        ran(0.6, 0.98, 1.0),  # slower, but it may wait for its loader
        ran(3.4, 3.5, 1.1),  # small batches keep one thread busy where others keep four
        ran(0.2, 0.9, 0.9, train_wall_s=0.4),  # too short to tell
        ran(0.3, 0.3, device="cuda"),  # whoever waits for a GPU need not spin
        ran(0.98, 0.98, load_start=9.0),  # what ran before it began
        ran(0.98, 0.98, load_end=9.0),
        ran(0.98, 0.98, load_start=9.0, load_end=9.0, host_cpus=64),
        ran(0.98, load_start=None, load_end=None),
        ran(0.1, 0.1, train_cpu_s=None, train_wall_s=None, load_start=None, load_end=None, host_cpus=None),
        [{**row, "framework": "simulated"} for row in ran(0.0, 0.0, load_start=9.0, load_end=9.0)],
    ],
)
def test_nobody_is_disturbed(rows: list[dict[str, Any]]) -> None:
    assert told(rows) == ""


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (ran(0.33, 0.98, 1.0), "1 of 3 trials ran on a busy machine, and their times are too long: "
                               "search-pytorch-00000 got 0.33 CPUs while it trained (the median trial 0.98), "
                               "at a load average of 1.5 on 2 CPUs."),
        (ran(0.4, 0.3, 0.45), "3 of 3 trials ran on a busy machine"),
        (ran(0.8, 1.7, 1.8), "1 of 3 trials"),
        (ran(0.4, 1.0, 1.0, device="cuda"), "1 of 3 trials"),
        (ran(0.98, 0.98, load_start=4.5, load_end=6.0), "2 of 2 trials"),
        (ran(0.98, 0.98, load_start=4.5, load_end=6.04), "at a load average of 6.0 on 2 CPUs"),
        (ran(0.3, 0.98, num_workers=0, train_delayed_s=4.0), "and waited for one for 40 % of the time, at"),
        (ran(0.3, 0.98, load_end=None), "(the median trial 0.64)."),
    ],
)  # fmt: skip
def test_a_busy_machine(rows: list[dict[str, Any]], words: str) -> None:
    assert words in told(rows)


def test_both_are_on_the_page_in_the_terminal_and_verified(tmp_path: Path) -> None:
    missed = {"reached": False, "outcome": "out_of_time", "warm_tta_s": None, "best_validation_accuracy": 0.9}
    rows = [row | missed for row in ran(0.3, 0.3, 0.3)]
    records = study([*rows, *(trial("pytorch", "search", 3 + number, 2.0) for number in range(2))])
    save(records, tmp_path)
    said = write_report(tmp_path, tmp_path / "report")
    page, text = (tmp_path / "report" / "index.html").read_text(), (tmp_path / "report" / "report.md").read_text()
    for words in ("2 of 5 search trials reached 95 % (3 out of time)", "3 of 3 trials ran on a busy machine"):
        assert words in said
        assert words in page
        assert words in text
    assert verify_report(tmp_path) == []


def test_records_of_a_version_that_did_not_count_say_nothing(tmp_path: Path) -> None:
    columns = ["train_cpu_s", "train_wall_s", "load_start", "load_end", "host_cpus"]
    records = make(0.5, runs=6)
    save(replace(records, trials=records.trials.drop(columns=columns)), tmp_path)
    said = write_report(tmp_path, tmp_path / "report")
    assert "busy" not in said
    assert verify_report(tmp_path) == []
    assert weaknesses(records.trials) == []
