"""One page over several studies of which each is a side: the same statistics and the same page as of frameworks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from reports import names
from reports.page.content import Column, Section, Table
from reports.page.first_screen import forest_plots, rules_lines
from reports.page.report import Page
from reports.page.search_sections import curves_section, search_section
from reports.page.sections import best_section, cost_section, why_section
from reports.records import StudyRecords
from reports.sentences import rows
from reports.tables.across import differences
from reports.tables.budget import budgets, unfinished_sentences
from reports.tables.cautions import cautions
from reports.tables.claims import claims, dots, other_measures, successes
from reports.tables.cost import Price
from reports.tables.disturbance import disturbed_runs, disturbed_sentences
from reports.tables.provenance import own_workload, plan_change_sentences, plan_changes
from reports.tables.rules import rules
from reports.tables.sides import Side, check_goal, of_one_framework, per_study, sides_of, together
from reports.tables.trials import all_trials, best_configurations
from reports.tables.verdict import goal, verdict_sentences
from reports.tables.why import break_even


def compare_sides(studies: dict[str, StudyRecords]) -> Page:
    """Everything that the page says.

    Parameters
    ----------
    studies
        Records by the name they get on the page.

    Raises
    ------
    reports.errors.ReportError
        When they have no common target.
    """
    check_goal(studies)
    sides = sides_of(studies)
    with names.sides([each.name for each in sides]):
        return _page(studies, sides)


def _page(studies: dict[str, StudyRecords], sides: list[Side]) -> Page:
    records = together(studies, sides)
    trials = records.trials
    claimed, behind, reached = (of_one_framework(make(trials), sides) for make in (claims, dots, successes))
    budget = per_study(studies, sides, lambda each: budgets(each.trials, each.plan, each.provenance))
    busy = per_study(studies, sides, lambda each: disturbed_runs(each.trials))
    changed = _by_study(studies, lambda each: plan_changes(each.provenance, each.trials))
    best, rule = _best(studies, sides, trials), _rules(studies)
    found = (
        _best_section(studies, sides, trials, best),
        differences_section(differences(studies)),
        cost_section(trials, None),
        why_section(trials),
        curves_section(records, other_measures(trials)),
        search_section(records),
    )
    return Page(
        heading=f"{records.name}: time to {goal(trials)}",
        verdict=(
            *verdict_sentences(trials, claimed, reached, best, budget, break_even(trials)),
            *unfinished_sentences(budget),
            *disturbed_sentences(rows("disturbed_runs", busy)),
            *plan_change_sentences(changed),
        ),
        left_out=(),
        rules=rules_lines(rule),
        forests=forest_plots(claimed, behind),
        sections=tuple(_of_sides(each) for each in found if each is not None),
        price=Price(),
        tables=(
            Table("claims", claimed),
            Table("dots", behind),
            Table("successes", reached),
            Table("budgets", budget),
            Table("rules", rule),
            Table("disturbed_runs", busy),
            Table("plan_changes", changed),
            Table("trials", all_trials(trials)),  # a file alone: it is wider than a page, and in the studies' reports
        ),
    )


def _of_sides(section: Section) -> Section:
    """A section whose tables call a side one."""

    def renamed(column: Column) -> Column:
        return replace(column, heading="side") if column.heading == "framework" else column

    tables = (replace(each, columns=tuple(map(renamed, each.columns))) for each in section.tables)
    return replace(section, tables=tuple(tables))


def _best(studies: dict[str, StudyRecords], sides: list[Side], trials: pd.DataFrame) -> pd.DataFrame:
    """The best configurations, with the commands that run them again: these name the framework and not the side."""
    best = best_configurations(trials)
    commands = per_study(studies, sides, _commands).set_index("framework")["command"]
    return best.assign(command=best["framework"].map(commands)) if len(best) else best


def _commands(records: StudyRecords) -> pd.DataFrame:
    """The same as in the study's report, of a workload of one's own, too: the study has a copy of it."""
    found = best_configurations(records.trials, own_workload(records.provenance))
    return found[["framework", "command"]] if len(found) else pd.DataFrame(columns=["framework", "command"])


def _rules(studies: dict[str, StudyRecords]) -> pd.DataFrame:
    """Each study's rules; one row for all where they are the same."""
    table = _by_study(studies, lambda each: rules(each.trials, each.plan))
    common = table.drop(columns=["study", "evaluation_share"]).drop_duplicates()
    return table.head(1).assign(study="") if len(common) == 1 else table


def _by_study(studies: dict[str, StudyRecords], make: Callable[[StudyRecords], pd.DataFrame]) -> pd.DataFrame:
    """A table that is made of each study by itself, and says of which in a column."""
    return pd.concat([make(each).assign(study=name) for name, each in studies.items()], ignore_index=True)


def _best_section(
    studies: dict[str, StudyRecords], sides: list[Side], trials: pd.DataFrame, best: pd.DataFrame
) -> Section:
    """The same as in a study's report, with what each of them warns of."""
    own = any(own_workload(each.provenance) for each in studies.values())
    section = best_section(trials, best, {}, "in that study's folder" if own else "")
    warned = per_study(studies, sides, lambda each: cautions(each.trials, each.plan))
    others = tuple(each for each in section.tables if each.name != "cautions")
    return replace(
        section,
        heading="Best configuration of each side",
        cautions=tuple((f"{row['framework']}: ", row.say("caution", "text")) for row in rows("cautions", warned)),
        tables=(*others, Table("cautions", warned)),
    )


def differences_section(differ: pd.DataFrame) -> Section:
    """What is not the same in all studies.

    Parameters
    ----------
    differ
        `reports.tables.across.differences`.
    """
    return Section(
        "differences",
        "What differs between the studies",
        note="A difference between studies can come from any of these.",
        tables=(
            Table(
                "differences",
                differ,
                tuple(Column(str(name), str(name), "text") for name in differ.columns),
                "provenance.json and plan.toml of the studies",
                when_empty="Nothing: same hardware, versions and plan.",
            ),
        ),
    )
