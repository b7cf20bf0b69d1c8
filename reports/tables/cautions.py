"""What a reader of the best configurations should be warned of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.knobs import PREFIX, is_text, knob_title, searched_knobs, told
from reports.names import title
from reports.tables.machines import machine_cautions
from reports.tables.statistics import FEWEST
from reports.tables.trials import confirmation_runs, frameworks, search_winners
from reports.tables.weakness import few_reached
from reports.tables.why import attribution

_POWERS = {"sqrt": 0.5, "linear": 1.0}  # by ``search.learning_rate_scaling``
EDGE = 0.02  # of a range's width, on its own scale


def cautions(trials: pd.DataFrame, plan: dict[str, Any]) -> pd.DataFrame:
    """Few trials that reached the target, other machines, optima at the edge of the search space, few confirmation
    runs, luck of a search.

    Parameters
    ----------
    plan
        The frozen plan; without one the edges are not known.

    Returns
    -------
    Columns: framework, caution.
    """
    table = [
        row
        for each in (few_reached(trials), machine_cautions(trials))
        for row in each.itertuples(index=False, name=None)
    ]
    best = search_winners(trials)
    for name in frameworks(trials):
        if slowed := _nice(trials[trials["framework"] == name]):
            table.append((name, f"{title(name)}: {slowed}"))
        if name not in best:
            continue
        space = plan.get("space", {}).get(name, {})
        mine = trials[trials["framework"] == name]
        numbers = [knob for knob in searched_knobs(trials) if not is_text(mine[knob]) and best[name][knob] is not None]
        said = [
            _edge(knob, space.get(knob.removeprefix(PREFIX), {}), *_as_searched(knob, best[name], plan))
            for knob in numbers
        ]
        said.append(_workers(mine))
        said.append(_few(len(confirmation_runs(mine))))
        table += [(name, f"{title(name)}: {each}") for each in said if each]
    table += _searched_apart(trials, best)
    return pd.DataFrame(table, columns=["framework", "caution"])


def _as_searched(knob: str, winner: Mapping[str, Any], plan: dict[str, Any]) -> tuple[float, str]:
    """A winner's value as its search drew it, and in words where that is another: the base of a scaled rate."""
    value, search = float(winner[knob]), plan.get("search", {})
    power = _POWERS.get(search.get("learning_rate_scaling", "none"), 0.0)
    if knob != "learning_rate" or not power:
        return value, ""
    reference = search["reference_batch_size"]
    return value / (float(winner["batch_size"]) / reference) ** power, f" at batch size {reference}"


def _edge(knob: str, asked: dict[str, Any], value: float, at: str = "") -> str:
    if "choices" in asked:
        low, high = min(asked["choices"]), max(asked["choices"])
        lies_at = [("lower", low)] * (value == low) + [("upper", high)] * (value == high)
    elif asked:
        low, high = asked["low"], asked["high"]
        place = _place(value, low, high, log=asked.get("log", False))
        lies_at = [("lower", low)] * (place <= EDGE) + [("upper", high)] * (place >= 1 - EDGE)
    else:
        return ""
    if low == high or not lies_at or (knob == "num_workers" and value == low == 0):
        return ""  # one value is no range, and there are no fewer than 0 workers
    side, end = lies_at[0]
    widen = "a slice with more CPUs" if knob == "num_workers" else "a wider space"
    return (
        f"the best {_counted(knob)}{at}, {value:.4g}, lies at the {side} edge of the search space ({end:.4g}); "
        f"{widen} may hold a better one."
    )


def _counted(knob: str) -> str:
    return f"number of {knob_title(knob)}" if knob == "num_workers" else knob_title(knob)


def _place(value: float, low: float, high: float, *, log: bool) -> float:
    if high <= low:
        return 0.5
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low)


def _workers(trials: pd.DataFrame) -> str:
    ran = trials.dropna(subset=["loader_workers", "num_workers"])
    other = ran[ran["loader_workers"] != ran["num_workers"]]
    if other.empty:
        return ""
    first = other.iloc[0]
    return (
        f"{len(other)} of {len(ran)} trials ran another number of loader workers than they were asked for "
        f"({first['trial_id']}: asked {first['num_workers']:.0f}, ran {first['loader_workers']:.0f})."
    )


def _nice(trials: pd.DataFrame) -> str:
    if "niceness" not in trials:  # of an older version
        return ""
    known = trials.dropna(subset=["niceness"])
    slowed = known[known["niceness"] > 0]
    if slowed.empty:
        return ""
    return (
        f"{len(slowed)} of {len(known)} trials ran at niceness {slowed['niceness'].max():.0f}, giving way to whatever "
        "else their machines ran; RAY_worker_niceness=0, where Ray is started, prevents that."
    )


def _searched_apart(trials: pd.DataFrame, best: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """Pairs of which one needs fewer samples because its search ended elsewhere, not because of the framework."""
    parts = attribution(trials)
    table = []
    for row in parts[parts["part"] == "samples to target"].to_dict("records"):
        name, against = row["framework"], row["against"]
        differ = [knob for knob in searched_knobs(trials) if best[name][knob] != best[against][knob]]
        if not differ or math.isnan(row["ratio_low"]) or row["ratio_low"] <= 1.0 <= row["ratio_high"]:
            continue
        values = ", ".join(
            f"{_counted(knob)} {told(best[name][knob])} and {told(best[against][knob])}" for knob in differ
        )
        table.append(
            (
                name,
                f"{title(name)} and {title(against)}: their searches ended at different configurations ({values}), at "
                f"which {title(name)} needs {row['ratio']:.2f} times the samples. From equal hyperparameters both "
                "learn alike, so this factor is what the searches found and not the frameworks' speed.",
            )
        )
    return table


def _few(runs: int) -> str:
    if runs == 0:
        return "no confirmation run, so its figures are the search's own and biased low."
    if runs < FEWEST:
        return f"{runs} confirmation run{'s'[: runs > 1]}, too few for an interval, which needs {FEWEST}."
    return ""
