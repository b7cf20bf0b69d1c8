"""How often a study's claims are right, over many studies of one setting."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from reports.tables.claims import CONFIGURATION, FASTER, FRAMEWORK, SLOWER, claims
from reports.tables.survival import log_rank, times
from reports.tables.trials import confirmation_runs
from tests.calibration.studies import NAMES, Setting, as_records, study

COVERAGE, FALSE_CLAIMS = 0.93, 0.06  # at least, at most
CHANCE = 0.01  # a setting misses a bound where as many studies would miss it by chance in fewer than so many cases
_BATCH = 50


@dataclass(frozen=True)
class Measured:
    """What the claims about frameworks were worth; ``intervals`` has a row a study, on logarithms, ``nan`` for none."""

    setting: Setting
    studies: int
    told: int  # studies with an interval
    covered: int
    false_claims: int
    claims: int
    configurations_told: int
    configurations_covered: int
    against_both: int  # claims against medians and log-rank test
    intervals: np.ndarray[Any, np.dtype[np.float64]]

    @property
    def coverage(self) -> float:
        """Share of the intervals that hold the truth."""
        return self.covered / self.told if self.told else math.nan

    @property
    def width(self) -> float:
        """Half the typical interval, as a factor; infinite where most have no bound."""
        return float(np.exp(np.nanmedian(self.intervals[:, 1] - self.intervals[:, 0]) / 2)) if self.told else math.nan

    def faults(self) -> list[str]:
        """Bounds that do not hold."""
        found = []
        if self.told and stats.binom.cdf(self.covered, self.told, COVERAGE) < CHANCE:
            found.append(f"coverage {self.coverage:.3f} < {COVERAGE}")
        if stats.binom.sf(self.false_claims - 1, self.studies, FALSE_CLAIMS) < CHANCE:
            found.append(f"false claims {self.false_claims / self.studies:.3f} > {FALSE_CLAIMS}")
        if self.against_both:
            found.append(f"{self.against_both} claims against medians and log-rank test")
        return found

    def power(self, ratio: float) -> float:
        """Share of studies that would have told such a ratio: times scale, and so do intervals."""
        low, high = self.intervals[:, 0] + math.log(ratio), self.intervals[:, 1] + math.log(ratio)
        return float(np.mean((low > 0) | (high < 0)))


def measure(setting: Setting, studies: int, pool: int) -> Measured:
    """Claims of so many studies, whose searches are drawn from ``pool`` of them."""
    truth = setting.truth()
    intervals = np.full((studies, 2), np.nan)
    count = dict.fromkeys(("told", "covered", "false_claims", "claims", "narrow", "narrow_covered", "against"), 0)
    for number, (trials, of_winners) in enumerate(_studies(setting, studies, pool)):
        for row in claims(trials, ["warm"]).to_dict("records"):
            if math.isnan(row["ratio_low"]):
                continue
            if row["scope"] == CONFIGURATION:
                count["narrow"] += 1
                count["narrow_covered"] += row["ratio_low"] <= of_winners <= row["ratio_high"]
                continue
            assert row["scope"] == FRAMEWORK
            with np.errstate(divide="ignore"):
                intervals[number] = np.log([row["ratio_low"], row["ratio_high"]])
            count["told"] += 1
            count["covered"] += row["ratio_low"] <= truth <= row["ratio_high"]
            wrong = (row["verdict"] == FASTER and truth >= 1 - 1e-9) or (row["verdict"] == SLOWER and truth <= 1 + 1e-9)
            count["false_claims"] += wrong
            if row["verdict"] in (FASTER, SLOWER):
                count["claims"] += 1
                count["against"] += _against_both(trials, row["verdict"])
    return Measured(setting, studies, *count.values(), intervals)


def _studies(setting: Setting, studies: int, pool: int) -> Iterator[tuple[pd.DataFrame, float]]:
    draw = np.random.default_rng(0)
    for start in range(0, studies, _BATCH):
        batch = []
        for number in range(start, min(start + _BATCH, studies)):
            first, second = draw.choice(pool, 2, replace=False)
            batch.append(study(setting, setting.searches(int(first), int(second)), number))
        yield from zip(as_records([rows for rows, _ in batch]), [truth for _, truth in batch], strict=True)


def _against_both(trials: pd.DataFrame, verdict: str) -> bool:
    runs = confirmation_runs(trials)
    one, other = (times(runs[runs["framework"] == name], "warm") for name in NAMES)
    sign = -1 if verdict == FASTER else 1
    medians = np.median(one.seconds) - np.median(other.seconds)
    return bool(sign * medians < 0 and sign * log_rank(one, other)[0] > 0)
