"""What is seen without scrolling: a line a clock, the forest plot, who reached the target how often, the rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from reports.figures.claims import forest
from reports.names import compared, title
from reports.page.content import Picture
from reports.sentences import Sentence, plain, rows
from reports.tables.rules import rules_said
from reports.tables.survival import CLOCKS

_CLAIMS = tuple(f"{clock.capitalize()}: " for clock in CLOCKS)


def is_claim(sentence: Sentence) -> bool:
    """Whether a sentence of the verdict says what a clock showed: these are the lines people came for."""
    return plain(sentence[:1]).startswith(_CLAIMS)


def headlines(verdict: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """The lines in large letters: the claims, or where there are none, the first sentence."""
    return tuple(filter(is_claim, verdict)) or tuple(verdict[:1])


def forest_plots(claimed: pd.DataFrame, shown: pd.DataFrame) -> tuple[Picture, ...]:
    """A forest plot for each pair of frameworks of which anything is known.

    Parameters
    ----------
    claimed, shown
        `reports.tables.claims.claims` and `dots`.
    """
    pairs = claimed[["framework", "against"]].drop_duplicates().itertuples(index=False, name=None)
    pictures = []
    for place, (name, against) in enumerate(pairs, start=1):
        mine, runs = (table[(table["framework"] == name) & (table["against"] == against)] for table in (claimed, shown))
        if mine["ratio"].isna().all() and runs.empty:
            continue
        caption = (
            f"{title(name)} against {title(against)}, with 95 % intervals. A dot: a pair of runs, of the confirmation "
            f"or, in the rows of {compared()}, of the race; an arrow: a pair of which one missed the target. "
            "An interval that leaves out 1 has the faster one's colour."
        )
        pictures.append(Picture(f"forest_{place}", caption, forest(mine, runs), "claims"))
    return tuple(pictures)


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
