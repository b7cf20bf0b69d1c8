"""What is seen without scrolling: a line a clock, the forest plot, who reached the target how often, the rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from reports.figures.claims import forest
from reports.names import compared, title
from reports.page.content import Picture
from reports.sentences import Number, Sentence, plain, rows
from reports.tables.rules import rules_said
from reports.tables.survival import CLOCKS

_CLAIMS = tuple(f"{clock.capitalize()}: " for clock in CLOCKS)


def is_claim(sentence: Sentence) -> bool:
    """Whether a sentence of the verdict says what a clock showed: these are the lines people came for."""
    return plain(sentence[:1]).startswith(_CLAIMS)


def headlines(verdict: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """The lines in large letters: the claims, or where there are none, the first sentence."""
    return tuple(filter(is_claim, verdict)) or tuple(verdict[:1])


def rests_on_claims(sentence: Sentence) -> bool:
    """Whether a sentence says more of a claim: of several pairs these open on a click."""
    return any(isinstance(part, Number) and part.table == "claims" for part in sentence)


def words(verdict: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """What the words and brackets of a verdict mean, where it has them."""
    said = " ".join(map(plain, verdict)).lower()
    meant = []
    if any(f"{clock}:" in said or f" {clock}" in said for clock in CLOCKS):
        meant.append("Warm: the time of training alone. Cold: all of it, from the start of the process.")
    if "[" in said:
        meant.append("In brackets: 95 % intervals.")
    if "% faster" in said or "% slower" in said:
        meant.append("10 % faster: 10 % less time.")
    if re.search(r"\dx(?: \[[^]]*\])? (?:faster|slower)", said):
        meant.append("2x faster: half of the time.")
    return ((" ".join(meant),),) if meant else ()


def forest_plots(claimed: pd.DataFrame, shown: pd.DataFrame) -> tuple[Picture, ...]:
    """A forest plot for each pair of frameworks of which anything is known.

    Parameters
    ----------
    claimed, shown
        `reports.tables.claims.claims` and `dots`.
    """
    pairs = claimed[["framework", "against"]].drop_duplicates().itertuples(index=False, name=None)
    pictures, several = [], len(claimed[["framework", "against"]].drop_duplicates()) > 1
    for place, (name, against) in enumerate(pairs, start=1):
        mine, runs = (table[(table["framework"] == name) & (table["against"] == against)] for table in (claimed, shown))
        if mine["ratio"].isna().all() and runs.empty:
            continue
        caption = f"{title(name)} against {title(against)}" + ("." if several else f", with 95 % intervals. {_key()}")
        pictures.append(Picture(f"forest_{place}", caption, forest(mine, runs), "claims"))
    return tuple(pictures)


def forests_key(pictures: Sequence[Picture]) -> tuple[Sentence, ...]:
    """How to read several forest plots; one says it itself."""
    return ((f"In the plots: {_key()}",),) if len(pictures) > 1 else ()


def _key() -> str:
    return (
        f"A dot: a pair of runs, of the confirmation or, in the rows of {compared()}, of the race; an arrow: a pair of "
        "which one missed the target. An interval that leaves out 1 has the faster one's colour."
    )


def rules_lines(table: pd.DataFrame) -> tuple[Sentence, ...]:
    """The line of rules, where anything was searched.

    Parameters
    ----------
    table
        `reports.tables.rules.rules`.
    """
    return tuple(rules_said(row) for row in rows("rules", table))


def heading(name: str, trials: pd.DataFrame, aim: str, plan: dict[str, Any]) -> str:
    """What the page is about: a time to a target, or where nothing was searched, a sweep."""
    if len(trials) and (trials["phase"] == "sweep").all():
        epochs = plan.get("training", {}).get("epochs", trials["max_epochs"].max())
        lasting = f", {epochs:.0f} epochs each" if epochs == epochs and epochs is not None else ""
        return f"{name}: settings swept on {trials['workload'].iloc[0]}{lasting}"
    return f"{name}: time to {aim}"
