from __future__ import annotations

import re
from pathlib import Path

import pytest

from study.plan.files import as_toml, load_plan, thaw
from study.plan.plan import Plan
from study.strategy.capping import CapRule, Curve, cap_for, curve_of, noise, rule_of, running_best
from trainables.cap import NO_CAP, Cap
from trainables.common.errors import UserError


def hit(tta_s: float, *scores: float, host: str = "here") -> Curve:
    """Reaches the target at its last evaluation."""
    seconds = tuple(tta_s * (place + 1) / len(scores) for place in range(len(scores)))
    return Curve(host, seconds, scores, tta_s)


MISS = Curve("here", (1.0,), (0.1,), None)
RULE = CapRule(slack=1.5, rank=1)


def test_there_is_no_cap_before_the_first_hit() -> None:
    assert cap_for(RULE, [], host="here") == NO_CAP
    assert cap_for(RULE, [MISS], host="here") == NO_CAP


def test_another_machines_seconds_count_for_nothing() -> None:
    curves = [hit(1.0, 0.9, host="fast"), hit(4.0, 0.9, host="slow")]
    assert cap_for(RULE, curves, host="slow").seconds == 6.0
    assert cap_for(RULE, curves, host="fast").seconds == 1.5
    assert cap_for(RULE, curves, host="new") == NO_CAP


@pytest.mark.parametrize(("rank", "seconds"), [(1, 1.5), (2, 3.0), (3, 4.5), (5, 4.5)])
def test_the_rank_th_best_counts_or_the_last_there_is(rank: int, seconds: float) -> None:
    curves = [hit(3.0, 0.9), MISS, hit(1.0, 0.9), hit(2.0, 0.9)]
    assert cap_for(CapRule(slack=1.5, rank=rank), curves, host="here").seconds == seconds


def test_the_curve_is_drawn_out_by_the_lag_and_never_falls() -> None:
    rule, best, other = CapRule(slack=1.5, rank=1, lag=2.0), hit(4.0, 0.5, 0.7, 0.6, 0.9), hit(5.0, 0.9)
    assert cap_for(rule, [best], host="here") == Cap(6.0)  # alone it may be a slow one, which is ahead at first
    cap = cap_for(rule, [best, other], host="here")
    assert cap == Cap(6.0, ((2.0, 0.5), (4.0, 0.7), (6.0, 0.7), (8.0, 0.9)))


def test_the_margin_grows_with_the_noise() -> None:
    quiet, loud = hit(4.0, 0.5, 0.7, 0.8, 0.9), hit(4.0, 0.5, 0.7, 0.6, 0.9)
    rule = CapRule(slack=1.5, rank=1, lag=2.0, margin=2.0)
    assert cap_for(rule, [quiet, quiet], host="here").margin == 0.0
    assert cap_for(rule, [loud, loud], host="here").margin == pytest.approx(2 * 0.1 / 3**0.5)


def test_noise_is_of_what_falls_below_the_best_before() -> None:
    assert noise([]) == noise([hit(1.0, 0.9)]) == 0.0
    assert noise([hit(4.0, 0.5, 0.7, 0.6, 0.9)]) == pytest.approx(0.1 / 3**0.5)
    assert noise([Curve("here", (1.0, 2.0), (0.5, float("-inf")), 2.0)]) == 0.0


def test_running_best() -> None:
    assert running_best([0.5, 0.7, 0.6]) == [0.5, 0.7, 0.7]


def plan_with(*settings: str) -> Plan:
    return load_plan("quickstart", settings=list(settings), frameworks=["simulated"])


def test_the_rule_is_the_plans() -> None:
    assert rule_of(plan_with().search) == CapRule(slack=1.25, rank=1, lag=2.0, margin=3.0)
    given = plan_with("search.cap_slack=1.2", "search.cap_rank=3", "search.cap_lag=0", "search.cap_margin=0")
    assert rule_of(given.search) == CapRule(slack=1.2, rank=3)
    assert rule_of(plan_with("search.scheduler=fifo").search) is None
    assert rule_of(plan_with("search.scheduler=asha").search) is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("search.cap_slack=0.5", "search.cap_slack is 0.5; it must be 1 or more"),
        ("search.cap_rank=0", "search.cap_rank is 0; it must be 1 or more"),
        ("search.cap_lag=-1", "search.cap_lag is -1; it must be 0 or more"),
        ("search.cap_margin=few", "search.cap_margin is 'few'; it takes a number"),
        ("search.scheduler=caps", "search.scheduler is 'caps'; did you mean 'cap'? valid: cap, asha, fifo"),
    ],
)
def test_what_is_no_rule_is_refused(setting: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        plan_with(setting)


@pytest.mark.parametrize("scheduler", ["fifo", "asha"])
def test_a_plan_of_before_stays_what_it_was(tmp_path: Path, scheduler: str) -> None:
    plan = plan_with(f"search.scheduler={scheduler}")
    text = as_toml(plan)
    kept = [line for line in text.splitlines() if not line.startswith("cap_")]
    assert len(kept) == len(text.splitlines()) - 4
    (tmp_path / "plan.toml").write_text("\n".join(kept))
    assert thaw(tmp_path / "plan.toml") == plan
    assert rule_of(thaw(tmp_path / "plan.toml").search) is None


def test_a_curve_is_made_of_records_on_the_searchs_clock() -> None:
    accounts = {"startup_s": 1.0, "compile_s": 0.5, "eval_s": 0.25, "checkpoint_s": 0.25}
    rows = [
        {**accounts, "train_s": each, "validation_accuracy": each / 10, "validation_loss": 1.0} for each in (1.0, 2.0)
    ]
    trial = {"objective_clock": "warm", "metric": "accuracy", "host": "here", "objective": 2.0, "reached": True}
    assert curve_of(trial, rows) == Curve("here", (1.0, 2.0), (0.1, 0.2), 2.0)
    cold = {**trial, "objective_clock": "cold", "metric": "loss", "reached": False}
    assert curve_of(cold, rows) == Curve("here", (3.0, 4.0), (-1.0, -1.0), None)
