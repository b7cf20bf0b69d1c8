"""The experiment of the benchmark this project grew from: one setting swept, the rest held; DataFrame in and out."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pandas as pd

from reports.goals import goal_of
from reports.knobs import PREFIX, column_of
from reports.tables.statistics import Values
from reports.tables.trials import frameworks, phase, sweep_runs

# The benchmark's own headings, in its order; a loss is in nats, where it said per cent.
SEED_COLUMNS = {
    "best_training_accuracy": "Best Training Accuracy (%)",
    "data_s": "Total Data Loading Time (s)",
    "epoch_train_s": "Total Epoch Training Time (s)",
    "train_s": "Total Training Function Time (s)",
    "average_training_loss": "Average Training Loss (nats)",
}


def seed_columns(trials: pd.DataFrame) -> dict[str, str]:
    """`SEED_COLUMNS`; where trials have no accuracy without it, and with a loss that is in no unit."""
    if goal_of(trials).rises:
        return SEED_COLUMNS
    others = {key: name for key, name in SEED_COLUMNS.items() if not key.endswith("accuracy")}
    return {**others, "average_training_loss": "Average Training Loss"}


_TIMES = ("epoch_train_s", "train_s")
_PUBLISHED = ("mnist-lenet", 10)  # what the benchmark trained, and for how many epochs
WRONG = (
    "The published numbers (the-praxs/dl-benchmark, LeNet on MNIST, one run each, 10 epochs, GPU not named) do not "
    "compare like with like: PyTorch ran SGD with momentum and a cosine schedule, Flux plain gradient descent with L2; "
    "PyTorch's accuracy is a running average in training mode, Flux's an evaluation after the epoch; timers did not "
    "wait for the GPU, and data loading time is only the copy to the device; `julia -p` never reached the loader, so "
    "Julia's workers column measures nothing; PyTorch's row for batch size 128 is a copy of Julia's, and two of its "
    "losses are swapped. They are shown as published, to be looked at and not to be relied on."
)


def swept(trials: pd.DataFrame) -> list[str]:
    """Columns of the settings that the sweep varied: the benchmark's own first, others as they came."""
    varied = list(dict.fromkeys(phase(trials, "sweep")["varied"]))
    ours = [name for name in ("num_workers", "batch_size", "learning_rate") if name in varied]
    return [column_of(name, trials) for name in dict.fromkeys((*ours, *varied))]


def seed_table(trials: pd.DataFrame, knob: str) -> pd.DataFrame:
    """The benchmark's table: medians over the repeats of each value that trained all their epochs.

    One that diverged, failed or ran out of time stopped early; its short time is no fast training.

    Returns
    -------
    Columns: framework, the knob's, repeats, finished, and the keys of `SEED_COLUMNS` (epoch_train_s is train_s without
    waiting for data; both times with _low and _high, the fastest and the slowest repeat).
    """
    rows = _rows(trials, knob)
    table = _medians(rows, knob, list(seed_columns(trials)))
    for column in _TIMES:
        table[f"{column}_low"], table[f"{column}_high"] = (
            _each(rows, table, knob, column, how) for how in ("min", "max")
        )
    return table


def missing_table(trials: pd.DataFrame, knob: str) -> pd.DataFrame:
    """What the benchmark's table lacked: medians over the repeats of each value that trained all their epochs.

    Returns
    -------
    Columns: framework, the knob's, repeats, finished, reached; train_s with _low and _high (the fastest and the slowest
    repeat), warm_tta_s and cold_tta_s (of the repeats that reached the target), samples_per_s,
    what the target is about, at its best on the validation split and on the test split, and loader_workers (the most
    that really ran).
    """
    rows = _rows(trials, knob)
    rows["samples_per_s"] = rows["samples"] / rows["train_s"].where(rows["train_s"] > 0)
    goal = goal_of(trials)
    columns = ["train_s", "warm_tta_s", "cold_tta_s", "samples_per_s", goal.best, goal.test]
    table = _medians(rows, knob, columns)
    table["train_s_low"], table["train_s_high"] = (_each(rows, table, knob, "train_s", how) for how in ("min", "max"))
    every = rows.assign(finished=True)  # of what was reached and what ran, all repeats tell
    table.insert(4, "reached", _each(every, table, knob, "reached", "sum").astype(int))
    table["loader_workers"] = _each(every, table, knob, "loader_workers", "max")
    return table


def finished_repeats(trials: pd.DataFrame, knob: str) -> pd.DataFrame:
    """The repeats of which the other tables show medians: those that trained all their epochs.

    Returns
    -------
    Columns: framework, the knob's, seed, epoch_train_s and train_s.
    """
    rows = _rows(trials, knob)
    return rows.loc[rows["finished"], ["framework", knob, "seed", *_TIMES]].reset_index(drop=True)


def published(trials: pd.DataFrame, knob: str) -> pd.DataFrame:
    """The numbers that the benchmark published for a sweep of this setting; `WRONG` says what is wrong with them.

    Returns
    -------
    Columns: framework, the knob's, the keys of `SEED_COLUMNS`, note. No rows for a setting that it did not sweep, nor
    beside trainings of another workload or of other length than its own.
    """
    rows = _rows(trials, knob)
    lengths = set(rows["max_epochs"].dropna())
    alike = set(rows["workload"]) == {_PUBLISHED[0]} and lengths == {_PUBLISHED[1]}
    with (files("reports.tables") / "published.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file, keep_default_na=False)
    chosen = table[(table["swept"] == knob) & alike].rename(columns={"value": knob})
    return chosen[["framework", knob, *SEED_COLUMNS, "note"]].reset_index(drop=True)


def _rows(trials: pd.DataFrame, knob: str) -> pd.DataFrame:
    """The sweep's rows that vary this setting."""
    sweep = sweep_runs(trials)
    sweep = sweep[sweep["varied"] == knob.removeprefix(PREFIX)].copy()
    numbers = ["train_s", "data_s", "samples", "best_training_accuracy", "average_training_loss", "loader_workers"]
    sweep[numbers] = sweep[numbers].astype(float)
    sweep["epoch_train_s"] = sweep["train_s"] - sweep["data_s"]
    sweep["finished"] = sweep["outcome"].isin(["reached", "out_of_epochs"]) & ~(sweep["epochs"] < sweep["max_epochs"])
    return sweep


def _medians(rows: pd.DataFrame, knob: str, columns: list[str]) -> pd.DataFrame:
    grouped = rows.groupby(["framework", knob])
    medians = rows[rows["finished"]].groupby(["framework", knob])[columns].median()
    table = pd.DataFrame({"repeats": grouped.size(), "finished": grouped["finished"].sum()}).join(medians)
    order = {name: place for place, name in enumerate(frameworks(rows))}
    table = table.reset_index()
    return table.sort_values(
        ["framework", knob], key=lambda c: c.map(order) if c.name == "framework" else c
    ).reset_index(drop=True)


def _each(rows: pd.DataFrame, table: pd.DataFrame, knob: str, column: str, how: str) -> Values:
    """A statistic of the finished repeats, for each row of a table."""
    found = rows[rows["finished"]].groupby(["framework", knob])[column].agg(how)
    return np.asarray(found.reindex(pd.MultiIndex.from_frame(table[["framework", knob]])), dtype=np.float64)
