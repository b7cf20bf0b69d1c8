"""The upper half of the page: best configurations, their cost, the reasons, where it was measured."""

from __future__ import annotations

from typing import Any

import pandas as pd

from reports.figures import runs as figures
from reports.goals import goal_of
from reports.knobs import searched_knobs
from reports.names import compared, title
from reports.page.content import Column, Picture, Section, Table, as_is, knob_column
from reports.records import StudyRecords
from reports.sentences import Row, Sentence, rows
from reports.tables.cautions import cautions
from reports.tables.cost import Price, best_so_far, incumbents, resampled, search_cost
from reports.tables.disturbance import uneven
from reports.tables.equality import equality_said, equality_table
from reports.tables.provenance import changes, facts, mixed_nodes, own_workload
from reports.tables.stopped import stopped_sentence, stops
from reports.tables.target import target_sentences, target_table
from reports.tables.trials import phase
from reports.tables.weakness import disturbed
from reports.tables.why import ACCOUNTS, attribution, break_even, ledger
from trainables.frameworks import FRAMEWORKS

_RECORDS = (
    ("trials.parquet", "every trial"),
    ("evaluations.parquet", "every evaluation"),
    ("records.jsonl", "the log that both are built from"),
    ("plan.toml", "the frozen plan"),
    ("provenance.json", "versions, hardware, checksums"),
    ("certificate.json", "what `tuneoff verify` compared"),
    ("optuna.journal", "the searches, for optuna-dashboard"),
)


def best_section(trials: pd.DataFrame, best: pd.DataFrame, plan: dict[str, Any], where: str = "") -> Section:
    """Best configuration per framework, what confirmed it, and what to be careful with; where its commands work."""
    goal = goal_of(trials)
    columns = [
        Column("framework", "", "title"),
        *(knob_column(knob, trials) for knob in dict.fromkeys((*searched_knobs(trials), "optimizer"))),
        Column("reached", "confirmation runs that reached the target", "count", of="runs"),
        Column("warm_s", f"warm {goal.time}", "seconds", interval=True),
        Column("cold_s", f"cold {goal.time}", "seconds", interval=True),
        Column("expected_warm_s", "expected warm time to the target", "seconds"),
        Column("with_evaluation_s", "warm time with evaluation inside, as MLPerf counts", "seconds"),
        Column(goal.test, f"test {goal.name}", "percent" if goal.rises else "number"),
        Column("samples_to_target", "samples to target"),
        Column("samples_per_s", "samples per second"),
        Column("loader_workers", "loader workers that really ran", "count"),
        Column("search_s", "the search's own figure (biased low)", "seconds"),
        Column("trial_id", "found by", "text"),
    ]
    if len(best) and best["mean_warm_s"].notna().any():
        after = [column.key for column in columns].index("cold_s") + 1
        columns.insert(after, Column("mean_warm_s", "mean warm time, cut at the common limit", "seconds"))
    warned, aim = cautions(trials, plan), target_table(trials)
    raced = len(best) > 1 and len(phase(trials, "race")) > 0
    return Section(
        "best",
        "Best configuration of each framework",
        said=tuple(target_sentences(rows("target", aim))),
        cautions=tuple((row.say("caution", "text"),) for row in rows("cautions", warned)),
        commands=tuple(
            (", ".join(filter(None, [title(row["framework"]), where])), (row.say("command", "text"),))
            for row in rows("best_configurations", best)
        ),
        note="Medians over all confirmation runs, a miss counted as an infinite time, with 95 % intervals from order "
        "statistics. Warm: training alone. Cold: from the start of the process. Expected: all time of all runs over "
        "successes, as if one that missed were followed by another. These intervals are over the seeds of the "
        "confirmation runs alone"
        + f"; that of the {compared()}, above, covers the search's luck as well" * raced
        + ".",
        tables=(
            Table(
                "best_configurations",
                best,
                tuple(columns),
                "the winners of the search and their confirmation runs",
                transposed=True,
            ),
            Table("cautions", warned),
            Table("target", aim),
        ),
    )


_STOPPED = (
    Column("framework", "framework", "title"),
    Column("trials", "trials of a search that stopped early", "count", of="planned"),
    Column("why", "for its", "text"),
    Column("spent_s", "slice-s spent"),
    Column("budget_s", "of a budget of"),
    Column("cost_s", "another would cost", "seconds"),
    Column("saves_s", "and save a training", "seconds"),
    Column("pays_after", "and pay after trainings", "count"),
    Column("asked", "asked for", "count"),
)


def cost_section(trials: pd.DataFrame, price: Price | None, stopped: pd.DataFrame | None = None) -> Section:
    """What the search cost and when it has paid for itself; and which searches stopped early (`stops`)."""
    early = stops({}) if stopped is None else stopped
    cost, found = search_cost(trials, price), incumbents(trials)
    columns = [
        Column("framework", "framework", "title"),
        Column("fate", "fate", "text"),
        Column("trials", "trials and runs", "count"),
        Column("fresh", "fresh processes", "count"),
        Column("slice_s", "slice-s"),
        Column("cpu_s", "CPU-s"),
        Column("gpu_s", "GPU-s"),
        Column("overhead", "start-up and compilation", "share"),
    ]
    if "money" in cost:
        columns.append(Column("money", "money"))
    incumbent, curve = rows("incumbents", found), best_so_far(trials)
    bands = resampled(trials)
    pictures = []
    if curve["best_s"].notna().any():
        caption = (
            "Best so far against cost. The band holds 80 % of searches whose trials are drawn from these, with "
            "replacement. A diamond is the median of the runs that confirm the winner: what the search's luck left out."
        )
        drawn = figures.best_against_cost(curve, bands, found)
        pictures.append(Picture("best_against_cost", caption, drawn, "best_so_far"))
    return Section(
        "cost",
        "What finding it cost",
        said=(
            *(stopped_sentence(row) for row in rows("stopped", early)),
            *(_costs(row) for row in incumbent),
            *(_pays(row) for row in incumbent),
        ),
        note="Finished: reached the target. Capped: stopped before its limits, since it could no longer be among the "
        "best, or lagged behind. Missed: out of time or epochs, or diverged. Lost: done again after an interruption or "
        "a failure. Race: the search's best, run again to tell the good ones from the lucky ones. A slice-second is "
        "one for which a trial held its slice, the CPUs and GPUs that it was given; CPU-s and GPU-s are slice-s times "
        "their number; the share of start-up and compilation is of slice-s. A process that is not fresh found its "
        "framework started and compiled.",
        tables=(
            Table("search_cost", cost, tuple(columns), "slice_s, cpus, gpus, outcome and lost_s of all trials"),
            Table("stopped", early, _STOPPED if len(early) else (), "the study, when these searches stopped"),
            Table("incumbents", found),
            Table("best_so_far", curve),
            Table("best_so_far_resampled", bands),
        ),
        pictures=tuple(pictures),
    )


def why_section(trials: pd.DataFrame) -> Section | None:
    """Why one is faster; nothing where no run confirmed anything."""
    parts, accounts, even = attribution(trials), ledger(trials), break_even(trials)
    if accounts.empty:
        return None
    columns = (
        Column("framework", "framework", "title"),
        Column("against", "against", "title"),
        Column("part", "part", "text"),
        Column("ratio", "ratio", "times", interval=True),
        Column("log_ratio", "natural logarithm"),
        Column("share", "share", "share"),
    )
    spent = (
        Column("framework", "seconds, on average", "title"),
        *(Column(f"{key}_s", name) for key, name in zip(ACCOUNTS, figures.ACCOUNT_NAMES, strict=True)),
        Column("total_s", "in all"),
        Column("runs", "runs (their number)", "count"),
    )
    shown = (
        [Table("attribution", parts, columns, "warm_tta_s and samples_to_target of runs with equal seeds")]
        if len(parts)
        else []
    )
    return Section(
        "why",
        "Why" if len(parts) else "Where a run's time goes",
        said=(*_attributed(rows("attribution", parts)), *(_overtakes(row) for row in rows("break_even", even))),
        note=""
        if parts.empty
        else "The time to the target is the samples to it times seconds per sample; the logarithms of the two ratios "
        "add up to that of the time, and a share is one logarithm's part of it: above 100 % where the other factor "
        "works against it. These are geometric means over the seeds with which both reached the target: where no run "
        "missed, the first is the verdict's ratio.",
        tables=(
            *shown,
            Table("ledger", accounts, spent, "the ledger of the confirmation runs", transposed=True),
            Table("break_even", even),
        ),
        pictures=(
            Picture(
                "time_ledger",
                "Where a confirmation run's time goes, on average.",
                figures.time_ledger(accounts),
                "ledger",
            ),
        ),
    )


def where_section(records: StudyRecords) -> Section:
    """Hardware, versions, data, the equality certificate and the records."""
    changed, shared = changes(records.provenance), disturbed(records.trials)
    apart = uneven(records.trials)
    said, tables = _equality(records, changed)
    warned: tuple[Sentence, ...] = tuple((row.say("caution", "text"),) for row in rows("disturbed", shared))
    warned += tuple((row.say("caution", "text"),) for row in rows("uneven", apart))
    if mixed := mixed_nodes(records.provenance):
        warned += ((mixed,),)
    if len(changed):
        parts = [
            part
            for row in rows("changes", changed)
            for part in ("; ", f"{row['what']} ", row.say("launched", "text"), ", then ", row.say("resumed", "text"))
        ]
        warned += (("It was resumed where something differs, and its times are from both: ", *parts[1:], "."),)
    return Section(
        "where",
        "Is it the same training, and where was it measured?",
        said=said,
        cautions=warned,
        tables=(*tables, Table("changes", changed), Table("disturbed", shared), Table("uneven", apart)),
        facts=(*facts(records.provenance), *((("chain of the records", records.chain),) if records.chain else ())),
        links=tuple((file, meaning) for file, meaning in _RECORDS if file in records.files),
    )


def _equality(records: StudyRecords, changed: pd.DataFrame) -> tuple[tuple[Sentence, ...], tuple[Table, ...]]:
    """Whether it was the same training, where two frameworks that can be compared so both ran."""
    trials = records.trials
    if sum(FRAMEWORKS[name].traced for name in set(trials["framework"]) & set(FRAMEWORKS)) < 2:
        return (), ()
    table = equality_table(records.certificate)
    said = equality_said(records.certificate, str(trials["workload"].iloc[0]), own_workload(records.provenance))
    if records.certificate and changed["what"].str.startswith(("versions", "git")).any():
        said = f"Not verified for what ran after the resume, on other software. For what ran before: {said}"
    shown = (
        Table("equality", table, as_is(table), "certificate.json", folded=True)
        if len(table)
        else Table("equality", table)
    )
    return ((said,),), (shown,)


def _costs(row: Row) -> Sentence:
    said: Sentence = (f"{title(row['framework'])}'s search of ", row.say("search_trials", "count"), " trials")
    if row["capped"]:
        said += (", of which ", row.say("capped", "count"), " were capped," if row["capped"] > 1 else " was capped,")
    said += (" cost ",)
    said += (row.say("search_slice_s"), " slice-seconds")
    return (*said, *(", ", row.say("race_slice_s"), " of them in the race") * bool(row["race_slice_s"]), ".")


def _pays(row: Row) -> Sentence:
    name = title(row["framework"])
    missed = "" if row["median_reached"] else ", which missed the target and counts with its limit,"
    if not row["median_reached"] and row["capped"]:
        missed = ", in which a trial that was capped or missed counts with its cap or limit,"
    if not row.has("pays_after"):
        known = "does not pay for itself" if row["median_reached"] else "may or may not pay for itself"
        takes = row.say("median_s", "seconds")
        least = "" if row["median_reached"] else "at least "
        return (
            f"{name}'s search {known}: its median trial{missed} takes {least}",
            takes,
            ", no more than its best configuration.",
        )
    saves, after = row.interval("saved_s", "seconds"), row.interval("pays_after")
    said: Sentence = (f"Against the search's median trial{missed or ','} {name}'s best saves ", *saves, " per training")
    if row["confirmed"] and abs(row["contention"] - 1) >= 0.01:
        said += (
            " (a sample took ",
            row.say("contention", "times"),
            " as long in the search as alone, which is left out)",
        )
    return (*said, ": the search has paid for itself after ", *after, " trainings.")


def _attributed(parts: list[Row]) -> list[Sentence]:
    said: list[Sentence] = []
    for whole, samples, speed in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        name, against = title(whole["framework"]), title(whole["against"])
        ratios = [each.say("ratio", "times") for each in (whole, samples, speed)]
        of = f" of {against}'s warm time is "
        ends = " of the samples to the target, times ", " of the seconds per sample."
        among: Sentence = ("Among the ", whole.say("pairs", "count"), " seeds with which both reached the target, ")
        said.append(
            (*among * bool(whole["missed"]), f"{name}'s ", ratios[0], of, ratios[1], ends[0], ratios[2], ends[1])
        )
    return said


def _overtakes(row: Row) -> Sentence:
    first, second = title(row["framework"]), title(row["against"])
    once, every = (
        (f"{first} ", row.say(f"{key}_s", "seconds"), f", {second} ", row.say(f"{key}_against_s", "seconds"))
        for key in ("once", "each")
    )
    costs = (" (start-up and compilation: ", *once, "; each training: ", *every, ").")
    for side, name, other in (("", first, second), ("against_", second, first)):
        from_ = f"{side}ahead_from"
        if row.has(f"{from_}_high") and row[f"{from_}_high"] < float("inf"):
            says = f"{name} is ahead of {other} from" if row[from_] == 1 else f"{name} overtakes {other} with"
            return (f"Run after run in one process, {says} training ", *row.interval(from_), *costs)
    return ("Run after run in one process, no overtaking is shown", *costs)


def searched(trials: pd.DataFrame) -> bool:
    """Whether there is anything but a sweep."""
    return bool(len(phase(trials, "search")) or len(phase(trials, "confirm")))
