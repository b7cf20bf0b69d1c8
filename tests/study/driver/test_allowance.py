"""A search that ends before its last trial: by its budget, or because another would not pay; on simulated machines."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from reports.tables.cost import Price
from study.cli.status import progress_of
from study.cli.status import status as look
from study.driver import recorder, repair
from study.driver.allowance import budget_in_s
from study.driver.recorder import trial_row
from study.plan.budget import budget_of
from study.plan.files import freeze, load_plan
from study.store.manifest import changed
from study.store.price import keep
from tests.study.cli.test_commands import call
from tests.study.driver.simulation import Cluster, Study, simulated
from trainables.common.errors import UserError


def cluster(monkeypatch: pytest.MonkeyPatch, slots: int = 1) -> Cluster:
    return Cluster({"one": 1.0}, monkeypatch, slots=slots)


def counts(study: Study) -> dict[str, int]:
    rows = study.trials
    return dict(Counter(rows.loc[rows["phase"] == "search", "framework"]))


def stops(study: Study) -> dict[str, dict[str, Any]]:
    """What the report is told."""
    path = study.folder.provenance
    return json.loads(path.read_text())["stopped"] if path.exists() else {}


def cost(study: Study, framework: str) -> float:
    rows = study.trials
    return float(rows.loc[(rows["phase"] == "search") & (rows["framework"] == framework), "slice_s"].sum())


@pytest.fixture(autouse=True)
def costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What trials cost is simulated, too."""

    def row(*given: Any, **more: Any) -> dict[str, Any]:
        found = trial_row(*given, **more)
        return {**found, "slice_s": 100 * found["train_s"]}

    monkeypatch.setattr(recorder, "trial_row", row)


@pytest.mark.parametrize("slots", [1, 2])
def test_no_trial_is_dealt_once_the_budget_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slots: int
) -> None:
    study = simulated(
        tmp_path,
        cluster(monkeypatch, slots),
        "search.scheduler=fifo",
        "search.budget=30s",
        "search.trials=6",
        "confirm.runs=1",
    )
    said = study.run()
    assert 1 < counts(study)["simulated2"] < counts(study)["simulated"] < 6  # whose trials cost two thirds as much
    for name in ("simulated", "simulated2"):
        dearest = study.trials.loc[study.trials["framework"] == name, "slice_s"].max()
        assert 30 - dearest < cost(study, name) < 30 + dearest
    told = [line for line in said.splitlines() if "stopped after" in line]
    assert [line.partition(": they cost")[0] for line in told] == [
        f"{title}: stopped after {counts(study)[name]} of 6 trials"
        for name, title in (("simulated", "Simulated"), ("simulated2", "Simulated 2"))
    ]
    assert told[0].endswith(" of the 30 slice-s that search.budget = 30s allows")
    assert study.confirmed["framework"].nunique() == 2  # the study goes on with what was found
    state = look(study.plan, study.folder)
    assert state["done"]
    assert "stopped: they cost" in progress_of(state["frameworks"]["simulated"])
    kept = stops(study)
    assert {name: each["trials"] for name, each in kept.items()} == counts(study)
    assert {each["why"] for each in kept.values()} == {"budget"}


def test_a_search_with_more_budget_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = {"frameworks": ["simulated"]}
    whole = simulated(tmp_path / "whole", cluster(monkeypatch), "search.scheduler=fifo", "search.trials=6", **one)
    whole.run("search")
    study = simulated(
        tmp_path, cluster(monkeypatch), "search.scheduler=fifo", "search.budget=30s", "search.trials=6", **one
    )
    study.run("search")
    before = counts(study)
    assert "stopped after" in study.run("search")  # which is over
    assert counts(study) == before
    with pytest.raises(UserError, match=r"search.budget is 1s, but .* was planned with 30s; give 30s or more"):
        changed(study.plan, study.folder, ["search.budget=1s"])
    study.plan = changed(study.plan, study.folder, ["search.budget=1h"])
    assert not look(study.plan, study.folder)["done"]
    assert "stopped after" not in study.run("search")
    assert counts(study) == {"simulated": 6}
    assert stops(study) == {}
    assert study.trials["learning_rate"].tolist() == whole.trials["learning_rate"].tolist()


def test_a_search_stops_where_another_trial_would_not_pay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, one = (
        ("search.trials=14", "search.pays_after=1000", "search.cap_slack=1.5"),
        {"frameworks": ["simulated"]},
    )
    study = simulated(tmp_path, cluster(monkeypatch), *settings, **one)
    said = study.run("search")
    assert 5 <= counts(study)["simulated"] < 14
    told = next(line for line in said.splitlines() if "stopped after" in line)
    assert "of 14 trials: another would cost" in told
    assert "a training, so it pays after" in told
    assert told.endswith("trainings, more than the 1000 asked for")
    again = simulated(tmp_path / "again", cluster(monkeypatch), *settings, **one)
    begun = []

    class Killed(Exception):
        pass

    def kill(name: str, _cluster: Cluster) -> None:
        begun.append(name)
        if len(begun) in (2, 4):
            raise Killed

    again.cluster.before = kill
    for _ in range(2):
        with pytest.raises(Killed):
            again.run("search")
    again.run("search")
    assert counts(again) == counts(study)  # an interrupted search stops where an uninterrupted one does


def test_what_was_interrupted_goes_on_whatever_was_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(Exception):
        pass

    def kill(name: str, _cluster: Cluster) -> None:
        if name.endswith("00002"):
            raise Killed

    study = simulated(
        tmp_path,
        cluster(monkeypatch, 3),
        "search.scheduler=fifo",
        "search.budget=30s",
        "search.trials=6",
        frameworks=["simulated"],
    )
    study.cluster.during = kill
    with pytest.raises(Killed):
        study.run("search")
    study.cluster.during = lambda name, cluster: None
    study.plan = study.plan.model_copy(
        update={"search": study.plan.search.model_copy(update={"budget": "1s"})}
    )  # as if more had been lost than was left
    freeze(study.plan, study.folder.plan)
    monkeypatch.setattr(repair, "check_manifest", lambda *_: None)
    study.run("search")
    assert counts(study)["simulated"] == 3  # those that had begun, and no other
    assert "stopped after 3" in study.run("search")


def test_where_nothing_stops_it_a_search_has_all_its_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ("search.trials=6", "search.pays_after=100000000", "search.budget=1d")
    study = simulated(tmp_path, cluster(monkeypatch), *settings, frameworks=["simulated"])
    assert "stopped after" not in study.run("search")
    assert counts(study) == {"simulated": 6}
    assert stops(study) == {}


@pytest.mark.parametrize(
    ("setting", "refused"),
    [
        ("search.budget=2m", "search.budget is 2m, but .* was planned with 5 EUR; give 5 EUR or more"),
        ("search.budget=5 USD", "give 5 EUR or more"),
        ("search.budget=4 EUR", "give 5 EUR or more"),
        ("search.pays_after=99", "search.pays_after is 99, but .* was planned with 100; give 100 or more"),
        ("search.budget=6 EUR", None),
        ("search.budget=", None),
        ("search.pays_after=101", None),
        ("search.pays_after=0", None),
    ],
)
def test_never_less_than_was_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, refused: str | None
) -> None:
    study = simulated(tmp_path, cluster(monkeypatch), "search.budget=5 EUR", "search.pays_after=100")
    if refused is None:
        changed(study.plan, study.folder, [setting])
    else:
        with pytest.raises(UserError, match=refused):
            changed(study.plan, study.folder, [setting])


def test_what_was_planned_without_a_limit_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = simulated(tmp_path, cluster(monkeypatch))
    for key, value in (("search.budget", "2h"), ("search.pays_after", "100")):
        with pytest.raises(UserError, match=rf"{key} is {value}, but .* was planned with no such limit; leave it so"):
            changed(study.plan, study.folder, [f"{key}={value}"])


def test_a_budget_of_money_needs_the_price_of_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = load_plan("quickstart", settings=["search.budget=$5", "slice.cpus=1"], frameworks=["simulated"])
    with pytest.raises(UserError, match=r"search.budget is \$5, and what an hour costs is not known; give --cpu-hour"):
        budget_in_s(plan, Price(gpu_hour=2.0))  # of which the slice has none
    assert budget_in_s(plan, Price(cpu_hour=0.5)) == 36000
    gpus = plan.model_copy(update={"slice": plan.slice.model_copy(update={"gpus": 2})})
    assert budget_in_s(gpus, Price(cpu_hour=0.5, gpu_hour=2.0)) == 4000
    study = simulated(
        tmp_path, cluster(monkeypatch), "search.trials=6", "search.budget=0.005 EUR", frameworks=["simulated"]
    )
    keep(study.folder, Price(cpu_hour=1.0))
    assert "of the 18 slice-s that search.budget = 0.005 EUR allows" in study.run("search")
    assert counts(study)["simulated"] < 6


def test_money_without_a_price_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    launched = ["launch", "quickstart", "--frameworks", "simulated", "--set", "search.budget=5 EUR"]
    code, out, err = call([*launched, "--gpu-hour", "2"], capsys, monkeypatch)
    assert (code, out) == (2, "")
    assert err == "tuneoff: search.budget is 5 EUR, and what an hour costs is not known; give --cpu-hour\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "seconds", "money"),
    [
        *[
            ("2h", 7200, None),
            ("90m", 5400, None),
            ("90min", 5400, None),
            ("1800s", 1800, None),
            ("1h 30m", 5400, None),
        ],
        *[("0.5d", 43200, None), ("5 EUR", None, 5), ("EUR 5", None, 5), ("$5.50", None, 5.5), ("5€", None, 5)],
    ],
)
def test_a_budget_as_it_is_written(text: str, seconds: float | None, money: float | None) -> None:
    found = budget_of(text)
    assert (found.seconds, found.money) == (seconds, money)
    assert budget_of(f" {text} ") == found
    assert load_plan("quickstart", settings=[f"search.budget={text}"], frameworks=["simulated"]).search.budget == text


@pytest.mark.parametrize("text", ["7200", "2 hours", "5 eur", "0h", "-2h", "h", "5 EUR a day", "$5 USD", "inf", "2h x"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"search.budget: it is .*; write a time, as in 2h, 90m or 1800s, or money"):
        load_plan("quickstart", settings=[f"search.budget={text}"], frameworks=["simulated"])
