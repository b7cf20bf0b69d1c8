"""Whether frameworks are compared and not the machines they ran on: DataFrame in, DataFrame out."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from itertools import combinations
from typing import Any

import pandas as pd

from reports.names import title
from reports.tables.trials import confirmation_runs, frameworks, phase, search_winners

UNEVEN = (
    0.25  # of a search's trials that would have to run elsewhere, for a framework to have the other's share of hosts
)
FEWEST = 8  # trials of a search, for a share to say anything
MODELS = {"cpu": "processors", "gpu": "GPUs"}


def crossings(trials: pd.DataFrame) -> pd.DataFrame:
    """Of the seeds that two frameworks' confirmation runs share, how many both ran on one machine.

    Where a run's machine is not recorded it is taken to be the other's.

    Returns
    -------
    One row per pair of frameworks. Columns: framework, against, seeds, together, hosts and hosts_against (names of the
    machines, joined by commas).
    """
    confirmed = confirmation_runs(trials)
    table = []
    for against, name in combinations(frameworks(trials), 2):
        runs = {each: confirmed[confirmed["framework"] == each] for each in (name, against)}
        apart = seeds_apart(runs[name], runs[against])
        seeds = len(set(runs[name]["seed"]) & set(runs[against]["seed"]))
        hosts = [", ".join(_hosts(runs[each])) for each in (name, against)]
        table.append((name, against, seeds, seeds - len(apart), *hosts))
    return pd.DataFrame(table, columns=["framework", "against", "seeds", "together", "hosts", "hosts_against"])


def seeds_apart(first: pd.DataFrame, second: pd.DataFrame) -> set[int]:
    """Seeds that two frameworks ran on different machines; a comparison leaves them out."""
    both = first[["seed", "host"]].merge(second[["seed", "host"]], on="seed", suffixes=("", "_other")).dropna()
    return set(both.loc[both["host"] != both["host_other"], "seed"])


def compared_apart(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows of `crossings` of frameworks no seed of which ran on one machine: what differs may be the machines."""
    table = crossings(trials)
    return table[(table["seeds"] > 0) & (table["together"] == 0)].reset_index(drop=True)


def machine_cautions(trials: pd.DataFrame) -> pd.DataFrame:
    """What machines may have done to the comparison.

    Returns
    -------
    Columns: framework, caution.
    """
    table = [(row["framework"], said) for row in crossings(trials).to_dict("records") if (said := _apart(row))]
    table += _uneven(phase(trials, "search"))
    table += [
        (row["framework"], f"{title(row['framework'])}: the best trial of the search, {row['trial_id']}, ran on "
         f"{row['hosts']:.0f} machines one after the other; the time for which it was chosen is of none of them.")
        for row in search_winners(trials).values()
        if row["hosts"] > 1
    ]  # fmt: skip
    confirmed = confirmation_runs(trials)
    table += [(name, said) for column in MODELS for name, said in _models(confirmed, column)]
    return pd.DataFrame(table, columns=["framework", "caution"])


def _apart(row: dict[Hashable, Any]) -> str:
    seeds, together = row["seeds"], row["together"]
    if together == seeds:
        return ""
    name, against = title(row["framework"]), title(row["against"])
    if together:
        return (
            f"{name} and {against}: {seeds - together} of {seeds} seeds ran on different machines and are not compared."
        )
    return (
        f"{name}'s confirmation runs ran on {row['hosts']} and {against}'s on {row['hosts_against']}, no seed on the "
        "same machine: frameworks and machines cannot be told apart, and the two are not compared. "
        "`tuneoff resume` runs them again in pairs."
    )


def _uneven(search: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs of frameworks whose searches had other machines: each found what is best where it ran."""
    table = []
    shares = {
        name: rows["host"].value_counts(normalize=True)
        for name, rows in search.dropna(subset=["host"]).groupby("framework")
        if len(rows) >= FEWEST
    }
    for against, name in combinations([each for each in frameworks(search) if each in shares], 2):
        elsewhere = shares[name].sub(shares[against], fill_value=0.0).clip(lower=0.0).sum()
        if elsewhere > UNEVEN:
            one, other = (
                ", ".join(f"{share:.0%} on {host}" for host, share in shares[each].sort_index().items())
                for each in (name, against)
            )
            said = (
                f"{title(name)} and {title(against)}: their searches ran on other shares of the machines ({one}; "
                f"{other}), and each found what is best where it ran."
            )
            table.append((name, said))
    return table


def _models(confirmed: pd.DataFrame, column: str) -> list[tuple[str, str]]:
    known = confirmed.dropna(subset=[column])
    if known[column].nunique() < 2:
        return []
    where = {str(model): ", ".join(_hosts(rows)) for model, rows in known.groupby(column)}
    told = "; ".join(f"{hosts}: {model}" for model, hosts in where.items())
    name = frameworks(known)[0]
    return [
        (name, f"The confirmation runs had different {MODELS[column]} ({told}); every time is an average over these.")
    ]


def _hosts(runs: pd.DataFrame) -> Iterable[str]:
    return sorted(map(str, runs["host"].dropna().unique()))
