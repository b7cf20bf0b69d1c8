"""The report's main tables: DataFrame in, DataFrame out. What the search cost is in `reports.tables.cost`."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from reports.goals import goal_of
from reports.knobs import COLUMNS, OPTIONS, options_of, searched_knobs
from reports.names import place_among_sides
from reports.tables.statistics import FEWEST, median, median_of_known
from reports.tables.survival import CLOCKS, Times, expected_time, horizon, kaplan_meier, restricted_mean, times
from reports.winners import confirmations, confirming, finalists, standing, winners
from reports.winners import race_runs as _race_runs
from trainables.frameworks import FRAMEWORKS

_CONFIGURATION = (*COLUMNS, OPTIONS)


def frameworks(trials: pd.DataFrame) -> list[str]:
    """The frameworks that ran, in the order of `FRAMEWORKS`; others after them, sides in their order, then by name."""
    order = list(FRAMEWORKS)

    def place(name: str) -> tuple[float, str]:
        side = place_among_sides(name)
        return (side if side is not None else order.index(name) if name in order else math.inf, name)

    return sorted(trials["framework"].unique(), key=place)


def phase(trials: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of one phase."""
    return trials[trials["phase"] == name]


def search_winners(trials: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The row of each framework's search that is confirmed; see `reports.winners.winners`."""
    raced = trials["phase"] == "race"
    return winners(_rows(trials[raced | ((trials["phase"] == "search") & trials["reached"].astype(bool))]))


def finalist_ranks(trials: pd.DataFrame) -> dict[str, dict[int, int]]:
    """The place of each trial in its framework's search, from 1, by its number; see `reports.winners.finalists`."""
    hits = trials[(trials["phase"] == "search") & trials["reached"].astype(bool)]
    columns = ["phase", "reached", "framework", "objective", "number", *_CONFIGURATION]
    ordered = finalists(_rows(hits[columns]), len(hits))
    return {name: {int(row["number"]): place for place, row in enumerate(found, 1)} for name, found in ordered.items()}


def race_runs(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows of the race that count; see `reports.winners.race_runs`."""
    rows = phase(trials, "race")
    columns = ["trial_id", "phase", "framework", "number", "confirms", "seed", "attempt", "outcome", "hosts"]
    counted = _race_runs(_rows(rows[columns]))
    wanted = {row["trial_id"] for found in counted.values() for runs in found.values() for row in runs}
    return rows[rows["trial_id"].isin(wanted)]


def confirmation_runs(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows of the runs that confirm the winners; see `reports.winners.confirmations`."""
    return _chosen(trials, confirmations)


def replaced_runs(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows of the runs of the winners that do not confirm them, for they were not, as a pair, on one machine."""
    runs = _chosen(trials, confirming)
    return runs[~runs["trial_id"].isin(confirmation_runs(trials)["trial_id"])]


def _chosen(trials: pd.DataFrame, choose: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> pd.DataFrame:
    columns = ["trial_id", "phase", "framework", "number", "reached", "objective", "confirms", "seed"]
    columns += ["attempt", "outcome", "hosts", *_CONFIGURATION]
    again = trials["phase"].isin(["race", "confirm"])
    candidates = trials.loc[again | trials["reached"].astype(bool), columns]
    wanted = {row["trial_id"] for row in choose(_rows(candidates))}
    return trials[trials["trial_id"].isin(wanted)]


def sweep_runs(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows of the sweep that count; see `reports.winners.standing`."""
    rows = phase(trials, "sweep")
    wanted = {row["trial_id"] for row in standing(_rows(rows[["trial_id", "number", "attempt", "outcome", "hosts"]]))}
    return rows[rows["trial_id"].isin(wanted)]


def best_configurations(trials: pd.DataFrame, workload: str | None = None) -> pd.DataFrame:
    """One row per framework: the winner of its search and what its confirmation runs showed.

    Parameters
    ----------
    workload
        As the command names it; None: by its name in the records.

    Returns
    -------
    Columns: framework; trial_id of the winner and its hyperparameters; search_s (the search's own, optimistic figure);
    runs, reached; per clock warm_s and cold_s (medians over all confirmation runs, a miss counted as infinite; empty
    where half of them missed) with _low and _high, mean_warm_s and mean_cold_s (where any framework's runs missed: of
    times cut at limit_warm_s and limit_cold_s, which all share), expected_warm_s and expected_cold_s (total time over
    successes); with_evaluation_s (median of the warm time with the evaluations up to the target inside, as MLPerf
    counts, over the runs that reached it); test_accuracy or test_loss, samples_to_target,
    samples_per_s (medians); loader_workers (the most that really ran); command, which runs it again.
    """
    best, confirmed = search_winners(trials), confirmation_runs(trials)
    limits = {clock: _limit(_samples(trials, clock)) for clock in CLOCKS}
    knobs, goal = searched_knobs(trials), goal_of(trials)
    table = []
    for name in frameworks(trials):
        if name not in best:
            continue
        runs, winner = confirmed[confirmed["framework"] == name], best[name]
        hits = runs[runs["reached"].astype(bool)]
        row = {
            "framework": name,
            **{key: winner[key] for key in ("trial_id", *dict.fromkeys((*COLUMNS, *knobs)))},
            "search_s": winner["objective"],
            "runs": len(runs),
            "reached": len(hits),
        }
        for clock in CLOCKS:
            sample = times(runs, clock)
            row |= median(sample.seconds).columns(f"{clock}_s")
            limit_s = limits[clock]
            row |= {
                f"mean_{clock}_s": np.nan if limit_s is None else restricted_mean(sample, limit_s),
                f"limit_{clock}_s": np.nan if limit_s is None else limit_s,
                f"expected_{clock}_s": expected_time(sample),
            }
        row |= {
            "with_evaluation_s": median_of_known(hits["warm_tta_s"].astype(float) + hits["eval_s"].astype(float)),
            goal.test: median_of_known(runs[goal.test].astype(float)),
            "samples_to_target": median_of_known(hits["samples_to_target"].astype(float)),
            "samples_per_s": median_of_known(runs["samples"].astype(float) / runs["train_s"].astype(float)),
            "loader_workers": runs["loader_workers"].astype(float).max(),
            "command": command({**winner, "workload": workload or winner["workload"]}),
        }
        table.append(row)
    return pd.DataFrame(table)


def command(trial: Mapping[str, Any]) -> str:
    """The command that trains once with a trial's configuration."""
    flags = [
        ("framework", shlex.quote(str(trial["framework"]))),
        ("workload", shlex.quote(str(trial["workload"]))),
        ("learning-rate", repr(float(trial["learning_rate"]))),
        ("batch-size", f"{trial['batch_size']:.0f}"),
        ("num-workers", f"{trial['num_workers']:.0f}"),
        ("optimizer", shlex.quote(str(trial["optimizer"]))),
        ("momentum", _flag(trial["momentum"])),
        ("weight-decay", _flag(trial["weight_decay"])),
        ("schedule", _unless("constant", trial.get("schedule"))),
        ("warm-up", _flag(trial.get("warm_up") or None)),
        *(
            ("option", shlex.quote(f"{name}={_spelled(value)}"))
            for name, value in options_of(trial.get(OPTIONS)).items()
        ),
        ("precision", _unless("float32", trial["precision"])),
        ("memory-format", _unless("contiguous", trial["memory_format"])),
        ("target", _flag(trial["target"])),
        ("threads", _flag(trial["cpus"])),
        ("device", shlex.quote(str(trial["device"]))),
        ("seed", f"{trial['seed']:.0f}"),
    ]
    resident = ["--data-on-device"] * bool(trial["data_on_device"])
    return " ".join(["tuneoff train", *(f"--{flag} {value}" for flag, value in flags if value), *resident])


def typical_times(trials: pd.DataFrame, clock: str) -> dict[str, float]:
    """What a confirmation run of each framework takes, as the verdict measures it.

    Returns
    -------
    Seconds by framework: medians over all runs, a miss counted as infinite; NaN for a framework of whose runs half
    missed the target.
    """
    middles = {name: median(sample.seconds).value for name, sample in _samples(trials, clock).items()}
    return {name: middle if np.isfinite(middle) else np.nan for name, middle in middles.items()}


def metric_curves(trials: pd.DataFrame, evaluations: pd.DataFrame) -> pd.DataFrame:
    """What the target is about against training time: of the confirmation runs, or of the winners where there are none.

    Returns
    -------
    Columns: framework, trial_id, train_s, and `Goal.validation` of the trials.
    """
    wanted = set(confirmation_runs(trials)["trial_id"])
    if not wanted:
        wanted = {row["trial_id"] for row in search_winners(trials).values()}
    chosen = evaluations[evaluations["trial_id"].isin(wanted)]
    columns = ["framework", "trial_id", "train_s", goal_of(trials).validation]
    return chosen.sort_values(["framework", "trial_id", "evaluation"])[columns].reset_index(drop=True)


def reach_curves(trials: pd.DataFrame) -> pd.DataFrame:
    """Kaplan-Meier curves of the confirmation runs, per framework and clock.

    Returns
    -------
    Columns: framework, clock, and those of `reports.tables.survival.kaplan_meier`; its interval from five runs on.
    """
    samples = {clock: _samples(trials, clock) for clock in CLOCKS}
    table = []
    for name in frameworks(trials):
        for clock in CLOCKS:
            sample = samples[clock].get(name)
            if sample is not None and len(sample.seconds):
                end_s = horizon(*(each for each in samples[clock].values() if len(each.seconds)))
                curve = kaplan_meier(sample, end_s).assign(framework=name, clock=clock)
                if len(sample.seconds) < FEWEST:
                    curve[["low", "high"]] = np.nan
                table.append(curve)
    columns = ["framework", "clock", "seconds", "share", "low", "high", "censored"]
    return pd.concat(table, ignore_index=True)[columns] if table else pd.DataFrame(columns=columns)


def all_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """Every trial in the order in which it ended; without an objective where nothing was searched."""
    goal = goal_of(trials)
    columns = [
        "trial_id", "outcome", "capped_by", "cap_s", "objective", "warm_tta_s", "cold_tta_s",
        *searched_knobs(trials), "loader_workers", "seed", goal.best, goal.test, "samples", "startup_s", "compile_s",
        "train_s", "data_s", "eval_s", "slice_s", "lost_s", "fresh_process", "host", "hosts", "cpu", "gpu",
        "load_start", "load_end", "error",
    ]  # fmt: skip
    has_search = bool((trials["phase"] != "sweep").any())
    shown = [column for column in columns if has_search or column != "objective"]
    return trials.sort_values("ended_at", kind="stable")[shown].reset_index(drop=True)


def _samples(trials: pd.DataFrame, clock: str) -> dict[str, Times]:
    """The confirmation runs on a clock, by framework."""
    confirmed = confirmation_runs(trials)
    return {name: times(confirmed[confirmed["framework"] == name], clock) for name in frameworks(trials)}


def _limit(samples: dict[str, Times]) -> float | None:
    """To which means are restricted; None where no run missed."""
    ran = [sample for sample in samples.values() if len(sample.seconds)]
    return horizon(*ran) if any(sample.censored for sample in ran) else None


def _flag(value: Any) -> str:
    return "" if value is None or pd.isna(value) else f"{value:.6g}"


def _spelled(value: Any) -> str:
    """An option's value as TOML has it; a text by itself."""
    return value if isinstance(value, str) else json.dumps(value)


def _unless(usual: str, value: Any) -> str:
    """An option's value where it is another than the usual one; older records hold none."""
    return "" if value is None or value == usual else shlex.quote(str(value))


def _rows(trials: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in trials.to_dict("records")]
