"""A study's records made of two searches, and what it claims."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from reports.records import complete
from reports.schema import TRIALS
from reports.winners import finalists, winners
from tests.calibration.searches import LIMIT_S, Search, Values, search

NAMES = ("flux", "pytorch")


@dataclass(frozen=True)
class Setting:
    """What is known of a study.

    Attributes
    ----------
    ratio
        Of Flux's time to PyTorch's at equal configurations.
    spread
        Standard deviation of the logarithm of a run's time over its seeds.
    misses
        Share of runs that miss the target, whatever their configuration: of Flux and of PyTorch.
    correlation
        Of the two frameworks' luck with a seed.
    trials, finalists, race, confirm
        Of each search; configurations in the race, runs of each of them, and runs that confirm the winner.
    """

    ratio: float = 1.0
    spread: float = 0.3
    misses: tuple[float, float] = (0.0, 0.0)
    correlation: float = 0.0
    trials: int = 30
    finalists: int = 5
    race: int = 4
    confirm: int = 10
    surface: str = "ridge"

    def __str__(self) -> str:
        seeds = "correlated" if self.correlation else "independent"
        missed = "/".join(f"{100 * share:.0f}" for share in self.misses)
        return (
            f"{self.surface}, {self.trials} trials, race {self.finalists} x {self.race}, {self.confirm:2d} runs, ratio "
            f"{self.ratio:g}, spread {self.spread:g}, misses {missed} %, seeds {seeds}"
        )

    def truth(self) -> float:
        """The median ratio of two runs of which at least one reaches the target, a miss counted as infinite."""
        here, there = (1 - share for share in self.misses)
        both, above, below = here * there, (1 - here) * there, here * (1 - there)
        middle = (0.5 * (both + above + below) - below) / both
        spread = self.spread * math.sqrt(2 * (1 - self.correlation))
        return self.ratio * math.exp(spread * float(stats.norm.ppf(middle)))

    def searches(self, first: int, second: int) -> tuple[Search, Search]:
        """Of both frameworks, by seed; a search does not know of the ratio."""
        of = (self.surface, self.spread, self.trials)
        return search(*of, self.misses[0], first), search(*of, self.misses[1], second)


def study(setting: Setting, searches: tuple[Search, Search], seed: int) -> tuple[list[dict[str, object]], float]:
    """The rows of a study's trials, search, race and confirmation; and the true ratio of the confirmed winners."""
    noise = np.random.default_rng([7, seed])
    rows = []
    for name, found in zip(NAMES, searches, strict=True):
        times = _scaled(setting, name, found.seconds)
        for number, (point, seconds) in enumerate(zip(found.points, times, strict=True)):
            rows.append(_row(name, "search", number, seconds, point, seed=number))
    best = finalists(rows, setting.finalists)
    for place in range(setting.finalists):
        luck = _luck(setting, setting.race, noise)
        for name, found in zip(NAMES, searches, strict=True):
            for entered in best.get(name, [])[place : place + 1]:
                number = entered["number"]
                for run, seconds in enumerate(_scaled(setting, name, np.exp(found.typical[number]) * luck[name])):
                    pair = place * setting.race + run
                    row = _row(name, "race", pair, seconds, found.points[number], seed=1000 + pair)
                    rows.append(row | {"confirms": number, "rank": place + 1})
    won, luck = {name: row["number"] for name, row in winners(rows).items()}, _luck(setting, setting.confirm, noise)
    for name, found in zip(NAMES, searches, strict=True):
        for number in [won[name]] if name in won else []:
            for run, seconds in enumerate(_scaled(setting, name, np.exp(found.typical[number]) * luck[name])):
                row = _row(name, "confirm", run, seconds, found.points[number], seed=2000 + run)
                rows.append(row | {"confirms": number})
    if len(won) < len(NAMES):
        return rows, math.nan
    found_s = [float(np.exp(each.typical[won[name]])) for name, each in zip(NAMES, searches, strict=True)]
    return rows, setting.truth() * found_s[0] / found_s[1]


def as_records(studies: list[list[dict[str, object]]]) -> list[pd.DataFrame]:
    """The trials of each study, as `reports.records` gives them."""
    columns = [column.name for column in TRIALS]
    rows = [row for each in studies for row in each]
    table = complete(pd.DataFrame({name: [row.get(name) for row in rows] for name in columns}), TRIALS)
    ends = np.cumsum([len(each) for each in studies])
    return [table.iloc[end - len(each) : end].reset_index(drop=True) for each, end in zip(studies, ends, strict=True)]


def _scaled(setting: Setting, name: str, seconds: Values) -> Values:
    return seconds * setting.ratio if name == NAMES[0] else seconds


def _luck(setting: Setting, runs: int, noise: np.random.Generator) -> dict[str, Values]:
    """Factor of each run's time, by framework; infinite for a miss."""
    shared = noise.standard_normal(runs)
    found = {}
    for name, share in zip(NAMES, setting.misses, strict=True):
        own = noise.standard_normal(runs)
        both = math.sqrt(setting.correlation) * shared + math.sqrt(1 - setting.correlation) * own
        found[name] = np.where(noise.random(runs) < share, np.inf, np.exp(setting.spread * both))
    return found


def _row(
    name: str, phase: str, number: int, seconds: float, point: dict[str, float], *, seed: int
) -> dict[str, object]:
    reached = math.isfinite(seconds)
    took = float(seconds) if reached else LIMIT_S
    return {
        "study": "calibration", "phase": phase, "framework": name, "trial_id": f"{phase}-{name}-{number:05d}",
        "number": number, "seed": seed, "workload": "mnist-lenet", "target": 0.985, "limit_s": LIMIT_S,
        "objective_clock": "warm", **point, "outcome": "reached" if reached else "out_of_time", "reached": reached,
        "objective": took if reached else 1.05 * LIMIT_S, "warm_tta_s": took if reached else None, "train_s": took,
        "slice_s": took, "samples": 1000, "samples_to_target": 1000 if reached else None, "fresh_process": True,
        "segments": 1, "attempt": 1, "hosts": 1,
    }  # fmt: skip
