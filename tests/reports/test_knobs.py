"""A report of a study that searched whatever it liked, towards an accuracy or a loss."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from reports.figures.search import importance_bars, knob_against_time, parallel_coordinates
from reports.goals import ACCURACY, LOSS, goal_of
from reports.knobs import configuration, knob_title, searched_knobs, with_options
from reports.page.checking import verify_report
from reports.page.report import write_report
from reports.records import StudyRecords
from reports.tables.importance import importances
from reports.tables.trials import best_configurations, search_winners
from reports.tables.verdict import goal
from tests.reports.conftest import save, study, trial

LAYERS, OPTIMIZERS = (1, 2, 3), ("sgd", "adamw")


def searched(metric: str = "accuracy") -> StudyRecords:
    """Two frameworks; the time depends on a model's option and on the optimizer, and on nothing else."""
    loss = {"target": 0.2, "best_validation_accuracy": None, "best_validation_loss": 0.1, "test_loss": 0.15}
    about = {"metric": metric, **(loss if metric == "loss" else {})}
    rows = []
    for name in ("pytorch", "flux"):
        for number in range(24):
            layers, optimizer = LAYERS[number % 3], OPTIMIZERS[number // 3 % 2]
            options = {"layers": layers, "act": "relu", "dropout": 0.1 * (number % 4)}
            knobs = {"optimizer": optimizer, "schedule": "cosine", "warm_up": 0.1, "learning_rate": 0.01}
            knobs |= {"options": json.dumps(options, sort_keys=True), "momentum": 0.9, "weight_decay": 0.0}
            time_s = 1.0 + 2.0 * (layers - 1) + (optimizer == "adamw") + 0.01 * number
            rows.append(trial(name, "search", number, time_s, **about, **knobs))
        best = {**about, **knobs, "options": rows[-24]["options"], "optimizer": "sgd"}
        rows += [trial(name, "confirm", number, 1.1 + 0.01 * number, **best) for number in range(6)]
    made = study(rows)
    evaluations = made.evaluations
    if metric == "loss":
        falling = 1.0 - evaluations["validation_accuracy"].fillna(0.9)
        evaluations = evaluations.assign(validation_loss=falling, validation_accuracy=np.nan)
    return StudyRecords(with_options(made.trials), evaluations, made.provenance, made.certificate, made.plan)


def test_what_was_searched_is_what_differs() -> None:
    trials = searched().trials
    assert searched_knobs(trials) == [
        "learning_rate", "batch_size", "num_workers", "optimizer", "option.dropout", "option.layers",
    ]  # fmt: skip
    assert [knob_title(knob) for knob in ("option.hidden_size", "num_workers")] == ["hidden size", "loader workers"]


def test_importance_finds_what_the_time_depends_on() -> None:
    found = importances(searched().trials, {})
    of_pytorch = found[found["framework"] == "pytorch"].set_index("hyperparameter")
    assert set(of_pytorch.index) == {"optimizer", "option.layers", "option.dropout"}
    assert of_pytorch["importance"].idxmax() == "option.layers"
    assert of_pytorch.loc["option.layers", "effect"] == "shown"
    assert of_pytorch.loc["option.layers", "importance"] > 10 * of_pytorch.loc["option.dropout", "importance"]


def test_the_command_that_trains_again_has_every_option() -> None:
    best = best_configurations(searched().trials).set_index("framework")
    command = best.loc["flux", "command"]
    for said in (
        "--schedule cosine", "--warm-up 0.1", "--option act=relu", "--option dropout=0.0", "--option layers=1",
    ):  # fmt: skip
        assert said in command
    assert "--target 0.95" in command


def test_configurations_that_differ_in_an_option_are_two() -> None:
    rows = searched().trials.to_dict("records")
    assert configuration(rows[0]) != configuration(rows[1])
    assert configuration(rows[0]) == configuration({**rows[0], "seed": 99})
    assert search_winners(searched().trials)["pytorch"]["option.layers"] == 1


def test_figures_place_names_beside_one_another() -> None:
    trials = searched().trials
    axes = knob_against_time(trials, "optimizer").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["adamw", "sgd"]
    drawn = parallel_coordinates(trials).axes[0]
    labels = [label.get_text() for label in drawn.get_xticklabels()]
    assert labels == [
        "learning rate",
        "batch size",
        "loader workers",
        "optimizer",
        "dropout",
        "layers",
        "objective (s)",
    ]
    assert {"adamw", "sgd"} <= {text.get_text() for text in drawn.texts}
    bars = importance_bars(importances(trials, {})).axes[0]
    assert {label.get_text() for label in bars.get_yticklabels()} == {"optimizer", "dropout", "layers"}


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_the_page_speaks_of_what_the_target_is_about(metric: str, tmp_path: Path) -> None:
    records = searched(metric)
    save(records, tmp_path)
    write_report(tmp_path, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    told = re.sub(r"<(style|script|svg)\b.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL).lower()
    assert ("accuracy" in told) == (metric == "accuracy")
    assert f"test {metric}" in told
    assert goal(records.trials) in page
    assert not verify_report(tmp_path)


def test_a_goal_is_met_from_its_own_side() -> None:
    assert goal_of(searched("loss").trials) is LOSS
    assert goal_of(searched().trials) is ACCURACY
    assert LOSS.met(0.19, 0.2)
    assert not LOSS.met(0.21, 0.2)
    assert not LOSS.met(float("nan"), 0.2)
    assert ACCURACY.met(0.96, 0.95)
    assert LOSS.told(0.2) == "a validation loss of 0.2"
    assert ACCURACY.told(0.95) == "95 % validation accuracy"
