"""``tuneoff plan``: lists plans, prints one complete with what its keys mean, and runs nothing."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from study.cli import running
from study.plan.files import load_plan, sweep_plan
from study.plan.keys import explained, meanings
from study.plan.shelf import shipped_plans, told
from tests.study.cli.test_commands import call

SIMULATED = ["--frameworks", "simulated,simulated2"]
README = Path(__file__).parents[3] / "study" / "README.md"


def test_plans_are_listed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = call(["plan"], capsys, monkeypatch)
    assert (code, err) == (0, "")
    assert [line.split(maxsplit=1) for line in out.splitlines()] == [[name, told(name)] for name in shipped_plans()]
    code, out, err = call(["plan", "--set", "search.trials=3"], capsys, monkeypatch)
    assert (code, out) == (2, "")
    assert "name the plan that is to be changed, as in tuneoff plan quickstart --set search.trials=50" in err


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["search.trials=7", "training.optimizer=adam", "slice.cpus=2"],
        ["space.simulated.batch_size={choices=[16,32]}", "space.all.learning_rate=0.05"],
        ["search.initial_points=[{learning_rate=0.05,batch_size=64,num_workers=0}]", "seed=3"],
        ["slice.gpus=0.5", "slice.allow_shared_gpu=true"],
    ],
)
def test_what_is_printed_can_be_launched(
    settings: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [word for setting in settings for word in ("--set", setting)]
    code, out, err = call(["plan", "quickstart", *SIMULATED, *words], capsys, monkeypatch)
    assert (code, err) == (0, "")
    assert list(tmp_path.iterdir()) == []
    wanted = load_plan("quickstart", settings=settings, frameworks=SIMULATED[1].split(","))
    (tmp_path / "mine.toml").write_text(out)
    assert load_plan("mine.toml") == wanted
    started: list[object] = []
    monkeypatch.setattr(running, "drive", lambda plan, *_, **__: started.append(plan))
    monkeypatch.setattr("study.cli.readiness.check_machine_and_models", lambda *_: None)
    monkeypatch.setattr(running, "check_local_slice", lambda *_: None)
    assert call(["launch", "mine.toml"], capsys, monkeypatch)[0] == 0
    assert started == [wanted]


def test_what_all_frameworks_search_is_written_once() -> None:
    plan = load_plan("quickstart", frameworks=["simulated", "simulated2"])
    assert list(tomllib.loads(explained(plan))["space"]) == ["all"]
    own = load_plan("quickstart", settings=["space.simulated.batch_size=16"], frameworks=["simulated", "simulated2"])
    assert list(tomllib.loads(explained(own))["space"]) == ["simulated", "simulated2"]


def test_every_key_says_what_it_means_on_80_columns_and_in_the_readme() -> None:
    assert all(len(meaning) > 4 for meaning in meanings().values())
    text = explained(load_plan("quickstart", frameworks=["simulated"]))
    section = ""
    for line in text.splitlines():
        assert len(line) <= 80, line
        section = line.strip("[]") + "." if line.startswith("[") else section
        if (key := re.match(r"(\w+) = ", line)) and not section.startswith("space."):
            assert "  # " in line, line
            assert f"{section}{key[1]}" in meanings()
    readme = README.read_text()
    for key in meanings():
        assert f"`{key}`" in readme or key.startswith("sweep"), key


def test_the_plan_of_a_sweep_is_told_too() -> None:
    sweep = {"over": {"num_workers": [0, 1]}, "repeats": 2, "learning_rate": 0.1, "batch_size": 32, "num_workers": 0}
    plan = sweep_plan("digits-lenet", sweep, frameworks=["simulated"])
    assert "repeats = 2  # trainings per value, each with a seed of its own" in explained(plan)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quikstart"], "unknown plan 'quikstart', and no such file or folder; did you mean 'quickstart'"),
        (["quickstart", "--set", "search.trails=3"], "unknown key search.trails; did you mean 'trials'"),
        (["nowhere/mine.toml"], "unknown plan 'nowhere/mine.toml', and no such file: there is no folder nowhere"),
        (["quickstart", "--set", "slice.gpus=0.5"], "slice.gpus is 0.5, but trials that share a GPU"),
    ],
)
def test_a_plan_that_could_not_be_launched_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = call(["plan", *arguments], capsys, monkeypatch)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
