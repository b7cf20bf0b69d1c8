"""``python -m tests.bench``: every benchmark, as a table and as results/bench.json."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from study.provenance import package_version, processor
from tests.bench import studies, throughput


def main() -> None:
    console = Console(soft_wrap=True)
    console.print(f"{processor()}, torch {package_version('torch')}, ray {package_version('ray')}")
    found = []
    for module in (throughput, studies):
        for row in module.rows():
            console.print(f"{row['what']} ({row['setting']}): {row['ratio']:.3f}", highlight=False)
            found.append(row)
    table = Table(title="ratios, measured side by side in this run (medians)")
    columns = ("what", "setting", "mine", "other", "ratio", "want", "good")
    for column in columns:
        table.add_column(column)
    for row in found:
        table.add_row(*(f"{row[key]:.3f}" if key == "ratio" else str(row[key]) for key in columns))
    console.print(table)
    path = Path("results") / "bench.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")
    console.print(f"written to {path}")


if __name__ == "__main__":
    main()
