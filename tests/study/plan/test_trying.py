from __future__ import annotations

from pathlib import Path

from study.plan.files import load_plan, sweep_plan
from study.plan.points import point_of, said
from study.plan.trying import differing, options_to_try
from tests.study.workloads import written

USUAL = {"hidden": 8, "dropout": 0.1, "activation": "relu", "bias": True}


def test_models_are_built_as_they_are_and_at_the_ends_of_what_is_searched(tmp_path: Path) -> None:
    settings = ["space.all.hidden={low=4, high=8}", "space.all.bias=false", "space.all.momentum={low=0.0, high=0.5}"]
    plan = load_plan(str(written(tmp_path / "t")), settings=settings, frameworks=["simulated"])
    tried = options_to_try(plan, "simulated")
    assert tried == [{**USUAL, "bias": False}, {**USUAL, "bias": False, "hidden": 4}]
    assert [differing(each, tried[0]) for each in tried] == ["", " (with hidden = 4)"]


def test_of_a_sweep_every_value(tmp_path: Path) -> None:
    sweep = {"over": {"activation": ["tanh", "relu"], "batch_size": [8]}, "repeats": 1}
    values = {**sweep, "learning_rate": 0.1, "batch_size": 8, "num_workers": 0}
    plan = sweep_plan(str(written(tmp_path / "t")), values, frameworks=["simulated"])
    assert options_to_try(plan, "simulated") == [USUAL, {**USUAL, "activation": "tanh"}]


def test_a_configuration_is_the_same_from_a_record_and_from_a_spec() -> None:
    row = {"learning_rate": 0.1, "batch_size": 8, "momentum": None, "options": '{"hidden": 4}', "study": "s"}
    assert point_of(row) == point_of({**row, "options": {"hidden": 4}})
    assert point_of(row) == {"learning_rate": 0.1, "batch_size": 8, "hidden": 4}
    assert point_of({"learning_rate": 0.1}) == {"learning_rate": 0.1}  # of an older version


def test_names_of_swept_values_are_each_its_own() -> None:
    assert [said(each, (1, 2.5, 1e-6)) for each in (1, 2.5, 1e-6)] == ["1", "2.5", "1e-06"]
    assert [said(each, (1000001, 1000002, 3)) for each in (1000001, 1000002, 3)] == ["0", "1", "3"]
    assert [said(each, ("relu", "a/b", "é")) for each in ("relu", "a/b", "é")] == ["relu", "value1", "value2"]
    assert [said(each, (True, False)) for each in (True, False)] == ["true", "false"]
