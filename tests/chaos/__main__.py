"""``python -m tests.chaos``: faults in real studies, and a table of what was lost."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.chaos.harness import FRAMEWORKS, Outcome, deal, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frameworks", default="pytorch,simulated", help=f"of {', '.join(FRAMEWORKS)}")
    arguments = parser.parse_args()
    console = Console(soft_wrap=True)
    into = Path(tempfile.mkdtemp(prefix="tuneoff-chaos-"))
    console.print(f"{arguments.faults} faults, seed {arguments.seed}, in {into}", highlight=False)
    began, outcomes = time.monotonic(), []
    faults = deal(arguments.faults, seed=arguments.seed)
    try:
        for outcome in run(faults, seed=arguments.seed, frameworks=arguments.frameworks.split(","), into=into):
            outcomes.append(outcome)
            console.print(f"{outcome.framework}, {outcome.seconds:.0f} s: {', '.join(outcome.faults)}", highlight=False)
    except AssertionError as error:
        console.print(f"BROKEN: {error}", highlight=False, markup=False)
        sys.exit(1)
    console.print(_table(outcomes))
    console.print(f"{time.monotonic() - began:.0f} s")


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(title="faults survived")
    for column in ("fault", "times"):
        table.add_column(column)
    for name, times in sorted(Counter(fault for each in outcomes for fault in each.faults).items()):
        table.add_row(name.replace("_", " "), str(times))
    table.add_section()
    tallies = [each.tally for each in outcomes]
    for said, value in (
        ("studies", len(outcomes)),
        ("faults", sum(len(each.faults) for each in outcomes)),
        ("trials lost", sum(each.trials_lost for each in tallies)),
        ("trials duplicated", sum(each.trials_duplicated for each in tallies)),
        ("evaluations redone", sum(each.redone for each in tallies)),
        ("seconds of training and evaluation redone", round(sum(each.redone_s for each in tallies), 1)),
        ("slice-seconds lost", round(sum(each.lost_s for each in tallies))),
        ("segments", sum(each.segments for each in tallies)),
    ):
        table.add_row(said, str(value))
    return table


if __name__ == "__main__":
    main()
