from __future__ import annotations

from study.driver.notices import Notices

FULL = "no checkpoint of evaluation {}: No space left on device"
WORKERS = "loader workers: 3 were asked for, and 1 can run with 1 CPU"


def test_each_kind_is_told_once_a_trial() -> None:
    said: list[str] = []
    notices = Notices(said.append)
    notices.tell("a", [WORKERS])
    notices.tell("a", [FULL.format(1)])
    notices.tell("a", [FULL.format(2)])
    notices.tell("b", [FULL.format(1)])
    notices.tell("b", [])
    assert said == [f"a: {WORKERS}", f"a: {FULL.format(1)}", f"b: {FULL.format(1)}"]


def test_all_that_come_together_are_told() -> None:
    said: list[str] = []
    Notices(said.append).tell("a", ["model-2 is damaged", "model-1 is damaged"])
    assert said == ["a: model-2 is damaged", "a: model-1 is damaged"]
