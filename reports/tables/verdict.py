"""The sentences people came for, made of `reports.tables.claims`."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd

from reports.goals import goal_of
from reports.names import compared, title
from reports.sentences import Row, Sentence, plain, rows
from reports.tables.budget import budgets
from reports.tables.claims import CONFIGURATION, FASTER, FRAMEWORK, INCONCLUSIVE, claims, successes
from reports.tables.machines import compared_apart
from reports.tables.survival import CLOCKS
from reports.tables.trials import best_configurations, frameworks
from reports.tables.why import break_even


def verdict_sentences(
    trials: pd.DataFrame,
    claimed: pd.DataFrame,
    reached: pd.DataFrame,
    best: pd.DataFrame,
    budget: pd.DataFrame,
    even: pd.DataFrame,
) -> list[Sentence]:
    """What a study shows: a sentence per clock, then what it rests on.

    Parameters
    ----------
    claimed, reached, best, budget, even
        `reports.tables.claims.claims` and `successes`, `reports.tables.trials.best_configurations`,
        `reports.tables.budget.budgets` and `reports.tables.why.break_even` of the trials.
    """
    if trials.empty:
        return [("No trial has finished yet.",)]
    searched = trials[trials["phase"] != "sweep"]
    if searched.empty:
        return [("This study swept a setting, all else held; it searched for nothing, and so has no verdict.",)]
    said, paired_up, aim = [], set(), goal(trials)
    apart = compared_apart(trials).to_dict("records")
    not_compared = {(pair["framework"], pair["against"]) for pair in apart}
    all_claims, counts = rows("claims", claimed), rows("successes", reached)
    evens = {(row["framework"], row["against"]): row for row in rows("break_even", even)}
    for counted in counts:
        pair = (counted["framework"], counted["against"])
        if pair in not_compared or not (counted["reached"] or counted["reached_against"]):
            continue
        paired_up |= set(pair)
        mine = [row for row in all_claims if (row["framework"], row["against"]) == pair]
        said += _compared(mine, among_several=len(counts) > 1)
        if pair in evens and _clocks_differ(mine):
            said.append(_pays(evens[pair]))
        said.append(_counted(counted, aim))
    for pair_apart in apart:
        paired_up |= {pair_apart["framework"], pair_apart["against"]}
        said.append(_apart(pair_apart))
    winners = {row["framework"]: row for row in rows("best_configurations", best)}
    planned = {row["framework"]: row for row in rows("budgets", budget)}
    names = frameworks(searched)
    said += [_alone(aim, winners.get(name), planned[name]) for name in names if name not in paired_up]
    if len(names) == 1:
        said.append(("No other framework ran, so there is nothing to compare it with.",))
    return said


def verdict(trials: pd.DataFrame) -> str:
    """`verdict_sentences` as text."""
    tables = claims(trials), successes(trials), best_configurations(trials), budgets(trials, {})
    return " ".join(map(plain, verdict_sentences(trials, *tables, break_even(trials))))


def goal(trials: pd.DataFrame) -> str:
    """Target and workload in words."""
    first = trials.iloc[0]
    return f"{goal_of(trials).told(first['target'])} on {first['workload']}"


def _compared(claimed: list[Row], *, among_several: bool) -> list[Sentence]:
    """The claims of two frameworks: about them where their searches were raced, and about the configurations.

    Among several pairs each sentence says of which it is.
    """
    wide = {row["clock"]: row for row in claimed if row["scope"] == FRAMEWORK}
    narrow = {row["clock"]: row for row in claimed if row["scope"] == CONFIGURATION}
    shown = wide or narrow
    said = [(f"{clock.capitalize()}: ", *claim_said(row, among_several)) for clock, row in shown.items()]
    rests: list[Sentence] = []
    whose = f"{title(claimed[0]['framework'])} and {title(claimed[0]['against'])}: " if among_several else ""
    ratios = [row for row in narrow.values() if row.has("ratio_low")]
    if wide and ratios:
        alone: Sentence = ()
        for row in ratios:
            alone += ("; " if alone else "", f"{row['clock']}, ", *_in_short(row))
        rests.append(("these two configurations by themselves, whatever another search would find: ", *alone, "."))
    elif ratios:
        rests.append(("this is about these two configurations: how lucky the searches were it does not cover.",))
    if able := _detects(wide, narrow):
        rests.append(("such a study detects, in four of five cases, ", *able, "."))
    return [*said, *(_begun(whose, each) for each in rests)]


def claim_said(row: Row, among_several: bool = False) -> Sentence:
    """A row of `reports.tables.claims.claims` in words, without its clock; among several pairs, with both names."""
    name, base = title(row["framework"]), title(row["against"])
    if not row.has("ratio"):
        return (f"{f'{name} and {base}: ' * among_several}no ratio of times: {row['reason']}.",)
    if row["verdict"] not in (INCONCLUSIVE, ""):
        return (*_in_short(row, among_several), ".")
    needs: Sentence = (f"{name} needs ", *row.interval("ratio", "times"), f" of {base}'s time: ")
    if row["verdict"] == "":
        return (*needs, f"no interval, for {row['reason']}.")
    return (*needs, "inconclusive", *_between(row), ".")


def _in_short(row: Row, among_several: bool = False) -> Sentence:
    """A claim with an interval as a part of a sentence: who is faster by how much, or that it is inconclusive."""
    name, base = title(row["framework"]), title(row["against"])
    if row["verdict"] == INCONCLUSIVE:
        return (f"{name} needs ", *row.interval("ratio", "times"), f" of {base}'s time, inconclusive")
    if row["verdict"] == FASTER:
        ends = row.bounds("ratio", "inverse", turned=True)
        return (f"{name} is ", row.say("ratio", "inverse times"), *ends, f" faster{f' than {base}' * among_several}")
    return (f"{base} is ", *row.interval("ratio", "times"), f" faster{f' than {name}' * among_several}")


def _between(row: Row) -> Sentence:
    low, high = row.say("ratio_low", "change"), row.say("ratio_high", "change")
    below, above = row["ratio_low"] > 0, row["ratio_high"] != float("inf")
    if below and above:
        return ("; between ", low, " and ", high)
    return ("; at most ", low if below else high) if below or above else ()


def _begun(whose: str, sentence: Sentence) -> Sentence:
    """A sentence with the names of the pair that it is about, or with a capital."""
    first = plain(sentence[:1])
    return (whose + first if whose else first[0].upper() + first[1:], *sentence[1:])


def _detects(wide: dict[str, Row], narrow: dict[str, Row]) -> Sentence:
    """What size of difference such a study tells from none."""
    said: Sentence = ()
    for scope in (wide, narrow):
        known = [row for row in scope.values() if row.has("detectable")]
        if known:
            between = f"between {compared()}" if scope is wide else "between two configurations"
            runs: Sentence = () if scope is wide else (", with ", known[0].say("pairs", "count"), " runs,")
            sizes = [(row.say("detectable", "times"), f" {row['clock']}") for row in known]
            said += (" and " if said else "a difference ", between, *runs, " of ", *sizes[0])
            said += tuple(part for each in sizes[1:] for part in (" or ", *each))
    return said


def _clocks_differ(claimed: list[Row]) -> bool:
    """Whether the two clocks give the claims of one scope other words: who waits for one to start wants to know why."""
    words = {(row["scope"], row["clock"]): row["verdict"] for row in claimed}
    return any(
        "" not in (one := [words.get((scope, clock), "") for clock in CLOCKS]) and len(set(one)) > 1
        for scope in (FRAMEWORK, CONFIGURATION)
    )


def _pays(row: Row) -> Sentence:
    """Whether, and when, it pays to wait for the framework that starts later."""
    late = row["later_s"] > 0
    side, name, other = ("", "framework", "against") if late else ("against_", "against", "framework")
    name, other = title(row[name]), title(row[other])
    said: Sentence = (f"{name} starts ", row.say(f"{side}later_s", "seconds"), f" later than {other}, compilation ")
    if not row.has(f"{side}ahead_from"):
        return (*said, "included, and a training with its evaluations takes no less time then: that never pays.")
    said += ("included, and then saves ", *row.interval(f"{side}saves", "share"), " of a training with its evaluations")
    said += (
        ": that pays from training ",
        *row.interval(f"{side}ahead_from"),
        " in one process on, or where one takes ",
    )
    said += (f"{other} ", *row.interval(f"{side}ahead_in_s", "seconds"), " or longer")
    if row[f"{side}ahead_from_high"] == float("inf"):
        return (*said, "; it may never, for no saving is shown.")
    return (*said, ".")


def _counted(row: Row, aim: str) -> Sentence:
    """Who reached the target how often, with a test where they differ."""
    said: Sentence = (f"{title(row['framework'])} reached {aim} in ", row.say("reached", "count"), " of ")
    said += (row.say("runs", "count"), f" runs, {title(row['against'])} in ", row.say("reached_against", "count"))
    said += (" of ", row.say("runs_against", "count"))
    if row["reached"] * row["runs_against"] == row["reached_against"] * row["runs"]:
        return (*said, ".")
    return (*said, " (Fisher's exact test that they reach it as often: p = ", row.say("p_value", "probability"), ").")


def _apart(pair: dict[Hashable, Any]) -> Sentence:
    name, against = title(pair["framework"]), title(pair["against"])
    return (
        f"{name} and {against} are not compared: {name}'s confirmation runs ran on {pair['hosts']}, {against}'s on "
        f"{pair['hosts_against']}, and no seed of both on the same machine.",
    )


def _alone(aim: str, best: Row | None, budget: Row) -> Sentence:
    name, trials = title(budget["framework"]), budget.say("trials", "count")
    if best is None:
        if budget["trials"] and budget["failed"] == budget["trials"]:
            return ("All ", trials, f" trials of {name} failed; the table of trials says why.")
        return (f"{name} never reached {aim} in ", trials, " trials.")
    if not best["runs"]:
        found: Sentence = (budget.say("reached", "count"), " of ", trials, " trials")
        if budget["capped"]:
            found += (" (", budget.say("capped", "count"), " were capped)")
        return (f"{name} reached {aim} in ", *found, "; its best configuration is not confirmed.")
    if not best["reached"]:
        runs = best.say("runs")
        return (f"{name} reached {aim} in its search, but in none of ", runs, " confirmation runs.")
    said: Sentence = (f"{name} reaches {aim} in ",)
    known = [clock for clock in CLOCKS if best.has(f"{clock}_s")]
    for index, clock in enumerate(known):
        said += (" and " if index else "", *best.interval(f"{clock}_s", "seconds"), f" {clock}")
    counted: Sentence = (best.say("reached"), " of ", best.say("runs"))
    if not known:
        return (f"{name} reached {aim} in ", *counted, " confirmation runs; there is no median of its times.")
    return (*said, " (", *counted, " runs reached it).")
