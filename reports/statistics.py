"""The statistics of the report; the computing is scipy's."""

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


def median(values: Values) -> Estimate:
    """Median with a 95 % percentile bootstrap interval; NaN for no values.

    Parameters
    ----------
    values
        Shape (runs,).
    """
    if len(values) == 0:
        return Estimate(math.nan)
    if len(values) < 3:  # the bootstrap of two values says nothing
        return Estimate(float(np.median(values)))
    return _bootstrap((values,), _median, paired=False)


def ratio_of_medians(numerator: Values, denominator: Values) -> Estimate:
    """Ratio of two medians with a 95 % percentile bootstrap interval, resampled in pairs.

    Parameters
    ----------
    numerator, denominator
        Shape (runs,), position by position of the same seed.
    """
    if len(numerator) < 3:
        return Estimate(float(np.median(numerator) / np.median(denominator)))
    return _bootstrap((numerator, denominator), _ratio, paired=True)


def _bootstrap(samples: tuple[Values, ...], statistic: Callable[..., Values], *, paired: bool) -> Estimate:
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


def _ratio(numerator: Values, denominator: Values, axis: int) -> Values:
    return np.asarray(np.median(numerator, axis=axis) / np.median(denominator, axis=axis))
