"""``python -m tests.search_bench.tables NAME --curves FILE ... --costs FILE``: recordings -> study/replay/tables/NAME.

Three files: `CURVES`, `COSTS`, both Parquet, and `ABOUT`, which says what was recorded, how, where and when.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w

from tests.search_bench import lines
from tests.search_bench.grid import Job, batch_sizes, jobs
from tests.search_bench.record import PER_BATCH, SEEDS
from trainables.workloads.workload import Workload, find

CURVES, COSTS, ABOUT = "curves.parquet", "costs.parquet", "about.toml"
TABLES = Path(__file__).parents[2] / "study" / "replay" / "tables"

_CURVES = pa.schema(
    [
        ("framework", pa.dictionary(pa.int8(), pa.string())),
        ("batch_size", pa.int32()),
        ("learning_rate", pa.float64()),
        ("seed", pa.int8()),
        ("evaluation", pa.int16()),  # counts from 1
        ("samples", pa.int32()),
        ("accuracy", pa.float32()),  # of the validation split
    ]
)
_COSTS = pa.schema(
    [
        ("framework", pa.string()),
        ("batch_size", pa.int32()),
        ("num_workers", pa.int8()),
        ("seconds_per_sample", pa.float64()),
        ("evaluation_s", pa.float64()),
        ("startup_s", pa.float64()),
        ("warm_s", pa.float64()),
        ("process_s", pa.float64()),  # what a fresh process costs besides
    ]
)


def write(folder: Path, workload: Workload, trainings: Sequence[lines.Row], costs: Sequence[lines.Row]) -> None:
    """Write the table of these recordings; what is there is replaced."""
    if len(limits := {row["epochs_limit"] for row in trainings}) != 1:
        raise SystemExit(f"recorded with different limits: {sorted(limits)} epochs")
    if missing := {*batch_sizes(workload)} - {row["batch_size"] for row in costs}:
        raise SystemExit(f"no costs of batch size {min(missing)}")
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows, schema in ((CURVES, points(trainings), _CURVES), (COSTS, _sorted_costs(costs), _COSTS)):
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), folder / name, compression="zstd")
    (folder / ABOUT).write_text(tomli_w.dumps(about(workload, trainings, costs)), encoding="utf-8")


def points(trainings: Iterable[lines.Row]) -> Iterable[lines.Row]:
    """A row an evaluation, in the columns' order."""
    for row in sorted(trainings, key=lambda row: tuple(Job.of(row).as_row().values())):
        for number, (samples, accuracy) in enumerate(zip(row["samples"], row["accuracy"], strict=True), 1):
            yield {**Job.of(row).as_row(), "evaluation": number, "samples": samples, "accuracy": accuracy}


def about(workload: Workload, trainings: Sequence[lines.Row], costs: Sequence[lines.Row]) -> dict[str, Any]:
    """What a reader of the table has to know."""
    configurations = {(row["framework"], row["batch_size"], row["learning_rate"]) for row in trainings}
    both = {*_configurations_with(trainings, seeds=SEEDS)}
    return {
        "workload": workload.name,
        "metric": workload.metric,
        "target": workload.target,
        "holds": workload.holds,
        "evaluate_every_samples": workload.evaluate_every_samples,
        "epochs": trainings[0]["epochs_limit"],
        "limit_s": workload.limit_s,
        "recorded": {
            "frameworks": sorted({row["framework"] for row in trainings}),
            "configurations": len(configurations),
            "with_both_seeds": len(both),
            "trainings": len(trainings),
            "outcomes": dict(sorted(Counter(row["outcome"] for row in trainings).items())),
            "first": _day(min(row["recorded_at"] for row in trainings)),
            "last": _day(max(row["recorded_at"] for row in trainings)),
            "how": "trainables.training without Ray and without a limit in seconds, one thread, no loader workers, "
            "float32; a curve ends when the target held, or at the limit of epochs",
            "where": _machines(trainings),
        },
        "costs": {
            "machine": costs[0]["machine"],
            **{name: version for row in costs for name, version in _versions(row).items()},
            "threads": costs[0]["threads"],
            "rounds": costs[0]["rounds"],
            "measured": _day(costs[0]["measured_at"]),
            "measured_with": costs[0]["workload"],
        },
        "space": dict(workload.space["all"]),
    }


def _configurations_with(trainings: Sequence[lines.Row], *, seeds: int) -> Iterable[tuple[Any, ...]]:
    counts = Counter((row["framework"], row["batch_size"], row["learning_rate"]) for row in trainings)
    return (configuration for configuration, count in counts.items() if count >= seeds)


def _machines(trainings: Sequence[lines.Row]) -> list[dict[str, Any]]:
    """How many trainings each kind of machine did."""
    kinds = Counter((row["device"], row["machine"], tuple(_versions(row).items())) for row in trainings)
    return [
        {
            "machine": machine,
            **dict(versions),
            "device": "GPU, the data on it, TF32 in convolutions and dense layers" if device == "cuda" else "CPU",
            "trainings": count,
        }
        for (device, machine, versions), count in kinds.most_common()
    ]


def _versions(row: lines.Row) -> dict[str, str]:
    """Of what a line was recorded with; older lines name PyTorch's alone."""
    return dict(row.get("versions") or {"torch": row["torch"]})


def _sorted_costs(costs: Sequence[lines.Row]) -> list[lines.Row]:
    names = _COSTS.names
    return sorted(({name: row[name] for name in names} for row in costs), key=lambda row: tuple(row.values())[:3])


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def main(arguments: list[str] | None = None) -> int:
    """Make a table, and say what it lacks."""
    parser = argparse.ArgumentParser(prog="python -m tests.search_bench.tables")
    parser.add_argument("workload")
    parser.add_argument("--curves", type=Path, nargs="+", required=True, metavar="FILE.jsonl")
    parser.add_argument("--costs", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="study/replay/tables/WORKLOAD, where nothing is said"
    )
    given = parser.parse_args(arguments)
    workload = find(given.workload)
    by_job = {Job.of(row): row for row in chain.from_iterable(map(lines.read, given.curves))}
    folder = given.out or TABLES / workload.name
    write(folder, workload, list(by_job.values()), lines.read(given.costs))
    frameworks = sorted({job.framework for job in by_job})
    wanted = {job for each in frameworks for job in jobs(workload, framework=each, per_batch=PER_BATCH, seeds=SEEDS)}
    lacking = len(wanted - {*by_job})
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {len(by_job)} trainings, {size / 1e6:.1f} MB" + (f"; {lacking} are missing" if lacking else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
