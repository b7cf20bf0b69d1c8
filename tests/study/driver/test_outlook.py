"""How long the rest of a study takes: what is said, when nothing is, and that it does not jump."""

from __future__ import annotations

from itertools import pairwise

import pytest

from study.driver.outlook import Outlook, counted, in_words, wanted_by
from study.driver.phases import phases_of
from study.plan.files import load_plan
from trainables.contract import Record


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def row(name: str, framework: str = "a", phase: str = "search", took_s: float = 10.0, **changes: object) -> Record:
    number = int(name.rpartition("-")[2])
    made = {"trial_id": name, "framework": framework, "phase": phase, "number": number, "slice_s": took_s}
    times = {"startup_s": 2.0, "compile_s": 1.0, "train_s": took_s - 4.0, "eval_s": 1.0, "checkpoint_s": 0.0}
    ended = {"reached": True, "outcome": "reached", "objective": 1.0, "confirms": None if phase == "search" else 0}
    point = {"learning_rate": 0.1, "batch_size": 32, "num_workers": 0}
    return {**made, **times, **ended, **point, "seed": number, "host": "h", "hosts": 1, "attempt": 1, **changes}


def test_the_phases_of_a_plan() -> None:
    settings = ["search.trials=7", "confirm.runs=3", "race.configurations=2", "race.runs=4"]
    plan = load_plan("quickstart", settings=settings, frameworks=["simulated"])
    wanted = {"search": {"simulated": 7}, "race": {"simulated": 8}, "confirm": {"simulated": 3}}
    assert wanted_by(plan, phases_of(plan)) == wanted
    assert wanted_by(plan, ("confirm",)) == {"confirm": {"simulated": 3}}


def test_nothing_is_said_without_a_basis() -> None:
    outlook = Outlook({"search": {"a": 4, "b": 4}, "confirm": {"a": 2, "b": 2}}, Clock())
    assert outlook.left_s() is None
    outlook.begin("search", at_once=lambda: 2, fresh=False)
    for name in "ab":
        outlook.started(f"{name}-0", name)
    outlook.finished(row("a-0"))
    assert outlook.left_s() is None  # of b nothing is known: it may take ten times as long
    outlook.finished(row("b-0", "b"))
    assert outlook.left_s() is not None


def test_all_phases_count() -> None:
    outlook = Outlook({"search": {"a": 4}, "confirm": {"a": 3}})
    outlook.know([row("a-0"), row("a-1", took_s=20.0)])
    # Two more of 15 s on average; three times the best one's training, and start and compilation of a process.
    assert outlook.left_s() == pytest.approx(2 * 15.0 + 3 * 10.0)
    outlook.wanted = {"confirm": {"a": 3}}
    assert outlook.left_s() == pytest.approx(30.0)


def test_what_the_race_took_the_confirmation_takes() -> None:
    outlook = Outlook({"search": {"a": 2}, "race": {"a": 4}, "confirm": {"a": 3}})
    outlook.know([row("a-0"), row("a-1", took_s=20.0)])
    assert outlook.left_s() == pytest.approx(4 * 15.0 + 3 * 10.0)  # several configurations, and then the best
    outlook.know([row("r-0", phase="race", took_s=12.0), row("r-1", phase="race", took_s=14.0)])
    assert outlook.left_s() == pytest.approx(2 * 13.0 + 3 * 13.0)


def test_runs_that_confirm_a_former_winner_do_not_count() -> None:
    rows = [row("a-0", objective=2.0), row("a-1"), row("c-0", phase="confirm"), row("c-1", phase="confirm", confirms=1)]
    assert [each["trial_id"] for each in counted(rows, "confirm")] == ["c-1"]
    outlook = Outlook({"search": {"a": 2}, "confirm": {"a": 2}})
    outlook.know(rows)
    assert outlook.done("confirm") == 1
    assert outlook.left_s() == pytest.approx(10.0)


def test_a_search_that_reached_nothing_leaves_nothing_to_confirm() -> None:
    outlook = Outlook({"search": {"a": 2}, "confirm": {"a": 3}})
    outlook.know([row("a-0", reached=False)])
    assert outlook.left_s() == pytest.approx(10.0 + 3 * 10.0)
    outlook.know([row("a-1", reached=False)])
    assert outlook.left_s() == 0.0


def test_what_runs_has_been_running_for_a_while() -> None:
    clock = Clock()
    outlook = Outlook({"search": {"a": 3}}, clock)
    outlook.know([row("a-0"), row("a-1")])
    outlook.begin("search", at_once=lambda: 1, fresh=False)
    outlook.started("a-2", "a")
    clock.now += 4.0
    assert outlook.left_s() == pytest.approx(6.0)
    clock.now += 100.0  # longer than any before: it may end at any moment
    assert outlook.left_s() == 0.0


def test_the_wait_for_a_process_is_part_of_each_run_that_has_its_own() -> None:
    clock = Clock()
    outlook = Outlook({"confirm": {"a": 3}}, clock)
    outlook.know([row("a-0")])
    outlook.begin("confirm", at_once=lambda: 1, fresh=True)
    outlook.dealt("c-0")
    clock.now += 5.0
    outlook.started("c-0", "a")
    clock.now += 10.0
    outlook.finished(row("c-0", phase="confirm"))
    assert outlook.left_s() == pytest.approx(2 * 15.0)


def test_a_trial_that_is_started_again_is_one() -> None:
    outlook = Outlook({"search": {"a": 2}}, Clock())
    outlook.begin("search", at_once=lambda: 1, fresh=False)
    outlook.started("a-0", "a")
    outlook.started("a-0", "a")
    outlook.finished(row("a-0"))
    assert outlook.done("search") == 1


def test_it_is_near_the_truth_and_does_not_jump() -> None:
    """Two frameworks, one three times as slow; two at once in the search, one at a time in the confirmation."""
    clock, took_s, start_s = Clock(), {"a": 10.0, "b": 30.0}, 4.0
    wanted = {"search": {"a": 12, "b": 12}, "confirm": {"a": 5, "b": 5}}
    outlook, said = Outlook(wanted, clock), []
    search_s, confirm_s = 12 * 40.0 / 2, 5 * (40.0 + 2 * start_s)
    began = clock.now

    outlook.begin("search", at_once=lambda: 2, fresh=False)
    queue = {"a": [f"a-{n}" for n in range(12)], "b": [f"b-{n}" for n in range(12)]}
    running: list[tuple[float, str, str]] = []
    while any(queue.values()) or running:
        while len(running) < 2 and any(queue.values()):
            name = max(queue, key=lambda each: len(queue[each]))
            trial = queue[name].pop(0)
            outlook.dealt(trial)
            outlook.started(trial, name)
            varied = took_s[name] * (1.3 if trial[-1] in "13579" else 0.7)
            running.append((clock.now + varied, trial, name))
        running.sort()
        clock.now, trial, name = running.pop(0)
        outlook.finished(row(trial, name, took_s=took_s[name]))
        if (left := outlook.left_s()) is not None:
            said.append((began + search_s + confirm_s - clock.now, left))

    outlook.begin("confirm", at_once=lambda: 1, fresh=True)
    for number in range(5):
        for name in "ab":
            trial = f"confirm-{name}-{number}"
            outlook.dealt(trial)
            clock.now += start_s
            outlook.started(trial, name)
            clock.now += took_s[name]
            outlook.finished(row(trial, name, "confirm", took_s[name]))
            said.append((began + search_s + confirm_s - clock.now, outlook.left_s() or 0.0))

    assert all(0.6 * true - 30 <= left <= 1.4 * true + 30 for true, left in said), said
    assert all(abs(before - after) <= 0.2 * before + 40 for (_, before), (_, after) in pairwise(said)), said
    assert said[-1][1] == 0.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.0, "a few s left"),
        (44.0, "about 40 s left"),
        (99.0, "about 100 s left"),
        (101.0, "about 2 min left"),
        (540.0, "about 9 min left"),
        (1500.0, "about 25 min left"),
        (7200.0, "about 2 h left"),
        (3 * 86400.0, "about 3 days left"),
    ],
)
def test_in_words_no_more_precise_than_it_is_known(seconds: float | None, words: str) -> None:
    assert in_words(seconds) == words


def test_a_budget_bounds_what_is_left() -> None:
    clock = Clock()
    outlook = Outlook({"search": {"a": 100}, "confirm": {"a": 1}}, clock)
    outlook.know([row("a-0"), row("a-1")])
    outlook.begin("search", at_once=lambda: 1, fresh=False, budget_s=50.0)
    assert outlook.left_s() == pytest.approx(30.0 + 10.0)
    outlook.started("a-2", "a")
    clock.now += 4.0
    assert outlook.left_s() == pytest.approx(6.0 + 20.0 + 10.0)  # of the one that runs, of others, and to confirm
    outlook.pauses("a", True)
    assert outlook.left_s() == pytest.approx(6.0 + 10.0)
    outlook.pauses("a", False)
    outlook.finished(row("a-2", took_s=60.0))
    assert outlook.left_s() == pytest.approx(10.0)
    outlook.over("search", "a")
    assert outlook.total == 3 + 1
    outlook.begin("confirm", at_once=lambda: 1, fresh=True)
    assert outlook.left_s() == pytest.approx(10.0)
    assert Outlook({}).left_s() == 0.0


def test_a_search_that_stopped_early_and_reached_nothing_has_nothing_to_confirm() -> None:
    outlook = Outlook({"search": {"a": 9}, "confirm": {"a": 3}})
    outlook.know([row("a-0", reached=False)])
    outlook.over("search", "a")
    assert outlook.left_s() == 0.0
