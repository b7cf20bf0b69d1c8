"""``python -m tests.calibration``: how often claims are right, a line a setting; exit code 1 where they are not."""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product

from tests.calibration.measuring import COVERAGE, FALSE_CLAIMS, Measured, measure
from tests.calibration.studies import Setting

POOL = 100  # searches of a kind, from which studies draw theirs
STUDIES = 400
SPREADS = (0.1, 0.3, 0.6)
QUICK = {"trials": 10, "finalists": 4, "race": 2, "confirm": 5}  # the quickstart's
POWERS = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)


def settings() -> list[Setting]:
    """What is tried: everything alone, and together what makes one another worse."""
    found = []
    for spread in SPREADS:
        base = Setting(spread=spread)
        found += [replace(base, confirm=runs, correlation=each) for runs, each in product((5, 10, 20), (0.0, 0.7))]
        found += [replace(base, ratio=ratio) for ratio in (0.9, 0.5)]
        for misses in ((0.1, 0.0), (0.1, 0.1), (0.4, 0.0), (0.4, 0.4)):
            found.append(replace(base, misses=misses))
        found += [replace(base, misses=(0.1, 0.1), ratio=0.5), replace(base, misses=(0.1, 0.1), correlation=0.7)]
        found += [replace(base, misses=(0.4, 0.4), confirm=20), replace(base, surface="bowl")]
        found += [replace(base, **QUICK), replace(base, **QUICK, correlation=0.7)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.calibration")
    parser.add_argument("studies", nargs="?", type=int, default=STUDIES, help="of each setting")
    parser.add_argument("--pool", type=int, default=POOL, help="searches of a kind that they are made of")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    kinds = defaultdict(list)  # one process makes the searches of a kind, once
    for setting in settings():
        kinds[setting.surface, setting.spread, setting.trials].append(setting)
    measured: list[Measured] = []
    print("setting | studies told | coverage | false claims | claims | half width | configurations' coverage")
    with ProcessPoolExecutor(options.processes) as pool:
        each = [(group, options.studies, options.pool) for group in kinds.values()]
        for found in pool.map(_measured, *zip(*each, strict=True)):
            for one in found:
                print(_line(one), flush=True)
                measured.append(one)
    print("\npower: share of studies with 10 runs that tell a ratio, without misses, seeds independent")
    print("spread | " + " | ".join(f"{ratio:g}" for ratio in POWERS))
    for one in measured:
        if one.setting == Setting(spread=one.setting.spread):
            print(f"{one.setting.spread:g} | " + " | ".join(f"{one.power(ratio):.2f}" for ratio in POWERS))
    told = sum(one.told for one in measured)
    coverage = sum(one.covered for one in measured) / told
    false_claims = sum(one.false_claims for one in measured) / sum(one.studies for one in measured)
    print(f"\nall: coverage {coverage:.3f} of {told}, false claims {false_claims:.3f}")
    faults = [f"{one.setting}: {fault}" for one in measured for fault in one.faults()]
    faults += ["coverage in all"] * (coverage < COVERAGE) + ["false claims in all"] * (false_claims > FALSE_CLAIMS)
    if faults:
        raise SystemExit("\n".join(["what does not hold:", *faults]))


def _measured(group: list[Setting], studies: int, pool: int) -> list[Measured]:
    return [measure(setting, studies, pool) for setting in group]


def _line(one: Measured) -> str:
    told, studies = one.told, one.studies
    narrow = one.configurations_covered / max(1, one.configurations_told)
    figures = f"{one.coverage:.3f} | {one.false_claims / studies:.3f} | {one.claims / studies:.3f} | {one.width:.2f}x"
    return f"{one.setting} | {told} of {studies} | {figures} | {narrow:.3f}"


if __name__ == "__main__":
    main()
