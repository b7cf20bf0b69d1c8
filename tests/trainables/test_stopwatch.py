from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.stopwatch import Ledger, Stopwatch

ACCOUNTS = ["startup_s", "compile_s", "train_s", "eval_s", "checkpoint_s"]
CHARGES = st.lists(st.tuples(st.sampled_from(ACCOUNTS), st.floats(0, 1e4)))


@given(charges=CHARGES)
def test_the_accounts_add_up(charges: list[tuple[str, float]]) -> None:
    now = 0.0
    watch = Stopwatch(Ledger(), lambda: now)
    for account, seconds in charges:
        with watch.charging(account):  # type: ignore[arg-type]
            now += seconds
    assert watch.ledger.total_s == pytest.approx(sum(seconds for _, seconds in charges), abs=1e-6)


def test_waiting_for_data_is_part_of_training_not_added() -> None:
    now = 0.0
    watch = Stopwatch(Ledger(), lambda: now)
    with watch.charging("train_s", "data_s"):
        now += 2.0
    assert watch.ledger.as_record() == {**Ledger().as_record(), "train_s": 2.0, "data_s": 2.0}
    assert watch.ledger.total_s == 2.0


def _fail() -> None:
    raise ValueError


def test_time_until_a_failure_is_charged() -> None:
    now = iter([1.0, 4.0])
    watch = Stopwatch(Ledger(), lambda: next(now))
    with pytest.raises(ValueError), watch.charging("train_s"):  # noqa: PT011
        _fail()
    assert watch.ledger.train_s == 3.0
