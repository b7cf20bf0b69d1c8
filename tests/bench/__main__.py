"""``python -m tests.bench``: every benchmark, a line each, and all in results/bench.json."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from study.provenance import package_version, processor
from tests.bench import flux, scale, startup, studies, throughput


def main() -> None:
    console = Console(soft_wrap=True)
    console.print(f"{processor()}, torch {package_version('torch')}, ray {package_version('ray')}")
    found = []
    for module in (throughput, flux, startup, studies, scale):
        for row in module.rows():
            mark = "  ok" if row["good"] else "MISS"
            console.print(
                f"{mark}  {row['ratio']:6.3f} (want {row['want']})  {row['what']}: {row['setting']}; "
                f"{row['mine']} against {row['other']}",
                highlight=False,
            )
            found.append(row)
    path = Path("results") / "bench.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")
    console.print(f"written to {path}")


if __name__ == "__main__":
    main()
