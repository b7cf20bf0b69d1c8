"""What a study shows while it runs: on a terminal of any width, and where there is none."""

from __future__ import annotations

import io

import pytest

from study.console import Screen, SteadyConsole
from study.driver.progress import Progress
from study.plan.files import load_plan
from tests.study.driver.test_outlook import row
from tests.study.terminal import CONTROL, able, lines, screen
from trainables.contract import Record

LONGEST = "confirm-simulated2-00004-00000-2"
HOST = "gpu-node-0123.cluster.example.org"
EVALUATION = {"validation_accuracy": 0.9123, "validation_loss": 0.3, "train_s": 12.34}


def identity(name: str, framework: str = "simulated", host: str = "h") -> Record:
    return {"trial_id": name, "framework": framework, "host": host}


def begun(shown: Screen) -> Progress:
    progress = Progress(shown)
    plan = load_plan("quickstart", settings=["search.trials=8", "confirm.runs=3"], frameworks=["simulated"])
    progress.begin(plan, ("search", "confirm"), [])
    return progress


def drawn(shown: Screen) -> list[str]:
    """What stands below the lines now."""
    console = SteadyConsole(file=io.StringIO(), width=shown.console.width, height=shown.console.height)
    with console.capture() as captured:
        console.print(shown._picture())
    return [line.rstrip() for line in captured.get().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_names_are_whole_at_any_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    able(monkeypatch)
    shown, _ = screen(width)
    progress = begun(shown)
    with shown.moving("x"), progress.phase("search", {"simulated": 8, "simulated2": 8}, []):
        progress.started(identity("search-simulated-00001"))
        progress.started(identity(LONGEST, "simulated2", HOST))
        progress.evaluated(identity(LONGEST, "simulated2", HOST), EVALUATION)
        progress.finished(row("search-simulated-0", "simulated", host="h", objective=12.34))
        found = drawn(shown)
    text = "\n".join(found)
    assert all(len(line) <= width - 4 for line in found)
    for name in ("search-simulated-00001", LONGEST, HOST, "Simulated 2", "1 of 19", "1 of 8, 1 reached"):
        assert name in text, text
    assert "starting on h" in text
    assert "91.2% after 12.3 s" in " ".join(text.split())
    assert "\u2026" not in text


def test_one_bar_and_the_time_left_for_the_whole_study(monkeypatch: pytest.MonkeyPatch) -> None:
    able(monkeypatch)
    shown, written = screen(80)
    progress = begun(shown)
    with shown.moving("starting Ray"):
        assert drawn(shown)[0].endswith(" starting Ray")
        with progress.phase("search", {"simulated": 8}, []):
            assert "0 of 11" in drawn(shown)[0]
            assert "left" not in drawn(shown)[0]
            assert "waiting for a process" in drawn(shown)[-1]
            progress.finished(row("search-simulated-0", "simulated", took_s=60.0))
            assert drawn(shown)[0].endswith("1 of 11 about 10 min left")  # 7 more, and 3 that confirm
            progress.finished(row("s-1", "simulated", reached=False, outcome="failed", error="x"))
            assert "2 of 8, 1 reached, 1 failed, best 1.00 s" in " ".join("\n".join(drawn(shown)).split())
            capped = {"outcome": "capped", "objective_clock": "warm", "train_s": 1.5}
            progress.finished(row("s-2", "simulated", reached=False, took_s=5.0, **capped))
            assert "3 of 8, 1 reached, 1 capped, 1 failed" in " ".join("\n".join(drawn(shown)).split())
        assert len(drawn(shown)) == 1
        with progress.phase("confirm", {"simulated": 3}, []):
            assert "confirm" in drawn(shown)[0]
            assert "3 of 11" in drawn(shown)[0]
    said = [line for line in lines(written.getvalue()) if "slice-s" in line]
    assert said == [
        "search, Simulated: 3 of 8, 1 reached, 1 capped, 1 failed, 75 slice-s",
        "confirm, Simulated: 0 of 3, 0 reached, 0 slice-s",
    ]


def test_more_trials_than_lines_and_no_line_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    able(monkeypatch)
    shown, _ = screen(80, height=12)
    progress = begun(shown)
    with shown.moving("x"), progress.phase("search", {"simulated": 64}, []):
        for number in range(2):
            progress.started(identity(f"search-simulated-{number}"))
        before = len(drawn(shown))
        progress.finished(row("search-simulated-0", "simulated"))
        progress.finished(row("search-simulated-1", "simulated"))
        assert len(drawn(shown)) == before
        for number in range(2, 64):
            progress.started(identity(f"search-simulated-{number}"))
        found = drawn(shown)
        assert len(found) <= 12
        assert found[-1].startswith("and 5")


def test_elsewhere_plain_lines_at_a_sensible_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    able(monkeypatch, FORCE_COLOR="1")
    written = io.StringIO()
    shown = Screen(SteadyConsole(file=written, width=80, soft_wrap=True, markup=False))
    progress = begun(shown)
    now = 1000.0
    monkeypatch.setattr("study.driver.progress.time.monotonic", lambda: now)
    with shown.moving("reading the plan"), progress.phase("search", {"simulated": 8}, []):
        progress.doing("starting Ray")
        progress.started(identity("search-simulated-0"))
        for _ in range(600):  # ten minutes, an evaluation every second
            now += 1.0
            progress.evaluated(
                identity("search-simulated-0"), {**EVALUATION, "validation_accuracy": 0.5, "train_s": 1.0}
            )
        progress.finished(row("search-simulated-0", "simulated"))
    said = written.getvalue()
    assert not CONTROL.search(said)
    assert said.startswith("starting Ray\n  running search-simulated-0 50.0% after 1.0 s\n")
    assert 50 <= said.count("running") <= 120
    assert "search Simulated 1/8: 1.00 s (lr 0.1, batch 32, workers 0); best 1.00 s; cost 10 slice-s; about " in said
    assert said.splitlines()[-1] == "search, Simulated: 1 of 8, 1 reached, 10 slice-s"
