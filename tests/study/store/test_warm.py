"""A search that begins with the best of another study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from study.cli.status import status
from study.driver.recorder import trial_row
from study.driver.repair import mended_searches
from study.plan.files import freeze, load_plan, thaw
from study.plan.keys import explained
from study.plan.plan import Plan
from study.store.folder import StudyFolder, create
from study.store.records import Records
from study.store.warm import warm_started
from tests.study.cli.test_commands import call
from trainables.common.errors import UserError


def plan_of(*settings: str, name: str = "quickstart", frameworks: tuple[str, ...] = ("simulated",)) -> Plan:
    return load_plan(name, settings=list(settings), frameworks=list(frameworks))


def studied(path: Path, plan: Plan, rows: list[dict[str, Any]]) -> StudyFolder:
    """A study whose search had these trials: configurations, objective, and phase where it is another."""
    folder = create(path, plan)
    records = Records(folder, say=print)
    for number, row in enumerate(rows):
        seconds, name = row.pop("objective"), row.pop("framework", "simulated")
        more = {key: row.pop(key) for key in ("phase", "confirms", "rank") if key in row}
        spec = plan.spec(name, row, seed=number)
        identity = {"study": folder.name, "phase": "search", "number": number, **more}
        identity["trial_id"] = f"{identity['phase']}-{name}-{number:05d}"
        reached = seconds is not None
        result = {"outcome": "reached" if reached else "out_of_time", "reached": reached, "objective": seconds or 99.0}
        given = (identity, plan, spec, result)
        records.add_trial(trial_row(*given, workload_digest="", held_s=1.0, lost_s=0.0))
    records.close()
    return folder


def point(rate: float, size: int, workers: int = 0, **more: Any) -> dict[str, Any]:
    return {"learning_rate": rate, "batch_size": size, "num_workers": workers, **more}


ROWS = [
    point(0.05, 32, objective=4.0),
    point(0.02, 64, objective=2.0),
    point(0.03, 16, objective=None),
    point(0.08, 128, objective=3.0),
    point(0.02, 64, objective=2.5),
    point(0.01, 64, objective=5.0),
]


def rows() -> list[dict[str, Any]]:
    return [dict(row) for row in ROWS]


def test_the_best_three_configurations_are_tried_first(tmp_path: Path) -> None:
    source = studied(tmp_path / "source", plan_of(), rows())
    plan, told = warm_started(plan_of(frameworks=("simulated", "simulated2")), source.path)
    wanted = (point(0.02, 64), point(0.08, 128), point(0.05, 32))  # the second 0.02 is the same configuration
    assert plan.search.warm_start == {"simulated": wanted, "simulated2": wanted}
    assert told == [
        f"Simulated begins with 3 configurations of Simulated from {source.path} (digits-lenet)",
        f"Simulated 2 begins with 3 configurations of Simulated from {source.path} (digits-lenet)",
    ]
    folder = create(tmp_path / "study", plan)
    assert thaw(folder.plan) == plan  # frozen into it: another driver needs the source no more
    folder.checkpoints("").mkdir(parents=True)
    for _ in range(2):
        searches = mended_searches(plan, folder, Records(folder, say=print), concurrent=False, say=print)
        queued = [each.system_attrs["fixed_params"] for each in searches["simulated"].study.trials]
        assert queued == [point(0.05, 64), *wanted]  # after the workload's default
    assert load_plan_again(tmp_path, plan) == plan


def load_plan_again(tmp_path: Path, plan: Plan) -> Plan:
    path = tmp_path / "printed.toml"
    path.write_text(explained(plan))
    return load_plan(str(path))


def test_what_lies_outside_of_the_space_is_moved_and_told(tmp_path: Path) -> None:
    source = studied(tmp_path / "source", plan_of(name="mnist-lenet"), [point(0.4, 2048, objective=3.0)])
    plan, told = warm_started(plan_of("training.optimizer=adam"), source.path)
    assert plan.search.warm_start["simulated"] == (point(0.1, 128),)
    assert told == [
        f"Simulated begins with 1 configuration of Simulated from {source.path} (mnist-lenet); "
        "learning_rate 0.4 -> 0.1; batch_size 2048 -> 128; optimizer sgd -> adam"
    ]


def test_a_rate_that_is_scaled_moves_with_the_batch_size(tmp_path: Path) -> None:
    source = studied(tmp_path / "source", plan_of(name="mnist-lenet"), [point(0.4, 2048, objective=3.0)])
    plan, _ = warm_started(plan_of("search.learning_rate_scaling=linear"), source.path)
    assert plan.search.warm_start["simulated"] == (point(0.025, 128),)  # the same a sample


def test_what_won_the_race_comes_first(tmp_path: Path) -> None:
    raced = [
        point(0.05, 32, objective=1.0, phase="race", confirms=0, rank=3),
        point(0.02, 64, objective=9.0, phase="race", confirms=1, rank=1),
    ]
    source = studied(tmp_path / "source", plan_of(), rows() + raced)
    plan, _ = warm_started(plan_of(), source.path)
    assert plan.search.warm_start["simulated"][0] == point(0.05, 32)


def test_a_framework_takes_its_own_best_where_there_is_any(tmp_path: Path) -> None:
    both = plan_of(frameworks=("simulated", "simulated2"))
    mine = [*rows(), point(0.09, 16, objective=7.0, framework="simulated2")]
    source = studied(tmp_path / "source", both, mine)
    plan, _ = warm_started(both, source.path)
    assert plan.search.warm_start["simulated2"] == (point(0.09, 16),)


def test_a_study_that_gives_nothing_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    studied(tmp_path / "missed", plan_of(), [point(0.1, 16, objective=None)])
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for given, message in (
        ("nowhere", "no folder nowhere"),
        ("empty", "is not a study's folder"),
        ("file", "file is a file; give the study's folder"),
        ("missed", "--warm-start missed: no trial of its search reached the target"),
    ):
        launched = ["launch", "quickstart", "--frameworks", "simulated", "--warm-start", given]
        code, _, err = call(launched, capsys, monkeypatch)
        assert (code, err.count("\n")) == (2, 1), err
        assert message in err
    assert not (tmp_path / "results").exists()


def test_a_plan_that_searches_what_the_other_has_not_is_refused(tmp_path: Path) -> None:
    source = studied(tmp_path / "source", plan_of(), rows())
    fixed = [f"space.all.{name}={value}" for name, value in point(0.05, 32).items()]
    with pytest.raises(UserError, match=r"it shares no hyperparameter with this plan, which searches nothing"):
        warm_started(plan_of(*fixed), source.path)


def test_a_point_of_a_frozen_plan_must_lie_in_the_space(tmp_path: Path) -> None:
    plan = plan_of()
    search = plan.search.model_copy(update={"warm_start": {"simulated": (point(5.0, 32),)}})
    freeze(plan.model_copy(update={"search": search}), tmp_path / "plan.toml")
    with pytest.raises(UserError, match=r"search.warm_start.simulated: learning_rate = 5 is outside the search space"):
        thaw(tmp_path / "plan.toml")


def test_damaged_or_lost_records_are_refused_and_left_alone(tmp_path: Path) -> None:
    """The best trial may be among those that are lost; and it is another study's folder."""
    source = studied(tmp_path / "source", plan_of(), rows())
    lines = source.log.read_bytes().splitlines(keepends=True)
    damaged = lines[0] + lines[1].replace(b"0.02", b"0.03", 1) + b"".join(lines[2:])
    source.log.write_bytes(damaged)
    with pytest.raises(UserError, match=r"records.jsonl is damaged in line 2; `tuneoff resume .*` mends it"):
        warm_started(plan_of(), source.path)
    assert source.log.read_bytes() == damaged
    for size in (len(lines[0]), len(lines[0]) + 9):
        source.log.write_bytes(b"".join(lines)[:size])
        with pytest.raises(UserError, match=r"records.jsonl was cut short; `tuneoff resume .*` mends it"):
            warm_started(plan_of(), source.path)
    source.log.unlink()
    with pytest.raises(UserError, match=r"records.jsonl is gone; `tuneoff resume .*` mends it"):
        warm_started(plan_of(), source.path)


def test_nothing_is_written_into_the_other_study(tmp_path: Path) -> None:
    source = studied(tmp_path / "source", plan_of(name="mnist-lenet"), [point(0.05, 128, objective=3.0)])
    source.plan.write_text("damaged")
    before = {path: path.read_bytes() for path in source.path.rglob("*") if path.is_file()}
    _, told = warm_started(plan_of(), source.path)
    assert told == [f"Simulated begins with 1 configuration of Simulated from {source.path} (mnist-lenet)"]
    assert {path: path.read_bytes() for path in source.path.rglob("*") if path.is_file()} == before


def test_a_sweep_has_nothing_to_begin_with(tmp_path: Path) -> None:
    source = studied(tmp_path / "source", plan_of(), [point(0.05, 32, objective=4.0, phase="sweep")])
    with pytest.raises(UserError, match=r"source: it is a sweep, which searched nothing; give a study that did"):
        warm_started(plan_of(), source.path)


def test_the_torn_end_of_a_study_that_runs_is_no_damage(tmp_path: Path) -> None:
    source = studied(tmp_path / "source", plan_of(), rows())
    source.log.write_bytes(source.log.read_bytes() + b'{"kind": "tri')
    assert warm_started(plan_of(), source.path)[0].search.warm_start["simulated"][0] == point(0.02, 64)


def test_a_study_whose_records_are_damaged_is_not_finished(tmp_path: Path) -> None:
    """`tuneoff resume` mends it, which a finished study would have nothing to do with."""
    plan = plan_of("search.trials=6", "race.configurations=0", "confirm.runs=0")
    source = studied(tmp_path / "source", plan, rows())
    assert status(plan, source)["done"]
    source.log.write_bytes(source.log.read_bytes() + b'{"kind": "evaluation", "crc32": "00000000"}\n')
    assert not status(plan, source)["done"]
