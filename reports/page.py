"""The report: one HTML page that works offline, the same in Markdown, and every table as CSV."""

from __future__ import annotations

import io
import math
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from reports import figures, tables
from reports.equality import equality_said, equality_table
from reports.load import StudyRecords, load
from reports.verdict import goal, verdict

_TEMPLATES = files("reports") / "templates"


@dataclass(frozen=True)
class Section:
    """One table of the report, with the figure that belongs to it."""

    name: str  # of its files
    heading: str
    explanation: str
    table: pd.DataFrame  # as it goes into the CSV file
    shown: pd.DataFrame  # as the page shows it
    figure: Figure | None = None
    folded: bool = False  # long tables open on a click
    when_empty: str = "Nothing to show: no trial reached the target."


def write_report(folder: str | Path, into: str | Path) -> str:
    """Write ``index.html``, ``report.md`` and a CSV file per table, PNG and SVG per figure.

    Parameters
    ----------
    folder
        The study's.
    into
        Made where it does not exist; files of an earlier report are replaced.

    Returns
    -------
    The verdict.
    """
    records = load(folder)
    into = Path(into)
    into.mkdir(parents=True, exist_ok=True)
    sections = build_sections(records)
    for section in sections:
        section.table.to_csv(into / f"{section.name}.csv", index=False)
        if section.figure is not None:
            for suffix in ("svg", "png"):
                (into / f"{section.name}.{suffix}").write_bytes(_render(section.figure, suffix))
    said = verdict(records.trials)
    shared = {
        "study": Path(folder).absolute().name,
        "verdict": said,
        "goal": goal(records.trials) if len(records.trials) else "its target",
        "left_out": did_not_run(records),
        "sections": sections,
        "provenance": _facts(records),
        "written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }
    _write(into / "index.html", "index.html.jinja", autoescape=True, **shared)
    _write(into / "report.md", "report.md.jinja", autoescape=False, **shared)
    return said


def build_sections(records: StudyRecords) -> list[Section]:
    """Everything between the verdict and the provenance."""
    trials, evaluations = records.trials, records.evaluations
    if trials.empty:
        return []
    target = float(trials["target"].iloc[0])
    curves = tables.accuracy_curves(trials, evaluations)
    incumbents = tables.best_so_far(trials)
    best, cost, everything = tables.best_configurations(trials), tables.search_cost(trials), tables.all_trials(trials)
    return [
        Section(
            "best_configurations",
            "Best configuration of each framework",
            "Times are medians over the confirmation runs that reached the target, with 95 % bootstrap intervals. "
            "Warm: training alone. Cold: from the start of the process. What the search saw is biased low: it is the "
            "best of many. Test accuracy was looked at in the confirmation runs only.",
            best,
            _side_by_side(best),
            figures.accuracy_against_time(curves, target=target) if len(curves) else None,
        ),
        *_equality(records),
        Section(
            "search_cost",
            "What finding it cost",
            "slice_s: seconds for which trials held their slices, whatever became of them; cpu_s and gpu_s: times the "
            "CPUs and GPUs of a slice. fresh: trials that started their framework anew; the others found it running "
            "and compiled in a process kept from an earlier trial. Confirmation runs are listed apart.",
            cost,
            cost.assign(framework=cost["framework"].map(tables.title)),
            figures.best_against_cost(incumbents) if incumbents["best_s"].notna().any() else None,
        ),
        Section("trials", "All trials", "In the order in which they ended.", everything, everything, folded=True),
    ]


def _equality(records: StudyRecords) -> list[Section]:
    """Whether it was the same training, where the two frameworks that can be compared so both ran."""
    if not {"pytorch", "flux"} <= set(records.trials["framework"]):
        return []
    table = equality_table(records.certificate)
    said = equality_said(records.certificate, str(records.trials["workload"].iloc[0]))
    heading = "Is it the same training?"
    return [Section("equality", heading, said, table, table, folded=not table.empty, when_empty="")]


def did_not_run(records: StudyRecords) -> list[str]:
    """A sentence for every framework that the study left out."""
    left_out: dict[str, str] = records.provenance.get("did_not_run", {})
    return [f"{tables.title(name)} did not run in this study: {reason}." for name, reason in left_out.items()]


def _side_by_side(best: pd.DataFrame) -> pd.DataFrame:
    """The best configurations with a column per framework: what a reader compares stands in one line."""
    if best.empty:
        return best
    columns = {}
    for row in best.to_dict("records"):
        columns[tables.title(row["framework"])] = {
            "learning rate": cell(row["learning_rate"]),
            "batch size": cell(row["batch_size"]),
            "loader workers": cell(row["num_workers"]),
            "optimizer": row["optimizer"],
            "time to accuracy in the search": f"{cell(row['search_s'])} s",
            "confirmation runs that reached the target": f"{row['reached']} of {row['runs']}",
            "warm time to accuracy": _interval(row, "warm_s"),
            "cold time to accuracy": _interval(row, "cold_s"),
            "test accuracy": "\N{EN DASH}" if math.isnan(row["test_accuracy"]) else f"{row['test_accuracy']:.2%}",
            "samples to target": cell(row["samples_to_target"]),
            "samples per second": cell(row["samples_per_s"]),
            "loader workers that really ran": cell(row["loader_workers"]),
        }
    return pd.DataFrame(columns).rename_axis("").reset_index()


def _interval(row: dict[Hashable, Any], name: str) -> str:
    if math.isnan(row[name]):
        return "\N{EN DASH}"
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    interval = "" if math.isnan(low) else f" [{cell(low)}, {cell(high)}]"
    return f"{cell(row[name])} s{interval}"


def _facts(records: StudyRecords) -> list[tuple[str, str]]:
    provenance = records.provenance
    facts = [(key, provenance.get(key)) for key in ("processor", "cpus", "gpus", "platform", "python", "git")]
    versions = provenance.get("versions", {})
    facts.append(("versions", ", ".join(f"{name} {number}" for name, number in versions.items() if number)))
    if "dataset" in provenance:
        facts.append(("data set", f"{provenance['dataset']}; MD5 {', '.join(provenance['md5'].values())}"))
    if "resumed" in provenance:
        facts.append(("resumed", f"{len(provenance['resumed'])} times"))
    return [(key, ", ".join(value) if isinstance(value, list) else str(value)) for key, value in facts if value]


def _write(path: Path, template: str, *, autoescape: bool, **values: object) -> None:
    environment = Environment(autoescape=autoescape, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(cell=cell, inline_svg=_inline_svg)
    text = environment.from_string((_TEMPLATES / template).read_text(encoding="utf-8")).render(**values)
    path.write_text(text, encoding="utf-8")


def cell(value: Any) -> str:
    """A table's value for people: four significant digits, a dash for nothing."""
    if pd.isna(value):
        return "\N{EN DASH}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 or value == int(value) else f"{value:.4g}"
    return str(value)


def _render(figure: Figure, suffix: str) -> bytes:
    # A fixed salt and no date: the same records give the same bytes.
    with mpl.rc_context({"svg.hashsalt": "tuneoff", "svg.fonttype": "path"}):
        buffer = io.BytesIO()
        metadata = {"Date": None} if suffix == "svg" else None
        figure.savefig(buffer, format=suffix, dpi=144, metadata=metadata)
    return buffer.getvalue()


def _inline_svg(section: Section) -> Markup:
    """A figure's SVG without its XML header, for inside HTML; our own drawing, so it needs no escaping."""
    assert section.figure is not None
    text = _render(section.figure, "svg").decode()
    # Ids must be unique on the page: matplotlib numbers them per file.
    text = text[text.index("<svg") :].replace('id="', f'id="{section.name}-').replace("url(#", f"url(#{section.name}-")
    return Markup(text.replace('xlink:href="#', f'xlink:href="#{section.name}-'))
