"""What a study promises after any faults, checked from what it left on disk."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from reports.tables.contradictions import among_themselves
from study.plan.files import thaw
from study.plan.plan import Plan
from study.plan.samplers import suggest
from study.store.chain import chain_differences
from study.store.folder import StudyFolder
from study.store.journal import (
    enqueue_first_points,
    open_searches,
    open_storage,
    origin,
    search_distributions,
    trial_id,
)
from study.store.log import parse_line
from tests.chaos.faults import ORIGINAL, fingerprint
from trainables.training import CHECKPOINT_SHARE
from trainables.workloads.workload import find


@dataclass
class Tally:
    """What a study lost."""

    trials_lost: int = 0
    trials_duplicated: int = 0
    redone: int = 0  # evaluations that are in the log twice, from two trainings of the same samples
    redone_s: float = 0.0  # what they and the training before them took
    redoable_s: float = 0.0  # at most so much, where every checkpoint that was due could be written and read
    lost_s: float = 0.0
    segments: int = 0
    continued: int = 0  # segments that continue a trial


def check(folder: Path, *, alive_s: float, away_s: float = 0.0) -> Tally:
    """Assert the promise.

    Parameters
    ----------
    alive_s
        Seconds for which drivers of this study ran: no trial can have held its slice for longer.
    away_s
        Seconds for which the driver could not write, and a trial that had reported waited for it; in no account.
    """
    study = StudyFolder(folder)
    plan = thaw(study.plan)
    trials = pd.read_parquet(study.trials)
    points = pd.read_parquet(study.evaluations)
    tally = _tally(study, trials)
    assert trials["trial_id"].is_unique
    assert chain_differences(study) == []
    assert among_themselves(trials, points) == []
    for name in plan.frameworks:
        searched = trials[(trials["framework"] == name) & (trials["phase"] == "search")]
        assert len(searched) == plan.search.trials, f"{len(searched)} trials of {plan.search.trials}"
    _check_search(plan, study, trials)
    _check_clocks(trials, points, alive_s=alive_s, away_s=away_s)
    original = folder / ORIGINAL
    if original.exists():
        kept = json.loads(original.read_text())
        assert fingerprint(Path(kept["path"])) == kept["files"], "the original of a copied study was touched"
    return tally


def _tally(study: StudyFolder, trials: pd.DataFrame) -> Tally:
    ends, started = defaultdict(set), set()
    told: dict[str, list[dict[str, Any]]] = defaultdict(list)  # evaluations of each trial, in the order of the log
    for log in [study.log, *study.path.glob(f"{study.log.name}.damaged-*")]:
        for line in log.read_bytes().splitlines(keepends=True):
            row = parse_line(line)
            if row is None:
                continue
            if row["kind"] == "start":
                started.add(row["trial_id"])
            elif row["kind"] == "trial":
                ends[row["trial_id"]].add(row["samples"])
            elif row["kind"] == "evaluation":
                told[row["trial_id"]].append(row)
    count, redone_s, redoable_s = redone(told.values())
    continued = int((trials["segments"] - 1).clip(lower=0).sum())
    return Tally(
        trials_lost=len(started - set(trials["trial_id"])),
        trials_duplicated=sum(len(different) > 1 for different in ends.values()),
        redone=count,
        redone_s=redone_s,
        redoable_s=continued * redoable_s,
        lost_s=float(trials["lost_s"].sum()),
        segments=int(trials["segments"].sum()),
        continued=continued,
    )


def redone(trials: Iterable[list[dict[str, Any]]]) -> tuple[int, float, float]:
    """How many evaluations were redone, how long they took, and how long they may take for each interruption.

    A checkpoint that took c seconds is followed by another after at most c / `CHECKPOINT_SHARE`, at an evaluation.
    """
    count, seconds, longest_s, slowest_s = 0, 0.0, 0.0, 0.0
    for rows in trials:
        reached: dict[int, float] = {0: 0.0}  # on the clock that stands still while a checkpoint is written
        saved: dict[int, float] = {0: 0.0}
        for row in rows:
            number, now = row["evaluation"], row["train_s"] + row["eval_s"]
            took_s = now - reached.get(number - 1, now)
            longest_s = max(longest_s, took_s)
            slowest_s = max(slowest_s, row["checkpoint_s"] - saved.get(number - 1, row["checkpoint_s"]))
            if number in reached and reached[number] != now:
                count, seconds = count + 1, seconds + took_s
            reached[number], saved[number] = now, row["checkpoint_s"]
    return count, seconds, slowest_s / CHECKPOINT_SHARE + longest_s


def _check_search(plan: Plan, study: StudyFolder, trials: pd.DataFrame) -> None:
    """Optuna and the records agree, and the search drew what an uninterrupted one would have drawn."""
    searches = open_searches(plan, open_storage(study, say=print), concurrent=False)
    rows = trials.set_index("trial_id")
    for name, search in searches.items():
        finished = search.finished()
        assert len(finished) == plan.search.trials == len(search.trials())
        for trial in finished:
            row = rows.loc[trial_id(name, origin(trial))]
            assert all(row[knob] == value for knob, value in trial.params.items())
            assert row["outcome"] == "failed" or trial.value == row["objective"]
        if plan.search.sampler == "random":
            drawn = [trial.params for trial in sorted(finished, key=origin)]
            assert drawn == _undisturbed(plan, name), "other samples than those of an undisturbed search"


def _undisturbed(plan: Plan, name: str) -> list[dict[str, object]]:
    storage = optuna.storages.InMemoryStorage()
    searches = open_searches(plan, storage, concurrent=False)
    enqueue_first_points(plan, searches, find(plan.workload).default)
    search = searches[name]
    space = search_distributions(plan, name)
    points = []
    for _ in range(plan.search.trials):
        trial = search.study.ask()
        for knob, distribution in space.items():  # as the searcher draws them
            suggest(trial, knob, distribution)
        points.append(trial.params)
        search.study.tell(trial, 1.0)
    return points


def _check_clocks(trials: pd.DataFrame, points: pd.DataFrame, *, alive_s: float, away_s: float) -> None:
    for row in trials[trials["outcome"] != "failed"].to_dict("records"):
        mine = points[points["trial_id"] == row["trial_id"]].sort_values("evaluation")
        assert mine["evaluation"].tolist() == list(range(1, int(row["evaluations"]) + 1))
        assert mine["samples"].is_monotonic_increasing
        assert mine["samples"].is_unique
        for account in ("startup_s", "compile_s", "train_s", "data_s", "eval_s", "checkpoint_s"):
            assert mine[account].is_monotonic_increasing, f"{account} of {row['trial_id']} runs backwards"
        assert row["train_s"] == mine["train_s"].iloc[-1]
        if row["framework"] == "simulated":
            continue  # its clock is not this one
        accounts = sum(row[name] for name in ("startup_s", "compile_s", "train_s", "eval_s", "checkpoint_s"))
        slack_s = 0.05 * accounts + 0.5 * row["segments"]
        assert -slack_s <= row["wall_s"] - accounts <= slack_s + away_s, f"{row['trial_id']}: {accounts} s in accounts"
        assert row["wall_s"] + row["lost_s"] <= row["slice_s"] + 1e-6
        assert row["slice_s"] <= alive_s + 1.0, "a trial was charged with time in which no driver ran"
