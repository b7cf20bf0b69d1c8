"""Which trials a busy machine disturbed, so that their times are too long: DataFrame in, DataFrame out."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import pandas as pd

from reports.names import title
from reports.records import complete
from reports.schema import TRIALS
from reports.sentences import Row, Sentence
from reports.tables.statistics import median_of_known
from reports.tables.trials import confirmation_runs, frameworks, race_runs
from trainables.frameworks import FRAMEWORKS

STARVED = 0.5  # CPUs: a training on the CPU always has something to compute, unless it is kept waiting
SLOWED = 0.9  # CPUs: with this or more its process never waited, whatever other trials had
CROWDED = 2.0  # load average per CPU, when a trial begins and when it ends
DELAYED = 0.1  # of the wall time that its thread waited for a CPU
STOLEN = 0.05  # of its machine's CPU time that a hypervisor took
SLOWER = 1.25  # times the seconds per sample of its siblings, the median, with less of a CPU than they had
FEWEST_SIBLINGS = 3
_ALIKE = ("framework", "phase", "confirms", "num_workers", "batch_size")  # whose threads wait as long for their loaders
LONG_ENOUGH_S = 0.5  # of training: loader processes' CPU times come in hundredths


def disturbances(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that were disturbed.

    Told from the CPU seconds that their processes got in each wall second of training: fewer than `STARVED` on the CPU,
    or fewer than half of the framework's median and than `SLOWED`. From the load average, above `CROWDED` for each CPU
    of the machine at a trial's start and end. From how long its thread waited for a CPU: more than `DELAYED` of the
    time where it shares its CPUs with no loader workers, or so much more than that of its siblings that waited least.
    From what a hypervisor took: more than `STOLEN`. And a run of the race or the confirmation by its siblings, the
    others of its configuration: it took `SLOWER` times their median per sample, with less than `SLOWED` of their CPU.
    Trainings that only simulate do not compute, and are left out.

    With loader workers a thread waits for its own: the smaller the batch, the longer (on a quiet machine 0.16 of the
    time at 128 samples and 0.44 at 16). So siblings have its batch size; where it has none, its workers may take as
    much as they would if they never slept; and a trial that got `SLOWED` of its slice's CPUs waited for nobody else.

    Returns
    -------
    The trials' rows, with columns share (CPUs that it got), median (of its framework) and waited (for a CPU, the share
    of the time, where that is what tells; else empty).
    """
    known = measured(trials)
    siblings = known.groupby(["framework", "phase", "confirms", "num_workers"], dropna=False)
    again = known["phase"].isin(["race", "confirm"]) & (siblings["trial_id"].transform("size") > FEWEST_SIBLINGS)
    per_sample = known["train_s"] / known["samples"]
    mine = known.assign(per_sample=per_sample).groupby(["framework", "phase", "confirms"], dropna=False)
    slower = (per_sample > SLOWER * mine["per_sample"].transform("median")) & (
        known["share"] < SLOWED * mine["share"].transform("median")
    )
    waited = (known["train_delayed_s"] / known["train_wall_s"]).where(_delayed(known))
    starved = (known["device"] == "cpu") & (known["share"] < STARVED)
    slowed = (known["share"] < SLOWED) & (known["share"] < known["median"] / 2)
    crowded = known[["load_start", "load_end"]].min(axis=1, skipna=False) > CROWDED * known["host_cpus"]
    stolen = known["train_stolen_s"] > STOLEN * known["train_wall_s"] * known["host_cpus"]
    told = starved | slowed | crowded | stolen | waited.notna() | (again & slower)
    return known.assign(waited=waited)[told]


def _delayed(known: pd.DataFrame) -> pd.Series[bool]:
    """Trials whose thread waited for a CPU, and not for loader workers of its own."""
    delayed, workers = known["train_delayed_s"] / known["train_wall_s"], known["num_workers"].astype(float).fillna(0.0)
    alike = delayed.groupby([known[name] for name in _ALIKE], dropna=False)
    fair = workers / (workers + known["cpus"])  # with as many threads as CPUs
    own = alike.transform("min").where(alike.transform("count") > 1, fair)
    full = known["share"] >= SLOWED * known["cpus"]
    return (delayed > DELAYED + own.where(workers > 0, 0.0)) & ~(full & (workers > 0))


def disturbed_ids(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Ids of the runs of the race, and of those that confirm the winners, that were disturbed.

    Parameters
    ----------
    rows
        Of the trial records; see `reports.schema.TRIALS`.
    """
    table = complete(pd.DataFrame(list(rows)), TRIALS)
    claimed = set(_claimed(table)["trial_id"])
    return [name for name in disturbances(table)["trial_id"] if name in claimed]


def _claimed(trials: pd.DataFrame) -> pd.DataFrame:
    """The runs on which the report's claims rest."""
    return pd.concat([race_runs(trials), confirmation_runs(trials)])


def measured(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials of which it is known how much of a CPU they got, with columns share and median (of the framework)."""
    real = ~trials["framework"].isin([name for name, each in FRAMEWORKS.items() if not each.real])
    known = trials[real & (trials["train_wall_s"] >= LONG_ENOUGH_S)]
    known = known.assign(share=known["train_cpu_s"] / known["train_wall_s"])
    return known.assign(median=known.groupby("framework")["share"].transform("median"))


def disturbed_runs(trials: pd.DataFrame) -> pd.DataFrame:
    """How many of the runs on which the claims rest were disturbed, and how many stand for one that was.

    Returns
    -------
    One row per framework with such runs. Columns: framework, runs, disturbed, rerun.
    """
    claimed = _claimed(trials)
    bad = set(disturbances(trials)["trial_id"])
    table = []
    for name in frameworks(trials):
        runs = claimed[claimed["framework"] == name]
        if len(runs):
            rerun = int((runs["reruns"].fillna(0) > 0).sum())
            table.append((name, len(runs), int(runs["trial_id"].isin(bad).sum()), rerun))
    return pd.DataFrame(table, columns=["framework", "runs", "disturbed", "rerun"])


def disturbed_sentences(found: list[Row]) -> list[Sentence]:
    """What a reader must know of them before all else; nothing where no run was disturbed or run again.

    Parameters
    ----------
    found
        The rows of `disturbed_runs`.
    """
    said: list[Sentence] = []
    bad = [row for row in found if row["disturbed"]]
    if bad:
        counted = _counted(bad, "disturbed", " of ", "runs")
        said.append(
            ("Caution: a busy machine disturbed ", *counted, " runs of the race and the confirmation, whose times "
             "are too long; `tuneoff confirm --disturbed DIR` runs those again."),
        )  # fmt: skip
    again = [row for row in found if row["rerun"]]
    if again:
        counted = _counted(again, "rerun", " of ", "runs")
        said.append(
            (*counted, " runs of the race and the confirmation were run again, for a busy machine had disturbed them.")
        )
    return said


def _counted(found: list[Row], column: str, between: str, of: str) -> Sentence:
    said: Sentence = ()
    for place, row in enumerate(found):
        joint = (" and " if place == len(found) - 1 else ", ") if place else ""
        said += (joint, row.say(column, "count"), between, row.say(of, "count"), f" {title(row['framework'])}")
    return said


def uneven(trials: pd.DataFrame) -> pd.DataFrame:
    """Frameworks whose runs of the race and the confirmation did not find the machine alike: another clock, or load.

    Returns
    -------
    Columns: framework, against, caution.
    """
    claimed = _claimed(trials)
    table = []
    for against, name in combinations(frameworks(claimed), 2):
        runs = {each: claimed[claimed["framework"] == each] for each in (name, against)}
        for say in (_other_clock, _other_load):
            if told := say(*(runs[each] for each in (name, against))):
                both = f"{title(name)}'s and {title(against)}'s runs"
                table.append((name, against, f"{both} {told}"))
    return pd.DataFrame(table, columns=["framework", "against", "caution"])


def _other_clock(first: pd.DataFrame, second: pd.DataFrame) -> str:
    one, other = (median_of_known(runs[["cpu_mhz_start", "cpu_mhz_end"]].mean(axis=1)) for runs in (first, second))
    if not max(one, other) > 1.05 * min(one, other):
        return ""
    return f"ran at other CPU clocks ({one:.0f} and {other:.0f} MHz, the medians): a part of the ratio is that."


def _other_load(first: pd.DataFrame, second: pd.DataFrame) -> str:
    one, other, cpus = map(
        median_of_known, (first["load_start"], second["load_start"], pd.concat([first, second])["host_cpus"])
    )
    if not abs(one - other) > max(1.0, cpus / 2):
        return ""
    return f"began at other load averages ({one:.1f} and {other:.1f} on {cpus:.0f} CPUs, the medians)."
