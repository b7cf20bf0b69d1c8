"""``python -m tests.bench [NAME ...]``: every benchmark, or those named, a line each, and all in results/bench.json."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console

from study.store.provenance import package_version
from tests.bench import data, flux, scale, startup, studies, throughput
from trainables.common.machine import processor

_ALL = (throughput, flux, startup, data, studies, scale)
BENCHMARKS = {module.__name__.rpartition(".")[2]: module for module in _ALL}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"unknown benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    console = Console(soft_wrap=True)
    console.print(f"{processor()}, torch {package_version('torch')}, ray {package_version('ray')}")
    found = []
    for name in names or BENCHMARKS:
        for row in BENCHMARKS[name].rows():
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
