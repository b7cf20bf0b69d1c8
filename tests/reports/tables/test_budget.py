from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from reports.page.checking import verify_report
from reports.page.report import write_report
from reports.sentences import plain, rows
from reports.tables.budget import budgets, unfinished_sentences
from reports.tables.contradictions import against_the_plan
from reports.tables.stopped import stopped_sentence, stops
from reports.tables.trials import confirmation_runs
from tests.reports.conftest import make, race, save, study, trial

PLAN = {"frameworks": ["pytorch", "flux"], "search": {"trials": 4}, "confirm": {"runs": 10}}


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    plan = {**PLAN, "search": {"trials": 40}, "confirm": {"runs": 12}}
    save(replace(make(0.5), plan=plan), tmp_path)
    said = write_report(tmp_path, tmp_path / "report")
    assert (
        "This study is unfinished, and what it says may change: PyTorch has 4 of 40 trials and 10 of 12 confirmation "
        "runs; Flux has 4 of 40 trials and 10 of 12 confirmation runs." in said
    )
    assert said.startswith("Warm: Flux is ")
    page = (tmp_path / "report" / "index.html").read_text()
    assert 'data-from="budgets/1/trials"' in page


def test_a_finished_study_and_one_without_a_plan_say_nothing() -> None:
    trials = make(0.5).trials
    assert unfinished_sentences(budgets(trials, PLAN)) == []
    assert unfinished_sentences(budgets(trials, {})) == []


def test_a_framework_without_a_trial_yet_is_counted() -> None:
    rows = [trial("pytorch", "search", number, 2.0) for number in range(4)]
    said = " ".join(map(plain, unfinished_sentences(budgets(study(rows).trials, PLAN))))
    assert "PyTorch has 0 of 10 confirmation runs; Flux has 0 of 4 trials." in said


def test_runs_of_a_former_winner_are_told() -> None:
    rows = [trial("pytorch", "search", 0, 2.0), trial("pytorch", "search", 1, 1.5)]
    rows += [trial("pytorch", "confirm", number, 2.0, confirms=0) for number in range(3)]
    plan = {"frameworks": ["pytorch"], "search": {"trials": 2}, "confirm": {"runs": 3}}
    said = [plain(each) for each in unfinished_sentences(budgets(study(rows).trials, plan))]
    assert said[0].endswith("PyTorch has 0 of 3 confirmation runs.")
    assert said[1] == "3 runs confirmed an earlier winner of PyTorch's search."


def test_a_sweep_is_counted_in_trainings() -> None:
    plan = {"frameworks": ["flux"], "sweep": {"over": {"batch_size": [1, 2], "num_workers": [0]}, "repeats": 3}}
    rows = [trial("flux", "sweep", number, 2.0) for number in range(4)]
    said = " ".join(map(plain, unfinished_sentences(budgets(study(rows).trials, plan))))
    assert "Flux has 4 of 9 trainings" in said


def test_runs_that_do_not_say_what_they_confirm_are_known_by_their_hyperparameters() -> None:
    trials = make(0.5).trials.assign(confirms=np.nan)
    for name in ("learning_rate", "batch_size"):
        trials.loc[trials["phase"] == "confirm", name] = trials.loc[
            (trials["phase"] == "search") & (trials["number"] == 3), name
        ].iloc[0]
    found = confirmation_runs(trials)
    assert found["framework"].value_counts().to_dict() == {"pytorch": 10}  # Flux's winner is another trial


def test_runs_that_a_race_lacks_are_told() -> None:
    rows = [trial("pytorch", "search", number, 2.0 + number) for number in range(4)]
    plan = {**PLAN, "frameworks": ["pytorch"], "race": {"configurations": 5, "runs": 2}}
    race(rows, lambda name, number, pair: 2.0, k=2, runs=2)
    rows += [trial("pytorch", "confirm", number, 2.0) for number in range(10)]
    said = " ".join(map(plain, unfinished_sentences(budgets(study(rows).trials, plan))))
    assert "PyTorch has 4 of 8 runs of the race." in said  # the search found four configurations


def test_a_search_that_stopped_early_is_finished_and_the_cost_says_why(tmp_path: Path) -> None:
    stopped = {
        "flux": {"trials": 4, "planned": 40, "why": "budget", "spent_s": 31.0, "budget_s": 30.0},
        "pytorch": {
            **{"trials": 4, "planned": 40, "why": "gain", "spent_s": 31.0, "budget_s": None},
            **{"cost_s": 9.3, "saves_s": 0.02, "pays_after": 465.0, "asked": 100},
        },
    }
    plan = {**PLAN, "search": {"trials": 40}}
    records = make(0.5)
    save(replace(records, plan=plan, provenance={**records.provenance, "stopped": stopped}), tmp_path)
    assert "unfinished" not in write_report(tmp_path, tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    assert "Flux's search stopped after 4 of 40 trials: its budget of 30 slice-seconds was spent." in text
    assert (
        "PyTorch's search stopped after 4 of 40 trials: another would cost 9.30 s and save 0.02 s a training, so it "
        "pays after 465 trainings, more than the 100 asked for." in text
    )
    assert verify_report(tmp_path) == []
    found = against_the_plan(records.trials, plan, {"stopped": stopped})
    assert found == against_the_plan(records.trials, PLAN)
    assert len(against_the_plan(records.trials, plan)) == len(found) + 2


def test_a_search_that_would_never_pay_says_so() -> None:
    values = {"trials": 4, "planned": 40, "why": "gain", "spent_s": 31.0, "cost_s": 9.3, "saves_s": 0.0, "asked": 100}
    table = stops({"stopped": {"flux": values}})
    said = plain(stopped_sentence(rows("stopped", table)[0]))
    assert said.endswith("another would cost 9.30 s and save 0 s a training, and so never pay.")
    assert stops({}).empty
