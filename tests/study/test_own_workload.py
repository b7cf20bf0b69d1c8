"""A study of a workload that anyone wrote goes on from its own copy: killed, and the original gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import psutil

from tests.study.test_study import check_whole, finish, tuneoff, wait_for
from tests.study.workloads import TOML, written
from trainables.workloads.workload import find

# A trial takes some five seconds, five evaluations long: there is time to act in its midst.
SLOW = {"TUNEOFF_SIMULATED_SPEED": "32"}
SPACE = (
    '\nhidden = { low = 4, high = 8 }\nbias = { choices = [true, false] }\noptimizer = { choices = ["sgd", "adam"] }\n'
)
SETTINGS = [
    "search.trials=3",
    "search.sampler=random",
    "race.configurations=0",
    "confirm.runs=1",
    "training.target=0.99",
    "training.epochs=40",
]


def both_are_under_way(folder: Path) -> bool:
    """Whether each of the two trials that run at once has been evaluated twice, hence left a checkpoint."""
    log = folder / "records.jsonl"
    return log.exists() and log.read_text().count('"evaluation": 2,') == 2


def test_a_killed_driver_whose_workload_is_gone(tmp_path: Path) -> None:
    task = written(tmp_path / "my-task", toml=TOML.rstrip() + SPACE)
    digest = find(str(task)).digest()
    folder = tmp_path / "results" / "my-task"
    changes = [part for setting in SETTINGS for part in ("--set", setting)]
    driver = tuneoff("launch", "my-task", "--frameworks", "simulated", *changes, cwd=tmp_path, env=SLOW)
    wait_for(lambda: both_are_under_way(folder), "two evaluations of each of the first two trials")
    family = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.communicate()
    shutil.rmtree(task)
    finish(tuneoff("resume", str(folder), cwd=tmp_path))
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []  # Ray's agents outlive a killed driver for minutes, if nobody ends them
    trials = check_whole(folder, 3)
    assert trials["segments"].max() == 2  # some trial was continued, not begun again
    assert trials.loc[trials["segments"] == 1, "lost_s"].eq(0).all()
    assert set(trials["workload"]) == {"my-task"}
    assert set(trials["workload_digest"]) == {digest}
    assert set(trials["metric"]) == {"accuracy"}
    options = [json.loads(text) for text in trials["options"]]
    assert all(list(each) == ["activation", "bias", "dropout", "hidden"] for each in options)
    assert all(4 <= each["hidden"] <= 8 for each in options)
    assert len({str(each) for each in options}) > 1
    assert set(trials["optimizer"]) <= {"sgd", "adam"}
    confirmed = trials[trials["phase"] == "confirm"]
    if len(confirmed):  # it is run with the very configuration of the search's winner
        winner = trials[(trials["phase"] == "search") & (trials["number"] == confirmed["confirms"].iloc[0])]
        assert (
            winner[["options", "optimizer"]].to_numpy().tolist()
            == confirmed[["options", "optimizer"]].to_numpy().tolist()
        )
    provenance = json.loads((folder / "provenance.json").read_text())
    assert (provenance["workload"]["name"], provenance["workload"]["digest"]) == ("my-task", digest)
    assert not (folder / "weights").exists()
