"""Whether a written report says what the records say: everything is computed again and compared."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from html.parser import HTMLParser
from itertools import zip_longest
from pathlib import Path

from reports.errors import ReportError
from reports.figures.drawing import DRAWN_BY
from reports.page.comparing import build_comparison, read_studies
from reports.page.report import Page, build_page, write_page
from reports.records import read_records
from reports.tables.contradictions import against_the_plan, among_themselves
from reports.tables.cost import Price

_VOID = {"meta", "br", "hr", "img", "input", "link"}
_CODE = ("style", "script")
# Attributes that are compared elsewhere, or say nothing.
_READ = {
    "body": ("data-options",),
    "data": ("value", "data-from", "title"),
    "tr": ("data-row",),
    "td": ("class",),
    "table": ("data-from",),
    "th": ("data-column",),
}
_WRITTEN = re.compile(r"Written \d{4}-\d\d-\d\d \d\d:\d\d UTC\.")
_OURS = {".csv", ".html", ".md", ".png", ".svg"}  # files of a report


def verify_report(folder: str | Path, into: str | Path | None = None) -> list[str]:
    """Compute a report's numbers again from the records and compare them with the written ones.

    Compared are every number, sentence and link on the page, numbers with their full values, every element with its
    attributes, its style and script, the Markdown, every CSV file and, where matplotlib is the version that drew them,
    every figure; see `unchecked`. Files of other reports among them are named. So are trials that contradict their own
    evaluations or the plan, and runs of the plan that are missing.

    Parameters
    ----------
    folder
        The study's.
    into
        Where the report lies; ``report`` in the study's folder, if not given.

    Returns
    -------
    One line per difference: where, what is written, what the records give. None: the report is right.

    Raises
    ------
    reports.errors.ReportError
        When there is no report, or no records.
    """
    into = Path(into) if into is not None else Path(folder) / "report"
    written = into / "index.html"
    found = _found(written, f"`tuneoff report {folder}` writes it")
    records = read_records(folder)
    return [
        *_compare_with(build_page(records, _price(found.options, written)), found, into),
        *against_the_plan(records.trials, records.plan, records.provenance),
        *among_themselves(records.trials, records.evaluations),
    ]


def verify_comparison(folders: Sequence[str | Path], into: str | Path, by: str = "") -> list[str]:
    """Like `verify_report`, of the page over several studies.

    Parameters
    ----------
    folders, by
        What it was made of, and how; see `reports.page.comparing.write_comparison`.
    into
        The folder where it lies; or the page, an ``.html`` file without tables and figures beside it.
    """
    into = Path(into)
    alone = into.is_file()
    found = _found(into if alone else into / "index.html", "`tuneoff compare` writes it")
    studies = read_studies(folders)
    differences = list(_compare_with(build_comparison(studies, by), found, None if alone else into))
    for name, records in studies.items():
        told = (
            *against_the_plan(records.trials, records.plan, records.provenance),
            *among_themselves(records.trials, records.evaluations),
        )
        differences += [f"{name}: {each}" for each in told]
    return differences


def _found(written: Path, otherwise: str) -> _Reader:
    try:
        return _read(written.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"cannot read {written} ({error}); {otherwise}") from None


def _compare_with(page: Page, found: _Reader, into: Path | None) -> Iterator[str]:
    """Where a page that was found, and the files beside it if it has a folder, are not what they should be."""
    with tempfile.TemporaryDirectory() as temporary:
        again = Path(temporary)
        write_page(page, again)
        rightly = _read((again / "index.html").read_text(encoding="utf-8"))
        same_matplotlib = found.options.get("matplotlib") == DRAWN_BY
        yield from _compare(found, rightly, figures=same_matplotlib)
        if into is None:
            return
        for path in sorted(again.iterdir()):
            if path.suffix in (".csv", ".md"):
                yield from _compare_texts(into / path.name, path)
            elif path.suffix in (".svg", ".png") and same_matplotlib:
                yield from _compare_drawings(into / path.name, path)
        known = {path.name for path in again.iterdir()}
    strange = sorted(path.name for path in into.iterdir() if path.suffix in _OURS and path.name not in known)
    yield from (f"{name} is no part of this report" for name in strange)


def unchecked(page: str | Path) -> list[str]:
    """What of a written page could not be compared, and why.

    Parameters
    ----------
    page
        The ``index.html``.
    """
    try:
        by = _read(Path(page).read_text(encoding="utf-8")).options.get("matplotlib")
    except (OSError, ValueError):
        return []
    return [] if by == DRAWN_BY else [f"the figures, which matplotlib {by} drew, and here is {DRAWN_BY}"]


class _Reader(HTMLParser):
    """What a page says: numbers by the cell they come from, the rest of the text in order, figures as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[tuple[str, str]] = []  # cell, text and full value
        self.prose: list[str] = []  # and where links lead, and elements with their attributes
        self.code: list[str] = []
        self.figures: list[str] = []
        self.options: dict[str, object] = {}
        self._open: list[tuple[str, dict[str, str]]] = []
        self._table, self._row, self._cell = "", "", 0
        self._columns: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "body":
            self.options = json.loads(given.get("data-options", "{}"))
        elif tag == "table":
            self._table, self._columns = given.get("data-from", ""), []
        elif tag == "th" and "data-column" in given:
            self._columns.append(given["data-column"])
        elif tag == "tr":
            self._row, self._cell = given.get("data-row", ""), 0
        elif tag == "td":
            self._cell += 1
        elif tag == "a":
            self.prose.append(f"link to {given.pop('href', '')}")
        self._note(tag, given)
        if self._inside("svg"):
            self.figures[-1] += self.get_starttag_text() or ""
        elif tag == "svg":
            self.figures.append(self.get_starttag_text() or "")
        if tag == "data":
            self.numbers.append((given.get("data-from", ""), f"{given.get('value', '')} as "))
        elif tag == "td" and self._table and self._cell <= len(self._columns):
            self.numbers.append((f"{self._table}/{self._row}/{self._columns[self._cell - 1]}", ""))
        if tag not in _VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self._open.append((tag, given))

    def _note(self, tag: str, given: dict[str, str]) -> None:
        """An element and what it has besides what is read as a number; a cell or row of a long table only if it has."""
        if self._inside("svg") or tag == "svg":
            return
        read = _READ.get(tag, ()) if tag != "td" or given.get("class") == "long" else ()
        rest = " ".join(f'{name}="{value}"' for name, value in given.items() if name not in read)
        if rest or not (tag == "data" or (self._table and tag in ("tr", "td"))):
            self.prose.append(f"<{f'{tag} {rest}'.strip()}>")

    def handle_comment(self, data: str) -> None:
        self.prose.append(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self.prose.append(f"<!{decl}>")

    def handle_pi(self, data: str) -> None:
        self.prose.append(f"<?{data}>")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if self._inside("svg"):
            self.figures[-1] += data
        elif any(map(self._inside, _CODE)):
            self.code.append(text)
        elif any("data-ignored" in each for _, each in self._open):
            if text and not _WRITTEN.fullmatch(text):
                self.prose.append(text)
        elif self.numbers and (self._inside("data") or (self._table and self._inside("td"))):
            source, said = self.numbers[-1]
            self.numbers[-1] = (source, said + text)
        elif text:
            self.prose.append(text)

    def _inside(self, tag: str) -> bool:
        return any(each == tag for each, _ in self._open)


def _read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader


def _price(options: dict[str, object], written: Path) -> Price | None:
    given = options.get("price")
    if not isinstance(given, dict) or not set(given) <= {"gpu_hour", "cpu_hour"}:
        raise ReportError(f"{written} does not say how it was made; write it again with `tuneoff report`")
    price = Price(**given)
    return price if price.given else None


def _compare(found: _Reader, rightly: _Reader, *, figures: bool) -> Iterator[str]:
    ours, theirs = (_by_cell(each.numbers) for each in (found, rightly))
    for cell in dict.fromkeys([*theirs, *ours]):
        for mine, other in zip_longest(ours.get(cell, []), theirs.get(cell, []), fillvalue="nothing"):
            if mine != other:
                where = "{}.csv, row {}, {}".format(*f"{cell}//".split("/", 2)).rstrip("/")
                yield f"number from {where}: the page says {mine}, the records give {other}"
    for _, mine, other in _changed(found.prose, rightly.prose):
        yield f"text: the page says '{mine[:80]}', the records give '{other[:80]}'"
    if found.code != rightly.code:
        yield "the page's style or script is not the one that this version writes"
    if len(found.figures) != len(rightly.figures):
        yield f"the page has {len(found.figures)} figures, the records give {len(rightly.figures)}"
    elif figures:
        for place, (drawn, right) in enumerate(zip_longest(found.figures, rightly.figures, fillvalue=""), start=1):
            if drawn != right:
                yield f"figure {place} of the page is not what the records give"


def _by_cell(numbers: list[tuple[str, str]]) -> dict[str, list[str]]:
    cells: dict[str, list[str]] = {}
    for cell, said in numbers:
        cells.setdefault(cell, []).append(said)
    return cells


def _compare_texts(written: Path, right: Path) -> Iterator[str]:
    try:
        ours = written.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        yield f"{written.name} is missing or damaged"
        return
    for line, mine, other in _changed(ours, right.read_text(encoding="utf-8").splitlines()):
        yield f"{written.name}, line {line}: the file says '{mine[:120]}', the records give '{other[:120]}'"


def _compare_drawings(written: Path, right: Path) -> Iterator[str]:
    try:
        same = written.read_bytes() == right.read_bytes()
    except OSError:
        yield f"{written.name} is missing or damaged"
        return
    if not same:
        yield f"{written.name} is not what the records give"


def _changed(ours: list[str], theirs: list[str]) -> Iterator[tuple[int, str, str]]:
    """Where two lists differ: the place in ours, from 1, and what is there in each; one more line moves no other."""
    if ours == theirs:
        return
    for what, start, stop, other_start, other_stop in SequenceMatcher(a=ours, b=theirs, autojunk=False).get_opcodes():
        if what != "equal":
            pairs = zip_longest(ours[start:stop], theirs[other_start:other_stop], fillvalue="nothing")
            yield from ((start + offset, mine, other) for offset, (mine, other) in enumerate(pairs, start=1))
