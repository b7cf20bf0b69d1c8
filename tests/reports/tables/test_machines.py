"""A comparison of machines is never told as one of frameworks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reports.page.report import build_page, write_report
from reports.records import StudyRecords
from reports.sentences import plain
from reports.tables.across import comparison, performance_profile
from reports.tables.claims import claims, other_measures
from reports.tables.machines import crossings, machine_cautions
from reports.tables.trials import all_trials
from reports.tables.verdict import verdict
from reports.tables.why import attribution, break_even
from reports.winners import confirmations, standing
from tests.reports.conftest import save, study, trial

RUNS = 6


def records(hosts: dict[str, list[str]], **changes: Any) -> StudyRecords:
    """PyTorch takes 2 s, Flux 3 s; a host called slow doubles that. ``hosts``: of each framework's runs, in turn."""
    rows = []
    for name, seconds in (("pytorch", 2.0), ("flux", 3.0)):
        for number in range(RUNS):
            host = hosts[name][number % len(hosts[name])]
            took = seconds * (2 if host == "slow" else 1) * (1 + number / 100)
            rows.append(trial(name, "search", number, took, host=host, hosts=1, **changes))
            rows.append(trial(name, "confirm", number, took, host=host, hosts=1, **changes))
    return study(rows)


def cautions(found: StudyRecords) -> str:
    return " ".join(machine_cautions(found.trials)["caution"])


def test_frameworks_on_nodes_of_their_own_are_not_compared(tmp_path: Path) -> None:
    found = records({"pytorch": ["slow"], "flux": ["fast"]})  # where PyTorch would look slower, and is not
    said = verdict(found.trials)
    assert said == (
        "Flux and PyTorch are not compared: Flux's confirmation runs ran on fast, PyTorch's on slow, and no seed of "
        "both on the same machine."
    )
    assert claims(found.trials)["ratio"].isna().all()
    assert other_measures(found.trials).empty
    assert attribution(found.trials).empty
    assert break_even(found.trials).empty
    assert "frameworks and machines cannot be told apart" in cautions(found)
    assert plain(build_page(found).verdict[0]) == said
    assert performance_profile({"s": found}).empty
    assert comparison({"s": found})["left_out"].tolist() == ["no seed was run by both on the same machine"]
    save(found, tmp_path / "s")
    told = write_report(tmp_path / "s", tmp_path / "report")
    assert told.startswith(said)
    assert "cannot be told apart" in told
    page = (tmp_path / "report" / "index.html").read_text()
    assert "cannot be told apart" in page
    assert "Log-rank" not in page


def test_pairs_on_nodes_of_unequal_speed_give_the_same_ratio() -> None:
    fair = records({"pytorch": ["fast", "slow"], "flux": ["fast", "slow"]})
    equal = records({"pytorch": ["fast"], "flux": ["fast"]})
    ratios = [claims(each.trials).loc[0, "ratio"] for each in (fair, equal)]
    assert ratios == pytest.approx([1.5, 1.5], rel=1e-6)
    assert cautions(fair) == cautions(equal) == ""


def test_seeds_apart_are_left_out_and_told() -> None:
    found = records({"pytorch": ["fast", "slow", "fast"], "flux": ["fast", "slow", "slow"]})
    assert crossings(found.trials)[["seeds", "together"]].to_numpy().tolist() == [[RUNS, 4]]
    row = claims(found.trials).iloc[0]
    assert row["pairs"] == 4
    assert row["ratio"] == pytest.approx(1.5, rel=1e-6)
    assert "2 of 6 seeds ran on different machines and are not compared" in cautions(found)


def test_machines_that_are_not_known_are_taken_for_one() -> None:
    found = records({"pytorch": ["fast"], "flux": ["fast"]}, cpu=None)
    found.trials["host"] = None
    assert claims(found.trials).loc[0, "pairs"] == RUNS
    assert cautions(found) == ""


@pytest.mark.parametrize(("column", "named"), [("cpu", "processors"), ("gpu", "GPUs")])
def test_different_models_are_told(column: str, named: str) -> None:
    found = records({"pytorch": ["fast", "slow"], "flux": ["fast", "slow"]})
    found.trials[column] = found.trials["host"].map({"fast": "Model 9", "slow": "Model 1"})
    assert f"had different {named} (slow: Model 1; fast: Model 9)" in cautions(found)
    found.trials[column] = "Model 9"
    assert cautions(found) == ""


def test_searches_on_other_shares_of_the_machines_are_told() -> None:
    rows = []
    for name, host in (("pytorch", "a"), ("flux", "b")):
        rows += [trial(name, "search", number, 2.0, host=host) for number in range(8)]
        rows += [trial(name, "confirm", number, 2.0, host="a") for number in range(RUNS)]
    assert "searches ran on other shares of the machines (100% on b; 100% on a)" in cautions(study(rows))


def test_a_winner_found_on_two_machines_is_told() -> None:
    found = records({"pytorch": ["fast"], "flux": ["fast"]})
    found.trials.loc[found.trials["trial_id"] == "search-flux-00000", "hosts"] = 2
    assert "Flux: the best trial of the search, search-flux-00000, ran on 2 machines" in cautions(found)


def test_the_table_of_trials_names_machines() -> None:
    table = all_trials(records({"pytorch": ["fast"], "flux": ["slow"]}).trials)
    assert set(table["host"]) == {"fast", "slow"}
    assert {"hosts", "cpu", "gpu", "load_start", "load_end"} <= set(table.columns)


def test_only_a_pairs_last_attempt_confirms_and_no_run_of_two_machines() -> None:
    rows = [trial(name, "search", 0, 2.0) for name in ("pytorch", "flux")]
    first = {"confirms": 0, "attempt": 1}
    rows += [
        trial("pytorch", "confirm", 0, 2.0, host="b", **first),
        trial("flux", "confirm", 0, None, **first) | {"outcome": "moved"},
        trial("pytorch", "confirm", 0, 2.0, host="a", **{**first, "attempt": 2}) | {"trial_id": "again"},
        trial("flux", "confirm", 1, 2.0, **first, hosts=2),
        trial("pytorch", "confirm", 1, 2.0, **first, hosts=1),
    ]
    assert [row["trial_id"] for row in confirmations(rows)] == ["again", "confirm-pytorch-00001"]
    assert len(standing(row for row in rows if row["phase"] == "confirm")) == 2
