"""What many runs of a strategy come to: medians, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt

from tests.search_bench.running import Run

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A median with a 95 % bootstrap interval over repetitions; infinite where half of them never got there."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.value == inf:
            return "never" if self.low == inf else f"never [{_short(self.low)}, never]"
        return f"{_short(self.value)} [{_short(self.low)}, {_short(self.high)}]"


def _short(value: float) -> str:
    return "never" if value == inf else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def estimate(values: Sequence[float]) -> Estimate:
    """Of values that may be infinite."""
    known = np.asarray(values, dtype=float)
    random = np.random.default_rng(len(known))
    drawn = known[random.integers(len(known), size=(RESAMPLES, len(known)))]
    medians = np.quantile(drawn, 0.5, axis=1, method="inverted_cdf")
    low, high = np.quantile(medians, [0.025, 0.975], method="inverted_cdf")
    return Estimate(float(np.quantile(known, 0.5, method="inverted_cdf")), float(low), float(high))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """Of two strategies' medians; both are resampled."""
    random = np.random.default_rng(len(ours) + len(theirs))

    def medians(values: Sequence[float]) -> npt.NDArray[np.float64]:
        known = np.asarray(values, dtype=float)
        drawn = known[random.integers(len(known), size=(RESAMPLES, len(known)))]
        found: npt.NDArray[np.float64] = np.quantile(drawn, 0.5, axis=1, method="inverted_cdf")
        return found

    mine, others = medians(ours), medians(theirs)
    with np.errstate(invalid="ignore"):
        ratios = np.where(np.isinf(mine), inf, mine / others)
    low, high = np.quantile(ratios, [0.025, 0.975], method="inverted_cdf")
    middle = estimate(ours).value / estimate(theirs).value if estimate(ours).value < inf else inf
    return Estimate(middle, float(low), float(high))


def close_s(run: Run, share: float) -> float:
    """Slice-seconds after which it first knew a configuration that is at most so much worse than the best."""
    return min((spent for spent, regret in run.steps if regret is not None and regret <= share), default=inf)


def regret_at(run: Run, spent_s: float) -> float:
    """Of what it would have returned with so much spent."""
    before = [regret for spent, regret in run.steps if spent <= spent_s]
    return inf if not before or before[-1] is None else before[-1]


def over(runs: Sequence[Run], value: Callable[[Run], float]) -> list[float]:
    """One value of each."""
    return [value(each) for each in runs]
