"""The lower half of the page: curves, the search, the sweep, all trials."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from reports.figures import runs as figures
from reports.figures import search as search_figures
from reports.figures.sweeps import sweep_plot
from reports.goals import goal_of
from reports.knobs import PREFIX, knob_title, searched_knobs, sweep_title
from reports.names import title
from reports.page.content import Column, Picture, Section, Table, as_is, knob_column
from reports.records import StudyRecords
from reports.sentences import Row, Sentence, rows
from reports.tables import sweeps
from reports.tables.cost import slots
from reports.tables.importance import LEFT_OUT, importances
from reports.tables.trials import all_trials, metric_curves, phase, reach_curves


def curves_section(records: StudyRecords, compared: pd.DataFrame) -> Section | None:
    """How the confirmation runs came to the target."""
    trials = records.trials
    goal, curves, reach = goal_of(trials), metric_curves(trials, records.evaluations), reach_curves(trials)
    if curves.empty:
        return None
    whose = "confirmation runs" if len(reach) else "best trials; nothing was confirmed"
    target = float(trials["target"].iloc[0])
    drawn = [
        Picture(
            f"{goal.name}_against_time",
            f"Validation {goal.name} against training time: {whose}.",
            figures.metric_against_time(curves, goal=goal, target=target),
            f"{goal.name}_curves",
        )
    ]
    for clock in reach["clock"].unique():
        caption = (
            f"Runs that have reached the target, {clock} clock (Kaplan-Meier, 95 % bands); ticks: runs that missed."
        )
        drawn.append(
            Picture(f"reached_{clock}", caption, figures.reached_against_time(reach, clock=clock), "reach_curves")
        )
    columns = (
        Column("framework", "framework", "title"),
        Column("against", "against", "title"),
        Column("clock", "clock", "text"),
        Column("medians", "ratio of medians", "times"),
        Column("means", "of means, cut at the limit", "times"),
        Column("limit_s", "limit", "seconds"),
        Column("expected", "of expected times, a miss tried again", "times"),
    )
    measured = Table(
        "other_measures",
        compared,
        columns if len(compared) else (),
        "the confirmation runs by other measures, which decide nothing",
    )
    said = tuple(_log_rank(row) for row in rows("other_measures", compared) if row.has("log_rank"))
    return Section(
        "curves",
        f"{goal.name.capitalize()} and reaching the target against time",
        said=said,
        tables=(measured, Table(f"{goal.name}_curves", curves), Table("reach_curves", reach)),
        pictures=tuple(drawn),
    )


def search_section(records: StudyRecords) -> Section | None:
    """What the search tried and what mattered."""
    trials = records.trials
    search = phase(trials, "search").dropna(subset=["objective"])
    if search.empty:
        return None
    goal, importance = goal_of(trials), importances(trials, records.plan)
    occupied = slots(trials)
    some = f" ({search_figures.MOST_LINES} of {len(search)})" if len(search) > search_figures.MOST_LINES else ""
    capped = (search["outcome"] == "capped").any()
    said_of_capped = ", and so does a tick, which was capped: its height says how near it came" if capped else ""
    drawn = [
        Picture(
            f"{knob.removeprefix(PREFIX)}_against_time",
            f"{goal.time.capitalize()} against {knob_title(knob)}; a cross missed the target and stands above the "
            f"limit{said_of_capped}.",
            search_figures.knob_against_time(trials, knob),
            "trials",
        )
        for knob in searched_knobs(trials)
        if search[knob].notna().any()
    ]
    caption = f"The search's trials{some}; the stronger a line, the better."
    drawn.append(Picture("parallel_coordinates", caption, search_figures.parallel_coordinates(trials), "trials"))
    if len(importance):
        bars = search_figures.importance_bars(importance)
        drawn.append(Picture("importances", "How much each setting explains.", bars, "importances"))
    if len(occupied):
        caption = "When every trial ran, and on which slot; race and confirmation runs are paler."
        drawn.append(Picture("timeline", caption, search_figures.timeline(occupied), "slots"))
    columns = (
        Column("framework", "framework", "title"),
        Column("hyperparameter", "hyperparameter", "text"),
        Column("importance", "importance", "share"),
        Column("effect", "effect on the objective", "text"),
        Column("p_value", "p", "probability"),
        Column("trials", "trials", "count"),
    )
    return Section(
        "search",
        "The search",
        note=LEFT_OUT if len(importance) else "Too few trials to say which setting mattered.",
        tables=(
            Table("importances", importance, columns if len(importance) else (), "the search's trials"),
            Table("slots", occupied),
        ),
        pictures=tuple(drawn),
    )


def sweep_section(trials: pd.DataFrame, knob: str) -> Section:
    """The seed benchmark's tables and plots for one swept setting."""
    measured, missing, repeats = (
        each(trials, knob) for each in (sweeps.seed_table, sweeps.missing_table, sweeps.finished_repeats)
    )
    published = sweeps.published(trials, knob)
    slug = knob.removeprefix(PREFIX)
    heading, goal = sweep_title(knob), goal_of(trials)
    value = replace(knob_column(knob, trials), heading=heading)
    theirs = tuple(
        Column(key, name, "percentage" if key.endswith("accuracy") else "number")
        for key, name in sweeps.seed_columns(trials).items()
    )
    finished = Column("finished", "Repeats that finished", "count", of="repeats")
    tables = []
    for name in measured["framework"].unique():
        mine = measured[measured["framework"] == name].reset_index(drop=True)
        origin = f"{title(name)}, measured here: medians over the repeats that finished"
        tables.append(Table(f"sweep_{slug}_{name}", mine, (value, *theirs, finished), origin))
    met = (
        Column("warm_tta_s", "warm time to it (s)"),
        Column("cold_tta_s", "cold time to it (s)"),
    )
    lacked = (
        Column("framework", "framework", "title"),
        value,
        Column("train_s", "training time (s) [fastest, slowest]", interval=True),
        Column("reached", "repeats that met the workload's target", "count", of="repeats"),
        *(met if missing["reached"].any() else ()),
        Column("samples_per_s", "samples per second"),
        *(
            Column(key, f"{split} {goal.name}{' (%)' * goal.rises}", "percentage" if goal.rises else "number")
            for split, key in (("validation", goal.best), ("test", goal.test))
        ),
        Column("loader_workers", "loader workers that really ran (count)", "count"),
    )
    tables.append(
        Table(
            f"sweep_{slug}_more",
            missing,
            lacked,
            "What the benchmark's tables lacked: medians over the repeats that finished",
        )
    )
    shown = (Column("framework", "framework", "title"), value, *theirs, Column("note", "what is wrong", "text"))
    if len(published):
        tables.append(
            Table(
                f"published_{slug}",
                published,
                shown,
                "As published by the-praxs/dl-benchmark; not measured here",
                folded=True,
            )
        )
    tables.append(Table(f"sweep_{slug}_repeats", repeats))
    plots = tuple(
        Picture(
            f"sweep_{slug}_{column}",
            f"{sweeps.SEED_COLUMNS[column]} against {knob_title(knob)}. A dot: a repeat; the line: their medians; "
            "a bar, from five repeats on: fastest to slowest; a cross: no repeat finished."
            + " Dotted: as published, on other hardware."
            * (len(published) > 0),
            sweep_plot(measured, repeats, published, knob, column),
            f"sweep_{slug}_repeats",
        )
        for column in ("epoch_train_s", "train_s")
    )
    return Section(
        f"sweep_{slug}",
        "dl-benchmark's experiment: " * (len(published) > 0) + f"{knob_title(knob)} swept, all else held",
        said=_idle_workers(missing) if knob == "num_workers" else (),
        note="Total training function time is the warm clock, waiting for data included; epoch training time leaves "
        "the waiting out." + f" {sweeps.WRONG}" * (len(published) > 0),
        tables=tuple(tables),
        pictures=plots,
    )


def trials_section(trials: pd.DataFrame) -> Section:
    """Every trial."""
    everything = all_trials(trials)
    table = Table(
        "trials",
        everything,
        as_is(everything),
        "trials.parquet, in the order in which they ended",
        folded=True,
        long=True,
    )
    return Section("trials", "All trials", note="Click a heading to sort.", tables=(table,))


def _idle_workers(missing: pd.DataFrame) -> tuple[Sentence, ...]:
    other = missing[missing["loader_workers"].notna() & (missing["loader_workers"] != missing["num_workers"])]
    names = ", ".join(title(name) for name in other["framework"].unique())
    return (
        ((f"{names}: fewer or more loader workers ran than were asked for; the tables below say how many.",),)
        if names
        else ()
    )


def _log_rank(row: Row) -> Sentence:
    names = f"{title(row['framework'])} and {title(row['against'])}"
    said = f"Log-rank test of whether {names} reach the target at the same pace, {row['clock']} clock: p = "
    return (said, row.say("log_rank", "probability"), "; it does not pair by seed.")
