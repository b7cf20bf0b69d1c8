"""Estimates with their intervals; the computing is scipy's. Censored times are in `reports.tables.survival`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 9_999
SEED = 20_220_501  # fixed, so that the same records give the same report
FEWEST = 3  # runs for an interval: the bootstrap of two values says nothing

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval; ``low`` and ``high`` are NaN where there are too few runs for one."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def has_interval(self) -> bool:
        """Whether an interval could be computed."""
        return not (math.isnan(self.low) or math.isnan(self.high))

    @property
    def differs(self) -> bool:
        """Of a ratio: whether its interval leaves out 1."""
        return self.has_interval and not self.low <= 1.0 <= self.high


def median(values: Values) -> Estimate:
    """Median with a 95 % percentile bootstrap interval; NaN for no values.

    Parameters
    ----------
    values
        Shape (runs,).
    """
    if len(values) == 0:
        return Estimate(math.nan)
    if len(values) < FEWEST:
        return Estimate(float(np.median(values)))
    return _bootstrap((values,), _median)


def ratio_of_medians(numerator: Values, denominator: Values) -> Estimate:
    """Ratio of two medians with a 95 % percentile bootstrap interval, resampled in pairs.

    Parameters
    ----------
    numerator, denominator
        Shape (runs,), position by position of the same seed.
    """
    if len(numerator) < FEWEST:
        return Estimate(float(np.median(numerator) / np.median(denominator)))
    return _bootstrap((numerator, denominator), _ratio_of_medians, paired=True)


def ratio_of_means(numerator: Values, denominator: Values) -> Estimate:
    """Ratio of two means with a 95 % percentile bootstrap interval, resampled in pairs.

    Of times cut at a common limit that no run was censored before, this is the ratio of restricted means.

    Parameters
    ----------
    numerator, denominator
        Shape (runs,), position by position of the same seed.
    """
    if len(numerator) < FEWEST:
        return Estimate(float(np.mean(numerator) / np.mean(denominator)))
    return _bootstrap((numerator, denominator), _ratio_of_means, paired=True)


def geometric_mean(ratios: Values) -> Estimate:
    """Geometric mean with a 95 % percentile bootstrap interval; NaN for no values.

    Parameters
    ----------
    ratios
        Shape (runs,), above 0.
    """
    if len(ratios) == 0:
        return Estimate(math.nan)
    if len(ratios) < FEWEST:
        return Estimate(float(stats.gmean(ratios)))
    return _bootstrap((ratios,), _geometric_mean)


def _bootstrap(samples: tuple[Values, ...], statistic: Callable[..., Values], *, paired: bool = False) -> Estimate:
    result = stats.bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        paired=paired,
        vectorized=True,
        rng=np.random.default_rng(SEED),
    )
    interval = result.confidence_interval
    return Estimate(float(statistic(*samples, axis=-1)), float(interval.low), float(interval.high))


def _median(values: Values, axis: int) -> Values:
    return np.asarray(np.median(values, axis=axis))


def _ratio_of_medians(numerator: Values, denominator: Values, axis: int) -> Values:
    return np.asarray(np.median(numerator, axis=axis) / np.median(denominator, axis=axis))


def _ratio_of_means(numerator: Values, denominator: Values, axis: int) -> Values:
    return np.asarray(np.mean(numerator, axis=axis) / np.mean(denominator, axis=axis))


def _geometric_mean(ratios: Values, axis: int) -> Values:
    return np.asarray(stats.gmean(ratios, axis=axis))
