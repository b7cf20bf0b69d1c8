"""The rows of the benchmark: peers at their defaults, ours at the plan's, and ours with single rules alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.pruners import HyperbandPruner, MedianPruner, WilcoxonPruner

from tests.search_bench import peers
from tests.search_bench.peers import Build, miss_rate, optuna_alone, tune
from tests.search_bench.syne import syne

# What makes ours ours, all of it off: plain Tune with OptunaSearch is what remains.
NONE: Mapping[str, Any] = {
    "search.scheduler": "fifo",
    "search.default_first": "false",
    "search.learning_rate_scaling": "none",
    "race.configurations": 0,
}


@dataclass(frozen=True)
class Row:
    """A strategy.

    Parameters
    ----------
    title
        As the table has it.
    build
        A peer's; None: it is ours, and ``settings`` say what of it.
    fresh_processes
        Whether each trial pays for a process of its own.
    repetitions, trials
        At most, where these are fewer than of others: some take seconds to draw a point, or to decide.
    """

    title: str
    build: Build | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    fresh_processes: bool = False
    repetitions: int | None = None
    trials: int | None = None
    drawn: bool = False  # whether the figure has it


PEERS: dict[str, Row] = {
    "random": Row("random search", tune(at_random=True), drawn=True),
    "tune": Row("Ray Tune, OptunaSearch (TPE)", tune(), drawn=True),
    "tune-fresh": Row("the same, a process for each trial", tune(), fresh_processes=True),
    "tune-asha": Row("Ray Tune, OptunaSearch, ASHA", tune(peers.asha), drawn=True),
    "tune-asha-time": Row("Ray Tune, OptunaSearch, ASHA, rungs in seconds", tune(peers.asha_by_time), drawn=True),
    "tune-hyperband": Row("Ray Tune, OptunaSearch, HyperBand", tune(peers.hyperband)),
    "tune-median": Row("Ray Tune, OptunaSearch, median stopping", tune(peers.median)),
    "tune-median-early": Row("the same, after 1 s and not 60", tune(peers.median_early)),
    "optuna-median": Row("Optuna, MedianPruner", optuna_alone(lambda most: MedianPruner())),
    "optuna-hyperband": Row("Optuna, HyperbandPruner", optuna_alone(lambda most: HyperbandPruner(max_resource=most))),
    "optuna-wilcoxon": Row(
        "Optuna, WilcoxonPruner on curves", optuna_alone(lambda most: WilcoxonPruner(), miss_rate), trials=40
    ),
    "syne-asha": Row("Syne Tune, ASHA", syne("ASHA")),
    "syne-mobster": Row("Syne Tune, MOBSTER", syne("MOBSTER"), repetitions=20, trials=40, drawn=True),
}
OURS: dict[str, Row] = {
    "ours": Row("tuneoff, as plans have it", drawn=True),
    "ours-no-race": Row("the same, no race", settings={"race.configurations": 0}, drawn=True),
    "ours-small-race": Row(
        "the same, a race of three, two runs each", settings={"race.configurations": 3, "race.runs": 2}, drawn=True
    ),
    "ours-none": Row("tuneoff, none of its rules", settings=NONE),
    "capping": Row("capping alone", settings={**NONE, "search.scheduler": "cap"}),
    "capping-time": Row("capping by time alone", settings={**NONE, "search.scheduler": "cap", "search.cap_lag": 0}),
    "racing": Row("racing alone", settings={**NONE, "race.configurations": 5}),
    "default": Row("the workload's default first, alone", settings={**NONE, "search.default_first": "true"}),
    "sqrt": Row("rates scaled by the root, alone", settings={**NONE, "search.learning_rate_scaling": "sqrt"}),
    "linear": Row("rates scaled linearly, alone", settings={**NONE, "search.learning_rate_scaling": "linear"}),
    "ours-no-cap": Row("as plans have it, no capping", settings={"search.scheduler": "fifo"}),
    "ours-no-default": Row("as plans have it, no default first", settings={"search.default_first": "false"}),
    "fresh": Row("tuneoff as plans have it, a process for each trial", fresh_processes=True),
    "ours-asha": Row("tuneoff, search.scheduler = asha", settings={"search.scheduler": "asha"}),
    "ours-cmaes": Row("tuneoff, search.sampler = cmaes", settings={"search.sampler": "cmaes"}),
    "ours-gp": Row("tuneoff, search.sampler = gp", settings={"search.sampler": "gp"}, trials=40),
    "ours-random": Row("tuneoff, search.sampler = random", settings={"search.sampler": "random"}),
}
ROWS: dict[str, Row] = {**PEERS, **OURS}


def settings_of(row: Row) -> Sequence[str]:
    """As ``--set`` takes them."""
    return [f"{key}={value}" for key, value in row.settings.items()]
