"""The report: one HTML page that works offline, the same in Markdown, a CSV file per table, PNG and SVG per figure."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from html import unescape
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from reports.figures.drawing import DRAWN_BY, inline, render
from reports.names import title
from reports.page.content import Picture, Section, Table
from reports.page.first_screen import (
    forest_plots,
    forests_key,
    heading,
    headlines,
    rests_on_claims,
    rules_lines,
    words,
)
from reports.page.search_sections import curves_section, search_section, sweep_section, trials_section
from reports.page.sections import best_section, cost_section, searched, where_section, why_section
from reports.records import StudyRecords, read_records
from reports.sentences import Sentence, html, plain, prose, rows
from reports.tables.budget import budgets, unfinished_sentences
from reports.tables.claims import claims, dots, other_measures, successes
from reports.tables.cost import Price
from reports.tables.disturbance import disturbed_runs, disturbed_sentences
from reports.tables.provenance import own_workload, plan_change_sentences, plan_changes
from reports.tables.rules import rules
from reports.tables.stopped import stops
from reports.tables.sweeps import swept
from reports.tables.trials import best_configurations
from reports.tables.verdict import goal, verdict_sentences
from reports.tables.weakness import weaknesses
from reports.tables.why import break_even
from trainables.frameworks import FRAMEWORKS

_TEMPLATES = resources.files("reports.page") / "templates"


@dataclass(frozen=True)
class Page:
    """All of a report, before it is written."""

    heading: str
    verdict: tuple[Sentence, ...]
    left_out: tuple[str, ...]
    rules: tuple[Sentence, ...]
    forests: tuple[Picture, ...]
    sections: tuple[Section, ...]
    price: Price
    tables: tuple[Table, ...]

    @property
    def headlines(self) -> tuple[Sentence, ...]:
        """The sentences of the verdict in large letters."""
        return headlines(self.verdict)

    @property
    def details(self) -> tuple[Sentence, ...]:
        """Its other sentences."""
        return tuple(each for each in self.verdict if each not in self.headlines and each not in self.folded)

    @property
    def folded(self) -> tuple[Sentence, ...]:
        """What it says more of each of several pairs, which opens on a click."""
        if not self.several:
            return ()
        return tuple(each for each in self.verdict if each not in self.headlines and rests_on_claims(each))

    @property
    def several(self) -> bool:
        """Whether it compares more than one pair."""
        return len(self.forests) > 1

    @property
    def notes(self) -> tuple[Sentence, ...]:
        """How to read all that."""
        return (*words(self.verdict), *forests_key(self.forests))

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All of its figures."""
        return (*self.forests, *(picture for section in self.sections for picture in section.pictures))


def write_report(folder: str | Path, into: str | Path, *, price: Price | None = None) -> str:
    """Write ``index.html``, ``report.md`` and a CSV file per table, PNG and SVG per figure.

    Parameters
    ----------
    folder
        The study's.
    into
        Made where it does not exist; files of an earlier report are replaced.
    price
        Adds what the search cost in money.

    Returns
    -------
    The verdict, and what weakens it.

    Raises
    ------
    reports.errors.ReportError
        When the records are missing or damaged.
    """
    records = read_records(folder)
    page = build_page(records, price)
    write_page(page, Path(into))
    return " ".join([*map(plain, page.verdict), *weaknesses(records.trials)])


def build_page(records: StudyRecords, price: Price | None = None) -> Page:
    """Everything that a report says, from the records alone."""
    trials = records.trials
    claimed, reached = claims(trials), successes(trials)
    changed = plan_changes(records.provenance, trials)
    best, budget = best_configurations(trials), budgets(trials, records.plan, records.provenance)
    behind, rule, busy = dots(trials), rules(trials, records.plan), disturbed_runs(trials)
    return Page(
        heading=heading(records.name, trials, goal(trials) if len(trials) else "its target", records.plan),
        verdict=(
            *verdict_sentences(trials, claimed, reached, best, budget, break_even(trials)),
            *unfinished_sentences(budget),
            *disturbed_sentences(rows("disturbed_runs", busy)),
            *plan_change_sentences(changed),
        ),
        left_out=tuple(did_not_run(records)),
        rules=rules_lines(rule),
        forests=forest_plots(claimed, behind),
        sections=tuple(_sections(records, price)) if len(trials) else (),
        price=price or Price(),
        tables=(
            Table("claims", claimed),
            Table("dots", behind),
            Table("rules", rule),
            Table("successes", reached),
            Table("budgets", budget),
            Table("disturbed_runs", busy),
            Table("plan_changes", changed),
        ),
    )


def _sections(records: StudyRecords, price: Price | None) -> list[Section]:
    trials = records.trials
    found: list[Section | None] = []
    if searched(trials):
        own = own_workload(records.provenance)
        best = best_configurations(trials, own)
        where = "in the study's folder" if own else ""
        found += [
            best_section(trials, best, records.plan, where),
            cost_section(trials, price, stops(records.provenance)),
            why_section(trials),
        ]
    found += [sweep_section(trials, knob) for knob in swept(trials)]
    found.append(where_section(records))
    if searched(trials):
        found += [curves_section(records, other_measures(trials)), search_section(records)]
    return [each for each in (*found, trials_section(trials)) if each is not None]


def write_page(page: Page, into: Path) -> None:
    """Write a report's files, and remove those of the report before that this one does not have."""
    into.mkdir(parents=True, exist_ok=True)
    former = set(_options(into / "index.html").get("files", []))
    tables = [*page.tables, *(table for section in page.sections for table in section.tables)]
    for table in tables:
        (into / f"{table.name}.csv").write_text(table.data.to_csv(index=False), encoding="utf-8")
    drawings = {}
    for picture in page.pictures:
        svg = render(picture.figure, "svg")
        (into / f"{picture.name}.svg").write_bytes(svg)
        (into / f"{picture.name}.png").write_bytes(render(picture.figure, "png"))
        drawings[picture.name] = inline(svg, picture.name, picture.caption)
    shared = {"page": page, "written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"}
    script = (_TEMPLATES / "sort.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    files = {f"{table.name}.csv" for table in tables} | {
        f"{name}.{form}" for name in drawings for form in ("png", "svg")
    }
    for stale in former - files:
        if stale == Path(stale).name:
            (into / stale).unlink(missing_ok=True)
    options = json.dumps({"price": asdict(page.price), "matplotlib": DRAWN_BY, "files": sorted(files)})
    _write(
        into / "index.html",
        "index.html.jinja",
        autoescape=True,
        style=Markup(_framework_colours() + (_TEMPLATES / "style.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_digest=digest,
        drawings=drawings,
        options=options,
        **shared,
    )
    _write(into / "report.md", "report.md.jinja", autoescape=False, **shared)


def _framework_colours() -> str:
    """A CSS variable a framework, which figures are drawn in."""
    light = " ".join(f"--{each.name}: {each.colour};" for each in FRAMEWORKS.values())
    dark = " ".join(f"--{each.name}: {each.colour_on_dark};" for each in FRAMEWORKS.values())
    return f":root {{ {light} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


def _options(page: Path) -> dict[str, Any]:
    """How a page says that it was made; empty where there is none."""
    try:
        found = re.search(r'<body data-options="([^"]*)">', page.read_text(encoding="utf-8"))
        return dict(json.loads(unescape(found[1]))) if found else {}
    except (OSError, ValueError):
        return {}


def did_not_run(records: StudyRecords) -> list[str]:
    """A sentence for every framework that the study left out."""
    left_out: dict[str, str] = records.provenance.get("did_not_run", {})
    return [f"{title(name)} did not run in this study: {reason}." for name, reason in left_out.items()]


def _write(path: Path, template: str, *, autoescape: bool, **values: object) -> None:
    environment = Environment(autoescape=autoescape, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(html=html, plain=plain, prose=prose, markdown=_markdown, longest=_longest)
    text = environment.from_string((_TEMPLATES / template).read_text(encoding="utf-8")).render(**values)
    path.write_text(text, encoding="utf-8")


def _longest(sentence: Sequence[object]) -> int:
    """Letters of a sentence's longest word."""
    return max(map(len, plain(sentence).split()), default=0)  # type: ignore[arg-type]


def _markdown(sentence: Sequence[object]) -> str:
    """A sentence as one line of Markdown that nothing in it can break out of."""
    text = " ".join(plain(sentence).split())  # type: ignore[arg-type]
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}")
    return text
