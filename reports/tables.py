"""The report's tables: DataFrame in, DataFrame out."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.statistics import Estimate, Values, median
from reports.winners import confirmations, winners

TITLES = {"pytorch": "PyTorch", "flux": "Flux", "simulated": "Simulated"}


def title(framework: str) -> str:
    """A framework's name as its authors write it."""
    return TITLES.get(framework, framework)


def frameworks(trials: pd.DataFrame) -> list[str]:
    """Frameworks in the order in which they first ran."""
    return list(trials.sort_values("ended_at")["framework"].unique())


def confirmation_runs(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows of the runs that confirm the winners; see `reports.winners.confirmations`."""
    wanted = {row["trial_id"] for row in confirmations(_rows(trials))}
    return trials[trials["trial_id"].isin(wanted)]


def best_configurations(trials: pd.DataFrame) -> pd.DataFrame:
    """One row per framework: the winner of its search and what its confirmation runs showed.

    Returns
    -------
    Columns: framework, learning_rate, batch_size, num_workers, optimizer; search_s (the search's own, optimistic
    figure); runs, reached; warm_s and cold_s (medians over the confirmation runs that reached the target) with _low
    and _high; test_accuracy, samples_to_target, samples_per_s (medians), loader_workers.
    """
    best, confirmed = winners(_rows(trials)), confirmation_runs(trials)
    rows = []
    for name in frameworks(trials):
        if name not in best:
            continue
        runs = confirmed[confirmed["framework"] == name]
        hits = runs[runs["reached"].astype(bool)]
        warm, cold = median(_values(hits, "warm_tta_s")), median(_values(hits, "cold_tta_s"))
        winner = best[name]
        rows.append(
            {
                "framework": name,
                **{knob: winner[knob] for knob in ("learning_rate", "batch_size", "num_workers", "optimizer")},
                "search_s": winner["objective"],
                "runs": len(runs),
                "reached": len(hits),
                **_spread("warm_s", warm),
                **_spread("cold_s", cold),
                "test_accuracy": runs["test_accuracy"].median(),
                "samples_to_target": hits["samples_to_target"].median(),
                "samples_per_s": (runs["samples"] / runs["train_s"]).median(),
                "loader_workers": runs["loader_workers"].max(),
            }
        )
    return pd.DataFrame(rows)


def search_cost(trials: pd.DataFrame) -> pd.DataFrame:
    """What finding and confirming the configurations cost, by framework, phase and outcome.

    Returns
    -------
    Columns: framework, phase, outcome, trials, fresh (those in a process of their own; the others found the framework
    started and compiled by an earlier trial), slice_s (seconds for which slices were held), cpu_s and gpu_s (times the
    CPUs and GPUs of a slice), and of slice_s the seconds in startup_s, compile_s, train_s.
    """
    charged = trials.assign(
        cpu_s=trials["slice_s"] * trials["cpus"],
        gpu_s=trials["slice_s"] * trials["gpus"],
        outcome=trials["outcome"].fillna("unknown"),
        fresh=trials["fresh_process"].fillna(True).astype(int),
    )
    order = pd.CategoricalDtype(["search", "confirm"], ordered=True)
    charged["phase"] = charged["phase"].astype(order)
    summed = ["fresh", "slice_s", "cpu_s", "gpu_s", "startup_s", "compile_s", "train_s"]
    grouped = charged.groupby(["framework", "phase", "outcome"], observed=True, sort=True)
    table = grouped[summed].sum()
    table.insert(0, "trials", grouped.size())
    return table.reset_index().astype({"phase": str})


def cost_per_framework(trials: pd.DataFrame) -> pd.DataFrame:
    """`search_cost` of the search phase, summed over outcomes, one row per framework."""
    cost = search_cost(trials)
    searched = cost[cost["phase"] == "search"].drop(columns=["phase", "outcome"])
    return searched.groupby("framework", sort=False).sum().reset_index()


def best_so_far(trials: pd.DataFrame) -> pd.DataFrame:
    """The incumbent against what the search had cost when it was found.

    Returns
    -------
    Columns: framework, trials (searched so far), slice_s (spent so far), best_s (objective of the incumbent; NaN before
    the first hit).
    """
    rows = []
    searched = trials[trials["phase"] == "search"].sort_values("ended_at")
    for name, group in searched.groupby("framework", sort=False):
        hits = group["objective"].where(group["reached"].astype(bool))
        rows.append(
            pd.DataFrame(
                {
                    "framework": name,
                    "trials": np.arange(1, len(group) + 1),
                    "slice_s": group["slice_s"].cumsum().to_numpy(),
                    "best_s": hits.cummin().ffill().to_numpy(),
                }
            )
        )
    columns = ["framework", "trials", "slice_s", "best_s"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def accuracy_curves(trials: pd.DataFrame, evaluations: pd.DataFrame) -> pd.DataFrame:
    """Accuracy against training time: of the confirmation runs, or of the winners where nothing was confirmed.

    Returns
    -------
    Columns: framework, trial_id, train_s, validation_accuracy.
    """
    wanted = set(confirmation_runs(trials)["trial_id"])
    if not wanted:
        wanted = {row["trial_id"] for row in winners(_rows(trials)).values()}
    chosen = evaluations[evaluations["trial_id"].isin(wanted)]
    columns = ["framework", "trial_id", "train_s", "validation_accuracy"]
    return chosen.sort_values(["framework", "trial_id", "evaluation"])[columns].reset_index(drop=True)


def all_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """Every trial in the order in which it ended."""
    columns = [
        "trial_id", "outcome", "objective", "warm_tta_s", "cold_tta_s", "learning_rate", "batch_size", "num_workers",
        "best_validation_accuracy", "test_accuracy", "samples", "train_s", "data_s", "eval_s", "startup_s", "compile_s",
        "fresh_process", "slice_s", "error",
    ]  # fmt: skip
    return trials.sort_values("ended_at")[columns].reset_index(drop=True)


def _rows(trials: pd.DataFrame) -> list[dict[str, object]]:
    return [{str(key): value for key, value in row.items()} for row in trials.to_dict("records")]


def _values(trials: pd.DataFrame, column: str) -> Values:
    return trials[column].dropna().to_numpy(dtype=np.float64)


def _spread(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
