from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from reports.records import complete
from reports.schema import EVALUATIONS, TRIALS
from reports.tables.contradictions import against_the_plan, among_themselves

ACCURACIES = [0.90, 0.96, 0.94, 0.95, 0.97, 0.99]
PLAN = {
    "workload": "digits-lenet",
    "frameworks": ["pytorch"],
    "search": {"trials": 1},
    "confirm": {"runs": 0},
    "training": {"target": 0.95, "holds": 2, "limit_s": 30.0},
}


def tables(**changes: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A trial whose target is met at its second evaluation, and held at its fifth; and the evaluations."""
    made = [
        {
            "trial_id": "t",
            "framework": "pytorch",
            "phase": "search",
            "evaluation": number,
            "samples": 539 * number,
            "validation_accuracy": accuracy,
            "startup_s": 1.0,
            "compile_s": 0.5,
            "train_s": float(number),
            "eval_s": number / 10,
            "checkpoint_s": 0.0,
        }
        for number, accuracy in enumerate(ACCURACIES, start=1)
    ]
    trial = {
        "trial_id": "t",
        "framework": "pytorch",
        "phase": "search",
        "number": 0,
        "workload": "digits-lenet",
        "outcome": "reached",
        "target": 0.95,
        "holds": 2,
        "limit_s": 30.0,
        "objective_clock": "warm",
        "evaluate_every_samples": 539,
        "evaluations": 6,
        "reached": True,
        "warm_tta_s": 5.0,
        "cold_tta_s": 7.0,
        "first_warm_s": 2.0,
        "samples_to_target": 5 * 539,
        "best_validation_accuracy": 0.99,
        **changes,
    }
    return complete(pd.DataFrame([trial]), TRIALS), complete(pd.DataFrame(made), EVALUATIONS)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"holds": None, "first_warm_s": None, "warm_tta_s": 2.0, "cold_tta_s": 3.7, "samples_to_target": 1078},
        {"holds": 1, "warm_tta_s": 2.0, "cold_tta_s": None, "samples_to_target": 1078},
        {"limit_s": 4.5, "reached": False, "outcome": "out_of_time", "warm_tta_s": None, "cold_tta_s": None},
        {"objective_clock": "cold", "limit_s": 6.9, "reached": False, "warm_tta_s": None, "cold_tta_s": None},
        {"outcome": "failed", "reached": False, "warm_tta_s": None},
    ],
)
def test_records_that_agree(changes: dict[str, Any]) -> None:
    assert among_themselves(*tables(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"warm_tta_s": 4.0}, "trials.parquet, t, warm_tta_s: it says 4.0, its evaluations give 5.0"),
        ({"cold_tta_s": 4.0}, "trials.parquet, t, cold_tta_s: it says 4.0, its evaluations give 7.0"),
        ({"first_warm_s": 5.0}, "trials.parquet, t, first_warm_s: it says 5.0, its evaluations give 2.0"),
        ({"samples_to_target": 539}, "samples_to_target: it says 539, its evaluations give 2695"),
        ({"reached": False}, "trials.parquet, t, reached: it says False, its evaluations give True"),
        ({"best_validation_accuracy": 1.0}, "best_validation_accuracy: it says 1.0, its evaluations give 0.99"),
        ({"limit_s": 4.5}, "reached: it says True, its evaluations give False"),
        ({"holds": 4}, "warm_tta_s: it says 5.0, its evaluations give nothing"),
        ({"evaluations": 7}, "trials.parquet, t: it made 7 evaluations, and evaluations.parquet has 6 of them"),
        ({"target": 0.90}, "warm_tta_s: it says 5.0, its evaluations give 2.0"),
    ],
)
def test_a_trial_that_its_own_evaluations_contradict(changes: dict[str, Any], said: str) -> None:
    assert any(said in each for each in among_themselves(*tables(**changes)))


def test_the_plan_is_the_one_that_was_run() -> None:
    trials, _ = tables()
    assert against_the_plan(trials, PLAN) == []
    assert against_the_plan(trials, {}) == []
    edited = {**PLAN, "training": {**PLAN["training"], "target": 0.9}, "search": {"trials": 3}}  # type: ignore[dict-item]
    assert against_the_plan(trials, edited) == [
        "plan.toml says training.target = 0.9, but 1 of 1 trials ran with another value (t: 0.95)",
        "PyTorch: 1 of 3 trials of the search are in the records; the rest are missing or were never run",
    ]
    older = {**PLAN, "training": {"target": 0.95}}  # which has not all keys
    assert against_the_plan(trials, older) == []


@pytest.mark.parametrize(
    ("plan", "contradicted"),
    [
        ({"training": {"optimizer": "sgd"}}, "training.optimizer = sgd"),
        ({"training": {"optimizer": "sgd"}, "space": {"pytorch": {"optimizer": {"choices": ["sgd", "adam"]}}}}, None),
        ({"training": {"optimizer": "sgd"}, "space": {"flux": {"optimizer": {"choices": ["sgd"]}}}}, "training.opt"),
        ({"training": {"optimizer": "sgd"}, "sweep": {"over": {"optimizer": ["sgd", "adam"]}, "repeats": 0}}, None),
        ({"training": {"schedule": "cosine"}}, "training.schedule = cosine"),
        ({"training": {"warm_up": 0.1}}, "training.warm_up = 0.1"),
        ({"options": {"hidden": 8}}, "options.hidden = 8, but 1 of 1 trials ran with another value (t: 16)"),
        ({"options": {"hidden": 8}, "space": {"pytorch": {"hidden": {"low": 4, "high": 32}}}}, None),
        ({"options": {"bias": False}}, "options.bias = False"),
        ({"options": {"hidden": 16, "bias": True}}, None),
    ],
)
def test_what_is_searched_need_not_be_what_the_plan_says_elsewhere(
    plan: dict[str, Any], contradicted: str | None
) -> None:
    knobs = {"optimizer": "adam", "schedule": "constant", "warm_up": 0.0, "options": '{"bias": true, "hidden": 16}'}
    trials, _ = tables(**knobs)
    found = [each for each in against_the_plan(trials, {**PLAN, **plan}) if "plan.toml says" in each]
    assert (found == []) if contradicted is None else (f"plan.toml says {contradicted}" in "".join(found))


def test_a_crossing_after_the_cap_is_none() -> None:
    """The target is held at the fifth evaluation, after 5 s, and met first after 2."""
    capped = {"outcome": "capped", "reached": False, "warm_tta_s": None, "cold_tta_s": None, "samples_to_target": None}
    trials, evaluations = tables(**capped, capped_by="time", cap_s=4.5)
    assert among_themselves(trials, evaluations) == []
    trials, evaluations = tables(**capped, capped_by="time", cap_s=5.5)
    assert any(
        "reached: it says False, its evaluations give True" in each for each in among_themselves(trials, evaluations)
    )
