"""Re-evaluating promising configurations: a sampler-side answer to noise.

Seeds differ from trial to trial, so the lowest of many values is partly the luckiest, and a sampler that takes it at
its word looks around it. Every m-th trial can instead run the best configuration so far again, under another seed:
what was lucky falls back, and the sampler hears of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from math import exp, fsum, log
from typing import TypeVar

Point = TypeVar("Point", bound=Hashable)


def repeats(
    place: int, ended: Iterable[tuple[Point, float | None]], *, every: int, startup: int, most: int
) -> Point | None:
    """The configuration that a trial should run again; None where it should draw one.

    Best is the lowest geometric mean over all runs of a configuration, of which each reached the target.

    Parameters
    ----------
    place
        Of the trial in its search, from 0.
    ended
        Configuration and seconds of the trials that have ended; None of one that did not reach the target.
    every
        Each so-manieth trial after the start repeats; 0: none.
    startup
        Trials of the start.
    most
        Runs of a configuration, its first among them; of those that have had so many, none runs again.
    """
    if every == 0 or place < startup or (place - startup) % every != every - 1:
        return None
    runs: defaultdict[Point, list[float | None]] = defaultdict(list)
    for point, seconds in ended:
        runs[point].append(seconds)
    means = {point: mean for point, each in runs.items() if len(each) < most and (mean := typical(each)) is not None}
    return min(means, key=lambda point: means[point], default=None)


def typical(runs: Iterable[float | None]) -> float | None:
    """Geometric mean of a configuration's times; None where one of them missed the target."""
    known = list(runs)
    hits = [each for each in known if each is not None]
    return exp(fsum(map(log, hits)) / len(hits)) if hits and len(hits) == len(known) else None
