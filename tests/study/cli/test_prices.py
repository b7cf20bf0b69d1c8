"""What an hour costs is kept with the study. No Ray in this file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from study.cli import running
from study.plan.plan import Plan
from study.store.folder import StudyFolder, clear, create
from study.store.price import checked, keep, kept_price
from tests.study.cli.test_commands import call
from tests.study.cli.test_endings import plan, studied

__all__ = ["plan"]  # a fixture


def money(folder: StudyFolder) -> bool:
    return "money" in (folder.report / "search_cost.csv").read_text().splitlines()[0].split(",")


def test_a_price_stays_with_the_study(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = studied(tmp_path / "s", plan, failed=0)
    name = str(folder.path)
    assert call(["report", name], capsys, monkeypatch)[0] == 0
    assert not money(folder)
    assert not folder.price.exists()
    call(["report", name, "--cpu-hour", "0.5"], capsys, monkeypatch)
    for again in (["report", name], ["resume", name], ["report", name, "--gpu-hour", "2.5"], ["report", name]):
        call(again, capsys, monkeypatch)
        assert money(folder), again
    assert json.loads(folder.price.read_text()) == {"gpu_hour": 2.5, "cpu_hour": 0.5}
    assert call(["report", name, "--verify"], capsys, monkeypatch)[:2] == (0, "Every number is what the records say.\n")
    call(["resume", name, "--cpu-hour", "0.75"], capsys, monkeypatch)  # finished: the report is written again
    assert json.loads(folder.price.read_text()) == {"gpu_hour": 2.5, "cpu_hour": 0.75}
    call(["report", name, "--gpu-hour", "0", "--cpu-hour", "0"], capsys, monkeypatch)
    assert not folder.price.exists()
    assert not money(folder)


@pytest.mark.parametrize("begin", [["launch", "quickstart"], ["sweep", "digits-lenet", "--over", "num_workers=0"]])
def test_a_price_given_at_the_start_is_kept(
    begin: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(running, "drive", lambda *_, **__: None)
    arguments = [*begin, "--frameworks", "simulated", "--name", "s", "--gpu-hour", "2.5"]
    assert call(arguments, capsys, monkeypatch)[0] == 0
    folder = StudyFolder(tmp_path / "results" / "s")
    assert kept_price(folder, say=print) == checked(2.5, None)
    clear(folder)
    assert list(folder.path.iterdir()) == []


@pytest.mark.parametrize("price", ["inf", "nan", "-1", "-0.01"])
@pytest.mark.parametrize("flag", ["--gpu-hour", "--cpu-hour"])
def test_a_price_is_a_number(
    price: str,
    flag: str,
    plan: Plan,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    create(tmp_path / "s", plan)
    for command in (["launch", "quickstart", "--frameworks", "simulated"], ["resume", "s"], ["report", "s"]):
        code, out, err = call([*command, flag, price], capsys, monkeypatch)
        assert (code, out) == (2, "")
        assert err == f"tuneoff: {flag} is {price}; a price is a finite number, 0 or above\n"
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["plan.toml", "workload"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"gpu_hour": "two"}', '{"gpu_hour": -1}'])
def test_damaged_prices_are_told_and_end_nothing(plan: Plan, tmp_path: Path, damage: str) -> None:
    folder = create(tmp_path / "s", plan)
    folder.price.write_text(damage)
    told: list[str] = []
    assert not kept_price(folder, say=told.append).given
    assert len(told) == 1
    assert "price.json cannot be read" in told[0]
    assert "Give --gpu-hour or --cpu-hour again" in told[0]
    keep(folder, checked(None, 1.0))
    assert kept_price(folder, say=told.append) == checked(None, 1.0)
