"""A finished study as a recording: its own trials stand in for those of another search."""

from __future__ import annotations

from math import log
from pathlib import Path

import numpy as np
import pytest

from study.plan.files import load_plan
from study.replay.dense import DenseStudy, read_study
from study.replay.regret import Truth
from study.replay.search import search
from study.replay.training import Terms
from study.store.folder import StudyFolder, create
from study.store.records import Records
from trainables.common.errors import UserError
from trainables.contract import Record

CADENCE = 539


def recorded(path: Path, *, count: int = 40, **changes: object) -> Path:
    """A study of which a driver has run all trials, in the simulated framework, at rates drawn by hand."""
    settings = ["search.scheduler=fifo", "search.sampler=random", f"search.trials={count}"]
    plan = load_plan("quickstart", frameworks=["simulated"], settings=settings)
    folder = create(path, plan)
    records = Records(folder, say=print)
    random = np.random.default_rng(3)
    for number in range(count):
        point = {
            "learning_rate": float(np.exp(random.uniform(log(0.005), log(0.1)))),
            "batch_size": int(random.choice([16, 32, 64, 128])),
            "num_workers": int(random.integers(0, 2)),
        }
        row, evaluations = _trial(number, point)
        records.add_evaluations(evaluations)
        records.add_trial({**row, **changes})
    records.close()
    return path


def _trial(number: int, point: Record) -> tuple[Record, list[Record]]:
    """Reaches 94 % the sooner the nearer its rate is to 0.03; two seconds an evaluation, and a second around each."""
    wanted = 4 + int(6 * abs(log(point["learning_rate"] / 0.03)))
    identity = {"phase": "search", "framework": "simulated", "trial_id": f"search-simulated-{number:05d}"}
    evaluations = [
        {
            **identity,
            "evaluation": each,
            "samples": each * CADENCE,
            "validation_accuracy": 0.95 if each >= wanted - 1 else 0.5,
            "validation_loss": 0.1,
            "train_s": 2.0 * each,
        }
        for each in range(1, wanted + 1)
    ]
    fresh = number == 0
    row = {
        **identity,
        **point,
        "number": number,
        "outcome": "reached",
        "reached": True,
        "objective": 2.0 * wanted,
        "metric": "accuracy",
        "evaluations": wanted,
        "startup_s": 3.0 if fresh else 0.25,
        "compile_s": 0.25,
        "eval_s": 0.75 * wanted,
        "checkpoint_s": 0.25 * wanted,
        "fresh_process": fresh,
        "options": "{}",
    }
    return row, evaluations


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("results") / "dense")


@pytest.fixture(scope="module")
def study(folder: Path) -> DenseStudy:
    return read_study(folder)


def test_its_trials_are_trainings_at_what_they_cost(study: DenseStudy) -> None:
    name = study.configurations("simulated")[7]
    training = study.training("simulated", name, 0, Terms.of(study.plan))
    wanted = len(study.trials["simulated"][name].seconds)
    assert training.tta_s == 2.0 * wanted
    assert training.costs.fresh_s == 3.25
    assert training.costs.resident_s == 0.5
    assert training.slice_s(training.points[-1], fresh=False) == pytest.approx(0.5 + 3.0 * wanted)


def test_it_is_searched_as_any_plan_says(study: DenseStudy, folder: Path) -> None:
    assert (study.plan.search.scheduler, study.plan.search.sampler, study.plan.search.trials) == ("cap", "tpe", 30)
    assert study.plan.training.target == 0.94
    assert read_study(folder, ["search.trials=7"]).plan.search.trials == 7


def test_the_nearest_in_the_unit_cube(study: DenseStudy) -> None:
    for name, each in study.trials["simulated"].items():
        assert study.nearest("simulated", each.point) == name
    near = study.nearest("simulated", {"learning_rate": 0.03, "batch_size": 64, "num_workers": 0})
    # Another choice is as far away as the whole range of rates.
    assert study.trials["simulated"][near].point["batch_size"] == 64


def test_a_search_of_it_finds_a_good_trial_at_less_than_all_cost(study: DenseStudy) -> None:
    truth = Truth(study.plan, "simulated", study)
    ended = search(study.plan, "simulated", study, slots=2)
    best = min((each.trial for each in ended), key=lambda trial: trial.value)
    assert truth.regret(best.configuration) < 0.5
    assert any(each.trial.outcome == "capped" for each in ended)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outcome": "capped", "reached": False}, "12 of 12 trials of .* were stopped before their end"),
        ({"outcome": "failed", "reached": False}, "has 0 trials of .* that ran to their end"),
    ],
)
def test_what_cannot_be_replayed_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_study(recorded(tmp_path / "early", count=12, **changes))


def test_a_study_of_too_few_trials_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has 5 trials of .* a replay takes 10 at least"):
        read_study(recorded(tmp_path / "few", count=5))


def test_damaged_records_are_refused_and_left_alone(tmp_path: Path) -> None:
    folder = StudyFolder(recorded(tmp_path / "dense", count=12))
    lines = folder.log.read_bytes().splitlines(keepends=True)
    damaged = b"".join(line.replace(b"0", b"1", 1) if number == 4 else line for number, line in enumerate(lines, 1))
    folder.log.write_bytes(damaged)
    with pytest.raises(UserError, match=r"records.jsonl is damaged in line 4; `tuneoff resume .*` mends it"):
        read_study(folder.path)
    assert folder.log.read_bytes() == damaged
    folder.log.unlink()
    with pytest.raises(UserError, match=r"records.jsonl is gone; `tuneoff resume .*` mends it"):
        read_study(folder.path)


def test_a_trial_whose_evaluations_are_lost_for_good_stands_for_none(tmp_path: Path) -> None:
    folder = StudyFolder(recorded(tmp_path / "dense", count=13))
    lost = b'"trial_id": "search-simulated-00003"'
    lines = folder.log.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if not (b'"kind": "evaluation"' in line and lost in line)]
    assert len(kept) < len(lines)
    folder.log.write_bytes(b"".join(kept))
    names = read_study(folder.path).configurations("simulated")
    assert len(names) == 12
    assert "search-simulated-00003" not in names
