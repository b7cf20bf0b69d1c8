"""The seeds of a study's trainings: they depend on the plan and on a training's place alone, whoever runs it."""

from __future__ import annotations

from study.plan.plan import Plan

_RACE_SEEDS = 2**20  # from the first seed of confirmation runs on, which will never be so many
_MOST_RANKS = 1000  # nor configurations of a race


def search_seed(plan: Plan, place: int) -> int:
    """Seed of a search's trial: the same for every framework at the same place, another at the next.

    One seed for all would let the search pick a configuration for that seed's luck.
    """
    return plan.seed * 1_000_003 % 2**30 + place


def confirmation_seed(plan: Plan, number: int) -> int:
    """Seed of a confirmation run: the same for every framework, and none that the search used."""
    return 2**30 + plan.seed * 1_000_003 % 2**30 + number


def race_seed(plan: Plan, repeat: int, rank: int) -> int:
    """Seed of a race's run: the same for every framework, another for every configuration, and none of other phases.

    With one seed for all configurations the luck that they share would hide how much they differ.
    """
    return confirmation_seed(plan, _RACE_SEEDS + _MOST_RANKS * repeat + rank)
