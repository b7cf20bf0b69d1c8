from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import html5lib
import pandas as pd
import pytest

from reports import load
from reports.errors import ReportError
from reports.page.report import write_report
from reports.records import StudyRecords
from reports.sentences import Number, html, number
from tests.reports.conftest import save, study, trial

Make = Callable[..., StudyRecords]
FAILED: dict[str, object] = trial(
    "pytorch", "search", 0, None, outcome="failed", error="ImportError: no", objective=None, learning_rate=None,
    **dict.fromkeys(("train_s", "startup_s", "compile_s", "samples", "best_validation_accuracy", "loader_workers")),
)  # fmt: skip
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Checker(HTMLParser):
    """Every tag closed, every id once, no address that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href") and tag != "a" and not (value or "").startswith(("#", "data:")):
                self.fetched.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    assert checker.fetched == []
    assert not re.search(r"@import|url\((?!#)", page)
    return checker


def written(records: StudyRecords, folder: Path) -> tuple[str, str]:
    save(records, folder)
    write_report(folder, folder / "report")
    return (folder / "report" / "index.html").read_text(), (folder / "report" / "report.md").read_text()


def test_a_page_that_works_offline(two_frameworks: Make, tmp_path: Path) -> None:
    page, markdown = written(two_frameworks(0.8), tmp_path)
    assert checked(page).tags >= {"svg", "table", "details"}
    for said in ("Warm: Flux is ", "Cold: Flux is ", "What finding it cost", "made up"):
        assert said in page
        assert said in markdown
    report = tmp_path / "report"
    for name in ("best_against_cost", "timeline", "reached_warm"):
        assert (report / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (report / f"{name}.svg").read_text()
    assert len(pd.read_csv(report / "trials.csv")) == 28
    for image in re.findall(r"\]\((\S+)\)", markdown):
        assert (report / image).exists()


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [trial("pytorch", "search", 0, None)],
        [trial("pytorch", "search", 0, 2.0)],
        [trial("pytorch", "search", 0, 2.0), trial("pytorch", "confirm", 0, 2.0)],
        [trial("pytorch", "search", 0, 2.0), trial("pytorch", "confirm", 0, None)],
        [trial("pytorch", "search", 0, 2.0), trial("flux", "search", 0, 2.0), trial("flux", "confirm", 0, 2.0)],
        [FAILED | {"trial_id": f"search-pytorch-{number}", "number": number} for number in range(3)],
        [trial("pytorch", "confirm", 0, 2.0)],
        [trial("pytorch", "search", number, 2.0) for number in range(9)],
        [
            trial(
                "pytorch", "search", 0, None, outcome="failed", best_validation_accuracy=None, train_s=None, error="x"
            ),
            trial("flux", "search", 0, 2.0),
        ],
    ],
    ids=[
        "no trials",
        "nothing reached",
        "nothing confirmed",
        "one run",
        "one miss",
        "one confirmed",
        "all failed",
        "no search",
        "all the same",
        "one failed",
    ],
)
def test_every_kind_of_study_has_a_page(rows: list[dict[str, object]], tmp_path: Path) -> None:
    page, markdown = written(study(rows), tmp_path)
    checked(page)
    for text in (page, markdown):
        shown = re.sub(r"<svg.*?</svg>|<data value=\"inf\"", "", text, flags=re.DOTALL)  # which is read as \N{INFINITY}
        assert not re.search(r"\b(nan|NaN|None|inf)\b", shown)


def test_markup_in_an_error_does_no_harm(tmp_path: Path) -> None:
    error = "<script>alert(1)</script><img src=http://example.org/x> | `x`"
    page, _ = written(study([trial("pytorch", "search", 0, 2.0, error=error)]), tmp_path)
    assert "img" not in checked(page).tags
    assert page.count("<script") == 1  # the one that sorts
    assert "&lt;script&gt;" in page


def test_the_page_is_valid_html(two_frameworks: Make, tmp_path: Path) -> None:
    page, _ = written(two_frameworks(0.8, runs=3), tmp_path)
    parser = html5lib.HTMLParser(strict=True)  # raises at the first error
    tree = parser.parse(page)
    assert tree.find(".//{http://www.w3.org/1999/xhtml}table") is not None
    with pytest.raises(html5lib.html5parser.ParseError):
        html5lib.HTMLParser(strict=True).parse(page.replace("</h1>", "</h2>", 1))


def test_the_same_records_give_the_same_figures(two_frameworks: Make, tmp_path: Path) -> None:
    written(two_frameworks(0.8), tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "report").glob("*.svg")}
    write_report(tmp_path, tmp_path / "report")
    assert {path.name: path.read_bytes() for path in (tmp_path / "report").glob("*.svg")} == before


def test_load_without_records(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"trials\.parquet is missing"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "\u2013"),
        (float("nan"), "\u2013"),
        (0.012345, "0.01235"),
        (12345.6, "12,346"),
        (3.0, "3"),
        (7, "7"),
        ("x", "x"),
    ],
)
def test_cells(value: object, shown: str) -> None:
    assert number(value) == shown


def test_prose_and_commands_as_html() -> None:
    command = Number("a --b <1>", "a --b <1>", "t", 1, "command")
    said = html(("Run `tuneoff <x>`: ", command))
    assert said.startswith("Run <code>tuneoff &lt;x&gt;</code>: <data ")
    assert said.endswith('>a <span class="flag">--b &lt;1&gt;</span></data>')


@pytest.mark.parametrize(
    ("text", "shown"), [("2 % faster", "2\xa0% faster"), ("1.5 s", "1.5\xa0s"), ("3 sides", "3 sides")]
)
def test_a_number_and_its_unit_stay_on_one_line(text: str, shown: str) -> None:
    assert f">{shown}</data>" in html((Number(text, text, "t", 1, "c"),))


@pytest.mark.parametrize(
    ("named", "workload", "label", "verify"),
    [
        (
            "/home/me/mine",
            "workload/mine",
            "PyTorch, in the study's folder: run it again",
            "Run `tuneoff verify workload/mine` in its folder, then",
        ),
        ("mine", "mine", "PyTorch: run it again", "Run `tuneoff verify mine`, then"),
    ],
)
def test_commands_name_a_workload_that_is_there(
    named: str, workload: str, label: str, verify: str, tmp_path: Path
) -> None:
    names, phases = ("pytorch", "flux"), ("search", "confirm")
    records = study([trial(name, phase, 0, 2.0, workload="mine") for name in names for phase in phases])
    records.provenance["workload"] = {"name": "mine", "named": named, "digest": "5f" * 32}
    folder = tmp_path / "study"
    save(records, folder)
    write_report(folder, folder / "report")
    said = (folder / "report" / "report.md").read_text()
    assert f"--workload {workload} " in said
    assert f"\n{label}\n" in said
    assert verify in said.replace("\\", "")
    assert f"mine, SHA-256 of its files {'5f' * 32}" in said
