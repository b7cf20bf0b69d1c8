"""The benchmark's results as people read them: a table in Markdown and CSV, and curves of regret against cost."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from tests.search_bench.running import REFERENCES, Run
from tests.search_bench.strategies import OURS, ROWS
from tests.search_bench.summing import Estimate, close_s, estimate, over, ratio, regret_at

CLOSE = (0.05, 0.10, 0.20)
COSTS = (0.125, 0.25, 0.5, 1.0)  # of the reference
PLAIN = "tune"


def summary(runs: Mapping[str, Sequence[Run]], reference_s: float) -> list[dict[str, Estimate | str | float]]:
    """A row for each strategy."""
    found = []
    for name, mine in runs.items():
        row: dict[str, Estimate | str | float] = {"strategy": name, "title": ROWS[name].title, "searches": len(mine)}
        for share in CLOSE:
            values = over(mine, lambda run, share=share: close_s(run, share))
            row[f"within {share:.0%}"] = estimate(values)
            row[f"get within {share:.0%}"] = sum(value < inf for value in values) / len(values)
            if PLAIN in runs:
                plain = over(runs[PLAIN], lambda run, share=share: close_s(run, share))
                row[f"within {share:.0%}, of plain Tune's"] = ratio(values, plain)
        for cost in COSTS:
            at_s = cost * reference_s
            row[f"regret at {cost:g}"] = estimate(over(mine, lambda run, at_s=at_s: regret_at(run, at_s)))
        row["plan's cost"] = estimate(over(mine, lambda run: run.planned_s / reference_s))
        row["plan's regret"] = estimate(
            over(mine, lambda run: inf if run.planned_regret is None else run.planned_regret)
        )
        found.append(row)
    return found


def write_csv(rows: Sequence[Mapping[str, Estimate | str | float]], path: Path) -> None:
    """Every number, with the ends of its interval in columns of their own."""
    flat = []
    for row in rows:
        cells: dict[str, str | float] = {}
        for key, each in row.items():
            if isinstance(each, Estimate):
                cells |= {key: each.value, f"{key}, low": each.low, f"{key}, high": each.high}
            else:
                cells[key] = each
        flat.append(cells)
    columns = list(dict.fromkeys(key for cells in flat for key in cells))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for cells in flat:
            writer.writerow({key: f"{each:.6g}" if isinstance(each, float) else each for key, each in cells.items()})


def markdown(rows: Sequence[Mapping[str, Estimate | str | float]], head: str) -> str:
    """The table that the page has; peers first."""
    lines = [
        head,
        "",
        "| strategy | within 5 %, slice-s | searches | within 10 % | within 20 % | 30 trials: cost | 30 trials: regret "
        "| regret at 1/8 | at 1/4 | at 1/2 | at 1 |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            f"**{row['title']}**" if row["strategy"] in OURS else str(row["title"]),
            str(row["within 5%"]),
            f"{row['get within 5%']:.0%} of {row['searches']}",
            str(row["within 10%"]),
            str(row["within 20%"]),
            _percent(row["plan's cost"]),
            _percent(row["plan's regret"]),
            *(_percent(row[f"regret at {cost:g}"]) for cost in COSTS),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _percent(value: Estimate | str | float) -> str:
    """A share with its interval, in per cent."""
    assert isinstance(value, Estimate)
    if value.value == inf:
        return "-"
    low, high = (f"{each:.0%}"[:-1] if each < inf else "-" for each in (value.low, value.high))
    return f"{value.value:.0%} [{low}, {high}]"


def figure(runs: Mapping[str, Sequence[Run]], reference_s: float, title: str) -> Figure:
    """Median regret against cost; for ours the quartiles, too."""
    mpl.rcParams["svg.hashsalt"] = "tuneoff"
    costs = np.geomspace(0.01, REFERENCES, 200)
    drawing = Figure(figsize=(7.2, 5.2), layout="constrained")
    axes = drawing.add_subplot()
    for name, mine in runs.items():
        if not ROWS[name].drawn:
            continue
        values = np.array([[regret_at(run, cost * reference_s) for cost in costs] for run in mine])
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0, method="inverted_cdf")
        is_ours = name in OURS
        (line,) = axes.plot(
            costs,
            100 * np.where(np.isinf(middle), np.nan, middle),
            label=ROWS[name].title,
            lw=2.2 if is_ours else 1.3,
            ls="-" if is_ours or name == PLAIN else "--",
        )
        if name == "ours":
            seen = np.isfinite(high)
            axes.fill_between(costs[seen], 100 * low[seen], 100 * high[seen], color=line.get_color(), alpha=0.15, lw=0)
    axes.set(xscale="log", xlim=(costs[0], costs[-1]), ylim=(0, 120), title=title)
    axes.set_xlabel("slice-seconds spent, as a share of 30 random trials trained to their ends")
    axes.set_ylabel("median regret of what is known, %")
    axes.axhline(5, color="0.6", lw=0.8)
    drawing.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return drawing
