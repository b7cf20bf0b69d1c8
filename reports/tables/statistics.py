"""Estimates with their intervals; distributions are scipy's. Censored times are in `reports.tables.survival`.

Nothing is resampled: the percentile bootstrap of five values covers 84 % where it says 95.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

CONFIDENCE = 0.95
POWER = 0.8  # with which a difference counts as detectable
SEED = 20_220_501  # fixed, so that the same records give the same report
FEWEST = 5  # values for an interval; t from three or four is right, but tells too little to be told

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval; ``low`` and ``high`` are NaN where there are too few runs for one."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def has_interval(self) -> bool:
        """Whether an interval could be computed; its ends may be infinite."""
        return not (math.isnan(self.low) or math.isnan(self.high))

    @property
    def differs(self) -> bool:
        """Of a ratio: whether its interval leaves out 1."""
        return self.has_interval and not self.low <= 1.0 <= self.high

    def columns(self, name: str) -> dict[str, float]:
        """Cells of a table: the figure's, and its interval's."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}

    def exponential(self) -> Estimate:
        """Of the logarithm of a ratio: the ratio."""
        with np.errstate(over="ignore"):
            return Estimate(*(float(np.exp(each)) for each in (self.value, self.low, self.high)))


def mean(values: Values) -> Estimate:
    """Mean with Student's 95 % interval; NaN for no values.

    Parameters
    ----------
    values
        Shape (runs,).
    """
    if len(values) == 0:
        return Estimate(math.nan)
    middle = float(np.mean(values))
    if len(values) < FEWEST:
        return Estimate(middle)
    half = student(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Estimate(middle, middle - half, middle + half)


def geometric_mean(ratios: Values) -> Estimate:
    """Geometric mean with Student's 95 % interval on the logarithms: exact where these are normal; NaN for no values.

    Parameters
    ----------
    ratios
        Shape (runs,), above 0.
    """
    return mean(np.log(ratios)).exponential()


def quotient(over: Values, under: Values) -> Estimate:
    """Quotient of two means of pairs, with Fieller's 95 % interval; NaN where the lower one is not above 0.

    The interval holds every n at which the mean of ``over - n * under`` may be 0. It has no upper end where the lower
    mean may be 0 itself [Fieller 1954].

    Parameters
    ----------
    over, under
        Shape (runs,), position by position.
    """
    if len(over) == 0 or not float(np.mean(under)) > 0:
        return Estimate(math.nan)
    upper, lower = float(np.mean(over)), float(np.mean(under))
    if len(over) < FEWEST:
        return Estimate(upper / lower)
    spread = student(len(over) - 1) ** 2 * np.cov(over, under) / len(over)
    # It is where a n^2 - 2 b n + c <= 0.
    a, b, c = lower**2 - spread[1, 1], upper * lower - spread[0, 1], upper**2 - spread[0, 0]
    root = math.sqrt(max(0.0, b**2 - a * c))
    if a > 0:
        return Estimate(upper / lower, float((b - root) / a), float((b + root) / a))
    return Estimate(upper / lower, float(c / (b + root)) if c > 0 and b + root > 0 else -math.inf, math.inf)


def median(values: Values) -> Estimate:
    """Median with a 95 % interval from order statistics, whatever the values' law; NaN for no values.

    Values may be infinite, and so may the interval's ends. Between the two ranks whose confidence lies above and below
    95 % it is interpolated [Hettmansperger and Sheather 1986]; of five values it is the whole range, 93.75 %.

    Parameters
    ----------
    values
        Shape (runs,).
    """
    ordered, runs = np.sort(values), len(values)
    if runs == 0:
        return Estimate(math.nan)
    middle = _between(ordered[(runs - 1) // 2], ordered[runs // 2], 0.5)
    if runs < FEWEST:
        return Estimate(middle)
    rank = max(1, int(stats.binom.ppf((1 - CONFIDENCE) / 2, runs, 0.5)))  # from 1: the last that is wide enough
    wide, narrow = (1 - 2 * float(stats.binom.cdf(each - 1, runs, 0.5)) for each in (rank, rank + 1))
    if wide <= CONFIDENCE:
        return Estimate(middle, float(ordered[0]), float(ordered[-1]))
    part = (wide - CONFIDENCE) / (wide - narrow)
    weight = (runs - rank) * part / (rank + (runs - 2 * rank) * part)
    low = _between(ordered[rank - 1], ordered[rank], weight)
    high = _between(ordered[runs - rank], ordered[runs - rank - 1], weight)
    return Estimate(middle, low, high)


def median_of_known(values: pd.Series[float]) -> float:
    """Median of what is there; NaN where nothing is, without NumPy's warning of that."""
    return float(values.dropna().median())


def _between(one: float, other: float, weight: float) -> float:
    """The value ``weight`` of the way from one to the other; infinite where one of them is."""
    if one == other:
        return float(one)
    if math.isinf(one) and math.isinf(other):
        return 0.0  # one below everything and one above: in the middle of both
    return float((1 - weight) * one + weight * other)


def widened(estimate: Estimate, half: float) -> Estimate:
    """An estimate whose interval also covers another, independent source of error of so much to either side.

    Distances are added in squares, each side by itself [MOVER: Zou and Donner 2008].
    """
    return Estimate(
        estimate.value,
        estimate.value - math.hypot(estimate.value - estimate.low, half),
        estimate.value + math.hypot(estimate.high - estimate.value, half),
    )


def winning_chances(ranks: npt.NDArray[np.int64], trials: int) -> Values:
    """How likely each trial is the best of a half-sized bootstrap of its search, given that one of these is.

    Of ``trials`` drawn half as many times, with replacement, that of rank j is the best with probability
    ((n - j + 1) / n)^(n/2) - ((n - j) / n)^(n/2). Half as many, for a search's trials are not independent: a bootstrap
    of all is too sure of the best (see reports/README.md).

    Parameters
    ----------
    ranks
        Shape (trials,), from 1.
    """
    chances = (((trials - ranks + 1) / trials) ** (trials / 2)) - (((trials - ranks) / trials) ** (trials / 2))
    return np.asarray(chances / chances.sum(), dtype=np.float64)


def luck(means: Values, chances: Values) -> float:
    """Variance of what a search finds: of the means of its best configurations, by their chances to have won."""
    return float(np.sum(chances * (means - np.sum(chances * means)) ** 2))


def student(freedom: float, probability: float = (1 + CONFIDENCE) / 2) -> float:
    """Quantile of Student's t; of the normal law for infinite degrees of freedom."""
    return float(stats.t.ppf(probability, freedom))


def detectable(half: float) -> float:
    """The ratio that an interval of this half width, on logarithms, leaves out 1 for in `POWER` of studies."""
    return math.exp(half * (1 + float(stats.norm.ppf(POWER)) / float(stats.norm.ppf((1 + CONFIDENCE) / 2))))


def differing_shares(successes: tuple[int, int], runs: tuple[int, int]) -> float:
    """p-value of Fisher's exact test that two shares of successes are equal; NaN without runs of both."""
    if not all(runs):
        return math.nan
    table = [[hits, of - hits] for hits, of in zip(successes, runs, strict=True)]
    return float(stats.fisher_exact(table).pvalue)
