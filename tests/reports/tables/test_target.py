from __future__ import annotations

from typing import Any

import pandas as pd

from reports.sentences import plain, rows
from reports.tables.target import target_sentences, target_table
from tests.reports.conftest import study, trial

EVERY = 539


def run(framework: str, number: int, *, first: int | None, held: int | None, test: float) -> dict[str, Any]:
    """A confirmation run that first met the target at an evaluation, and held it at another."""
    seconds = {None: None, **{each: each / 10 for each in range(1, 20)}}
    return trial(
        framework,
        "confirm",
        number,
        seconds[held],
        holds=2,
        evaluate_every_samples=EVERY,
        first_warm_s=seconds[first],
        first_samples=None if first is None else first * EVERY,
        samples_to_target=None if held is None else held * EVERY,
        eval_s=0.1,
        test_accuracy=test,
    )


def records() -> pd.DataFrame:
    found = [trial("pytorch", "search", 0, 1.0), trial("flux", "search", 0, 1.0)]
    found += [run("pytorch", 0, first=4, held=5, test=0.96), run("pytorch", 1, first=4, held=8, test=0.95)]
    found += [run("flux", 0, first=4, held=None, test=0.94), run("flux", 1, first=None, held=None, test=0.9)]
    return study(found).trials


def test_both_crossings_and_the_test_split_are_counted() -> None:
    pytorch, flux = target_table(records()).to_dict("records")
    assert (pytorch["crossed"], pytorch["reached"], pytorch["fell_back"]) == (2, 2, 1)
    assert (flux["crossed"], flux["reached"], flux["fell_back"]) == (1, 0, 1)
    assert (pytorch["tested"], pytorch["met_on_test"], flux["met_on_test"]) == (2, 2, 0)
    assert round(pytorch["evaluation_share"], 3) == round(0.2 / (0.5 + 0.8 + 0.2), 3)
    assert pytorch["held_after"] == (5 / 4 + 8 / 4) / 2


def test_what_is_said() -> None:
    said = [plain(each) for each in target_sentences(rows("target", target_table(records())))]
    assert said == [
        "The target is looked for every 539 training samples (13 % PyTorch and 1 % Flux of the time that runs train "
        "and evaluate) and counts when 2 evaluations in a row meet it; a first crossing did not hold in 1 of 2 "
        "PyTorch and 1 of 1 Flux runs.",
        "On the test split, at their end, 2 of 2 PyTorch and 0 of 2 Flux runs meet the target.",
    ]


def test_records_of_before_the_rule_and_none_at_all() -> None:
    before = records().assign(holds=None, first_warm_s=float("nan"), first_samples=float("nan"))
    table = target_table(before[before["framework"] == "pytorch"])
    assert (table["holds"][0], table["crossed"][0], table["reached"][0]) == (1, 2, 2)
    assert [plain(each) for each in target_sentences(rows("target", table))] == [
        "The target is looked for every 539 training samples (13 % of the time that runs train and evaluate).",
        "On the test split, at their end, 2 of 2 runs meet the target.",
    ]
    assert target_sentences(rows("target", target_table(before[before["phase"] == "search"]))) == []
