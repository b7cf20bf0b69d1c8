"""``python -m tests.search_bench [TABLE ...]``: strategies on recorded tables; ``make bench-search`` runs all of it.

Runs are kept in a file of lines as they come, and those that are there are not done again: it can be stopped at any
time. Those of other rules, or other tables, do not count.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from study.replay.finding import recording_at
from study.replay.shelf import shipped_tables
from tests.search_bench.running import PLANNED, REFERENCES, Job, Run, frameworks, keep, kept, reference_s, run
from tests.search_bench.strategies import ROWS
from tests.search_bench.syne import NoSyneTune, available
from tests.search_bench.writing import figure, markdown, summary, write_csv
from trainables.frameworks import framework as titled

RESULTS = Path(__file__).with_name("results")
RUNS = Path("results") / "search_bench.jsonl"


def main(arguments: list[str] | None = None) -> int:
    """Run what is missing, and write the tables and figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.search_bench")
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="names or folders; all shipped ones if not given")
    parser.add_argument("--repetitions", type=int, default=50)
    parser.add_argument("--slots", default="1,4", help="trials at once; several, separated by commas")
    parser.add_argument("--strategies", default=",".join(ROWS), help="of those in strategies.py")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--runs", type=Path, default=RUNS, help="the file of lines in which runs are kept")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the tables and figures")
    given = parser.parse_args(arguments)
    tables = given.tables or shipped_tables()
    names = given.strategies.split(",")
    if unknown := [name for name in names if name not in ROWS]:
        parser.error(f"unknown strategy {unknown[0]}; there are {', '.join(ROWS)}")
    if not tables:
        parser.error("no table comes with the package; name a folder")
    for each in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # of what is started; searches run beside one another
        os.environ[each] = "1"
    slots = [int(each) for each in given.slots.split(",")]
    names, left_out = _available(names)
    jobs = list(_jobs(tables, slots, names, given.repetitions))
    runs = {each.job: each for each in kept(given.runs)}
    for each in _run([job for job in jobs if job not in runs], given.jobs, given.runs):
        runs[each.job] = each
    given.out.mkdir(parents=True, exist_ok=True)
    for table in tables:
        for name in frameworks(table):
            for count in slots:
                mine = [job for job in jobs if (job.table, job.framework, job.slots) == (table, name, count)]
                _write(table, name, count, [runs[job] for job in mine], given.out)
    for line in left_out:
        print(line)
    return 0


def _available(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Strategies that can run here, and why others cannot."""
    problems: dict[str, str] = {}
    try:
        available()
    except NoSyneTune as problem:
        problems |= {name: str(problem) for name in names if name.startswith("syne-")}
    if find_spec("cmaes") is None:
        problems |= {name: "cmaes is not installed" for name in names if name.endswith("cmaes")}
    told = [f"{ROWS[name].title} is left out: {problem}" for name, problem in problems.items()]
    return [name for name in names if name not in problems], told


def _jobs(tables: Sequence[str], slots: Sequence[int], names: Sequence[str], repetitions: int) -> Iterator[Job]:
    """The repetitions of all strategies go on together, so that a bench that was stopped compares like with like."""
    searched = [(table, framework, count) for table in tables for framework in frameworks(table) for count in slots]
    for repetition in range(repetitions):
        for table, framework, count in searched:
            for name in names:
                if repetition < (ROWS[name].repetitions or repetitions):
                    yield Job(table, framework, count, name, repetition)


def _run(jobs: Sequence[Job], processes: int, path: Path) -> Iterator[Run]:
    """Run searches and keep each; how far it is, every so often."""
    path.parent.mkdir(parents=True, exist_ok=True)
    began = told = time.monotonic()
    with path.open("a", encoding="utf-8") as file:
        for count, each in enumerate(_mapped(jobs, processes), 1):
            keep(file, each)
            if time.monotonic() - told > 10 or count == len(jobs):
                told = time.monotonic()
                left_s = (told - began) / count * (len(jobs) - count)
                print(f"{count} of {len(jobs)} searches, {left_s / 60:.0f} min left", file=sys.stderr, flush=True)
            yield each


def _mapped(jobs: Sequence[Job], processes: int) -> Iterator[Run]:
    if processes == 1:
        yield from map(run, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(run, jobs, chunksize=1)


def _write(table: str, framework: str, slots: int, runs: Sequence[Run], out: Path) -> None:
    by_name: dict[str, list[Run]] = defaultdict(list)
    for each in runs:
        by_name[each.job.strategy].append(each)
    reference = reference_s(table, framework)
    rows = summary(by_name, reference)
    names = [Path(table).name, *([framework] if len(frameworks(table)) > 1 else [])]
    stem = "-".join([*names, str(slots)])
    at_once = f"{slots} slot{'s'[: slots > 1]}"
    head = (
        f"{recording_at(table).said}. {titled(framework).title}, {at_once}; the reference, {PLANNED} random trials "
        f"trained to their ends, is {reference:.0f} slice-s; searches go on to {REFERENCES:g} of it."
    )
    text = markdown(rows, head)
    (out / f"{stem}.md").write_text(text, encoding="utf-8")
    write_csv(rows, out / f"{stem}.csv")
    figure(by_name, reference, f"{', '.join(names)}, {at_once}").savefig(out / f"{stem}.svg", metadata={"Date": None})
    print(text)


if __name__ == "__main__":
    sys.exit(main())
