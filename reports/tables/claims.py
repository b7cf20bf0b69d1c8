"""What may be said about two frameworks: DataFrame in, DataFrame out. In words: `reports.tables.verdict`.

One ratio of times a clock, from the pairs of runs that confirm the two winners, with two intervals. The narrower one is
about these two *configurations*: it covers the luck of the seeds. The wider one is about the *frameworks*: it covers
what another search would have found as well, which the race between the best configurations of each search shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from reports.names import title
from reports.tables.machines import seeds_apart
from reports.tables.statistics import (
    FEWEST,
    Estimate,
    Values,
    detectable,
    differing_shares,
    luck,
    mean,
    median,
    student,
    widened,
    winning_chances,
)
from reports.tables.survival import (
    CLOCKS,
    Times,
    expected_time,
    horizon,
    log_rank,
    log_ratios,
    paired,
    restricted_mean,
    times,
)
from reports.tables.trials import confirmation_runs, finalist_ranks, frameworks, phase, race_runs

FRAMEWORK, CONFIGURATION = "framework", "configuration"
FASTER, SLOWER, INCONCLUSIVE = "faster", "slower", "inconclusive"


@dataclass(frozen=True)
class _Pair:
    """Two frameworks on one clock: all runs that confirm them, and those of equal seeds, position by position."""

    framework: str
    against: str
    clock: str
    all: tuple[Times, Times]
    both: tuple[Times, Times]
    seeds_apart: int  # that they ran on different machines


def claims(trials: pd.DataFrame, clocks: Sequence[str] = CLOCKS) -> pd.DataFrame:
    """How the frameworks compare: a row per pair, clock and scope.

    A study without a race has no row of scope `framework`: nothing in it shows how lucky its searches were.

    Returns
    -------
    Columns: framework, against, clock; scope (`framework` or `configuration`); ratio of the times with _low and _high,
    the same ratio in both scopes; verdict (`faster`, `slower`, `inconclusive`, of the framework; empty without an
    interval); detectable, the ratio that such a study tells from 1 in 80 of 100 cases; pairs, missed (pairs of which
    one missed the target) and unknown (runs without a time on this clock); reason, why there is no ratio or no
    interval.
    """
    table, races = [], _races(trials)
    for pair in _pairs(trials, clocks):
        one, reason = _of_configurations(pair)
        table.append(_claim(pair, CONFIGURATION, one, reason))
        if races:
            half, lacking = _luck(races, pair)
            whole = widened(one, half) if one.has_interval and not lacking else Estimate(one.value)
            table.append(_claim(pair, FRAMEWORK, whole, reason or lacking))
    columns = ["framework", "against", "clock", "scope", "ratio", "ratio_low", "ratio_high", "verdict", "detectable"]
    return pd.DataFrame(table, columns=[*columns, "pairs", "missed", "unknown", "reason"])


def _pairs(trials: pd.DataFrame, clocks: Sequence[str] = CLOCKS) -> Iterator[_Pair]:
    """Frameworks of which both have runs that confirm them."""
    confirmed = confirmation_runs(trials)
    for against, name in combinations(frameworks(trials), 2):
        runs = [confirmed[confirmed["framework"] == each] for each in (name, against)]
        if any(each.empty for each in runs):
            continue
        apart = seeds_apart(*runs)
        for clock in clocks:
            first, second = (times(each[~each["seed"].isin(apart)], clock) for each in runs)
            yield _Pair(name, against, clock, (first, second), paired(first, second), len(apart))


def _of_configurations(pair: _Pair) -> tuple[Estimate, str]:
    """The logarithm of the ratio of two configurations' times, and why it or its interval is missing."""
    for name, sample in zip((pair.framework, pair.against), pair.all, strict=True):
        if len(sample.seconds) == 0:
            return Estimate(math.nan), f"no run of {title(name)} has a time on this clock"
        if 2 * int(sample.reached.sum()) <= len(sample.seconds):
            return Estimate(math.nan), f"{title(name)} reached the target in no more than half of its runs"
    ratios = log_ratios(*pair.both)
    if len(ratios) == 0:
        where = " on the same machine" if pair.seeds_apart else ""
        return Estimate(math.nan), f"no seed was run by both{where}"
    # Where times are symmetric around their middle on a logarithmic scale both estimate the same.
    found = mean(ratios) if np.isfinite(ratios).all() else median(ratios)
    few = f"an interval needs {FEWEST} pairs of runs, and there are {len(ratios)}" if len(ratios) < FEWEST else ""
    return found, few


@dataclass(frozen=True)
class _Race:
    """The runs of a framework's race, the place of each trial in its search by number, and how many trials that had."""

    runs: pd.DataFrame
    places: Mapping[int, int]
    searched: int

    def means(self, clock: str) -> tuple[Values, Values]:
        """Of each configuration the mean logarithm of its times, and its chance to have won the search.

        Over the runs that reached the target: how often a configuration misses is no part of how its times spread.
        """
        sample = times(self.runs, clock)
        found = {}
        for number in map(int, np.unique(sample.configurations[sample.reached])):
            if number in self.places:
                mine = sample.reached & (sample.configurations == number)
                found[self.places[number]] = float(np.log(sample.seconds[mine]).mean())
        if not found:
            return np.array([]), np.array([])
        places = np.array(sorted(found), dtype=np.int64)
        return np.array([found[place] for place in places]), winning_chances(places, self.searched)


def _races(trials: pd.DataFrame) -> dict[str, _Race]:
    """The race of each framework; nothing for a study without one."""
    runs = race_runs(trials)
    if runs.empty:
        return {}
    places, searched = finalist_ranks(trials), phase(trials, "search")["framework"].value_counts()
    return {
        name: _Race(runs[runs["framework"] == name], places.get(name, {}), int(searched.get(name, 0)))
        for name in frameworks(trials)
    }


def _luck(races: Mapping[str, _Race], pair: _Pair) -> tuple[float, str]:
    """Half width, on logarithms, of what the luck of both searches does to their ratio; and why it is not known."""
    variance, freedom = 0.0, 0
    for name in (pair.framework, pair.against):
        means, chances = races[name].means(pair.clock)
        if len(means) < 2:
            return math.nan, f"fewer than two configurations of {title(name)} reached the target in the race"
        variance += luck(means, chances)
        freedom += len(means) - 1
    return student(freedom) * math.sqrt(variance), ""


def _claim(pair: _Pair, scope: str, found: Estimate, reason: str) -> dict[str, object]:
    ratio = found.exponential()
    half = (found.high - found.low) / 2
    return {
        "framework": pair.framework,
        "against": pair.against,
        "clock": pair.clock,
        "scope": scope,
        "ratio": ratio.value if math.isfinite(ratio.value) else math.nan,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "verdict": _word(pair, found),
        "detectable": detectable(half) if math.isfinite(half) else math.nan,
        "pairs": len(log_ratios(*pair.both)),
        "missed": int(np.isinf(log_ratios(*pair.both)).sum()),
        "unknown": sum(sample.unknown for sample in pair.all),
        "reason": reason,
    }


def _word(pair: _Pair, found: Estimate) -> str:
    if not found.has_interval:
        return ""
    if found.low <= 0.0 <= found.high or _contradicted(pair, found):
        return INCONCLUSIVE
    return FASTER if found.value < 0 else SLOWER


def _contradicted(pair: _Pair, found: Estimate) -> bool:
    """Whether medians and log-rank test of all runs both say the opposite."""
    one, other = (median(sample.seconds).value for sample in pair.all)
    sooner, _ = log_rank(*pair.all)
    return (one < other and sooner > 0) if found.value > 0 else (one > other and sooner < 0)


def dots(trials: pd.DataFrame) -> pd.DataFrame:
    """Every pair of runs on which `claims` rests.

    Returns
    -------
    Columns: framework, against, clock; scope: `configuration` for runs that confirm the winners, `framework` for the
    race, where runs of equal rank and seed are a pair; seed; ratio of the times (empty where one missed the target);
    missed, the framework that did (empty for none).
    """
    table: list[tuple[object, ...]] = []
    for scope, runs in ((CONFIGURATION, confirmation_runs(trials)), (FRAMEWORK, race_runs(trials))):
        for against, name in combinations(frameworks(trials), 2):
            for clock in CLOCKS:
                one, other = paired(*(times(runs[runs["framework"] == each], clock) for each in (name, against)))
                some = one.reached | other.reached
                for seed, mine, theirs in zip(one.seeds[some], one.seconds[some], other.seconds[some], strict=True):
                    missed = name if math.isinf(mine) else against if math.isinf(theirs) else ""
                    ratio = math.nan if missed else mine / theirs
                    table.append((name, against, clock, scope, int(seed), ratio, missed))
    return pd.DataFrame(table, columns=["framework", "against", "clock", "scope", "seed", "ratio", "missed"])


def successes(trials: pd.DataFrame) -> pd.DataFrame:
    """How often the confirmed configurations reached the target.

    Returns
    -------
    A row per pair. Columns: framework, against; reached and runs, reached_against and runs_against; p_value of Fisher's
    exact test that both reach it as often.
    """
    confirmed = confirmation_runs(trials)
    table = []
    for against, name in combinations(frameworks(trials), 2):
        each = [confirmed.loc[confirmed["framework"] == one, "reached"].astype(bool) for one in (name, against)]
        hits, runs = tuple(int(one.sum()) for one in each), tuple(len(one) for one in each)
        if all(runs):
            p_value = differing_shares((hits[0], hits[1]), (runs[0], runs[1]))
            table.append((name, against, hits[0], runs[0], hits[1], runs[1], p_value))
    columns = ["framework", "against", "reached", "runs", "reached_against", "runs_against", "p_value"]
    return pd.DataFrame(table, columns=columns)


def other_measures(trials: pd.DataFrame) -> pd.DataFrame:
    """The same comparison by other measures, which decide nothing.

    Returns
    -------
    A row per pair and clock. Columns: framework, against, clock; median_s and median_against_s over all runs, a miss
    counted as infinite (empty where half missed), and medians, their ratio; means, the ratio of mean times cut at
    limit_s; expected, the ratio of expected times to the target when a run that misses is followed by another [COCO];
    log_rank, p-value of the test that both reach the target at the same pace.
    """
    table = []
    for pair in _pairs(trials):
        first, second = pair.all
        if not (len(first.seconds) and len(second.seconds)):
            continue
        limit_s = horizon(first, second)
        middles = [each if math.isfinite(each) else math.nan for each in (_median(first), _median(second))]
        means = [restricted_mean(each, limit_s) for each in pair.all]
        expected = [expected_time(each) for each in pair.all]
        row = (pair.framework, pair.against, pair.clock, *middles, middles[0] / middles[1], means[0] / means[1])
        table.append((*row, limit_s, expected[0] / expected[1], log_rank(first, second)[1]))
    columns = ["framework", "against", "clock", "median_s", "median_against_s", "medians", "means", "limit_s"]
    return pd.DataFrame(table, columns=[*columns, "expected", "log_rank"])


def _median(sample: Times) -> float:
    return median(sample.seconds).value
