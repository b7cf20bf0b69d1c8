from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from reports.errors import ReportError
from reports.figures.drawing import DRAWN_BY
from reports.page import checking
from reports.page.checking import unchecked, verify_comparison, verify_report
from reports.page.comparing import BY_FRAMEWORK, BY_STUDY, write_comparison
from reports.page.report import Page, write_page, write_report
from reports.tables.cost import Price
from tests.reports.conftest import make, save


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies") / "made-up"
    save(make(0.8, runs=5), folder)
    write_report(folder, folder / "report", price=Price(gpu_hour=2.0, cpu_hour=0.1))
    return folder


@pytest.fixture(scope="module")
def drawn() -> dict[str, Path]:
    """Pages that were written, by all that is on them."""
    return {}


@pytest.fixture(autouse=True)
def drawing_once(
    request: pytest.FixtureRequest, drawn: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a page should be is drawn once for all tests that ask for the same page; figures take seconds."""
    if request.node.name == test_a_report_just_written_is_right.__name__:
        return

    def write(page: Page, into: Path) -> None:
        tables = [*page.tables, *(table for section in page.sections for table in section.tables)]
        key = repr((page.heading, page.verdict, page.price, [(each.name, each.data.to_csv()) for each in tables]))
        if key not in drawn:
            write_page(page, tmp_path / "drawn")
            drawn[key] = tmp_path / "drawn"
        shutil.copytree(drawn[key], into, dirs_exist_ok=True)

    monkeypatch.setattr(checking, "write_page", write)


@pytest.fixture
def written(once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(once, tmp_path / "made-up"))


def change(path: Path, pattern: str, into: str) -> None:
    text = path.read_text()
    changed = re.sub(pattern, into, text, count=1)
    assert changed != text
    path.write_text(changed)


def test_a_report_just_written_is_right(written: Path) -> None:
    assert verify_report(written) == []


@pytest.mark.parametrize(
    ("file", "pattern", "into", "said"),
    [
        ("index.html", r'(claims/1/ratio" title="[^"]*">)[^<]*', r"\g<1>0.11x", "claims.csv, row 1, ratio"),
        ("index.html", r"value=\S* (data-from=.search_cost/2/slice_s)", r'value="1" \1', "search_cost.csv, row 2"),
        ("index.html", r'(<tr data-row="3"><td>[^<]*</td><td>)[^<]*', r"\g<1>failed", "trials.csv, row 3, outcome"),
        ("index.html", "made up", "made better", "text: the page says"),
        ("index.html", r'(<path d="M )[\d.]+', r"\g<1>1.5", "figure"),
        ("attribution.csv", "median|time to target", "time", "attribution.csv, line 2"),
        ("report.md", "10 trials|Best configuration", "Worst configuration", "report.md, line"),
        ("timeline.svg", r'(<path d="M )[\d.]+', r"\g<1>1.5", "timeline.svg"),
        ("index.html", r"--ink: #\w+", "--ink: #ffffff", "style or script"),
        ("index.html", r"<script>", "<script>;", "style or script"),
        ("index.html", r'href="../trials.parquet"', 'href="../other"', "link to ../trials.parquet"),
    ],
    ids=["verdict", "full value", "trial", "prose", "figure", "csv", "markdown", "svg", "style", "script", "link"],
)  # fmt: skip
def test_what_was_tampered_with_is_named(written: Path, file: str, pattern: str, into: str, said: str) -> None:
    change(written / "report" / file, pattern, into)
    differences = verify_report(written)
    assert len(differences) == 1
    assert said in differences[0]


@pytest.mark.parametrize(
    ("pattern", "into", "said"),
    [
        (r'<p class="verdict">', '<p class="verdict" hidden>', 'the page says \'<p class="verdict" hidden'),
        (r'<p class="verdict">', '<p class="note">', "'<p class=\"note\">', the records give '<p class=\"verdict\">'"),
        (r"<data value", '<data style="display:none" value', "<data style="),
        (r"<td>reached", "<td hidden>reached", "<td hidden"),
        (r'<tr data-row="3">', '<tr data-row="3" class="x">', '<tr class="x">'),
        (r"<h2>", '<img src="data:x"><h2>', '<img src="data:x">'),
        (r"<h2>", '<svg><path d="M 0"></path></svg><h2>', "figures, the records give"),
        (r"<h2>", "<!-- a word --><h2>", "<!-- a word -->"),
        (r"<!doctype html>", "<?x y?>", "<?x y?>"),
        (r"Written [^<]*", "Written by an honest hand.", "Written by an honest hand."),
        (r"<footer>", "<p>Flux was disqualified.</p><footer>", "Flux was disqualified."),
        (r"<span data-ignored>", "<p data-ignored>And so on.</p><span data-ignored>", "And so on."),
        (r"<section", '<div style="display:none"></div><section', "<div style="),
    ],
)
def test_what_was_put_into_the_page_is_named(once: Path, pattern: str, into: str, said: str) -> None:
    page = (once / "report" / "index.html").read_text()
    changed = re.sub(pattern, into.replace("\\", r"\\"), page, count=1)
    assert changed != page
    assert any(said in each for each in checking._compare(checking._read(changed), checking._read(page), figures=True))


@pytest.fixture(scope="module", params=[BY_FRAMEWORK, BY_STUDY])
def compared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Path, str]:
    """Studies, the page over them, and what stands against what."""
    folder = tmp_path_factory.mktemp("compared")
    for name, ratio in (("one", 0.5), ("two", 0.9)):
        records = make(ratio, runs=5)
        if request.param == BY_STUDY:
            records = replace(records, trials=records.trials[records.trials["framework"] == "flux"])
        save(records, folder / name)
    write_comparison([folder / "one", folder / "two"], folder / "page", request.param)
    return [folder / "one", folder / "two"], folder / "page", request.param


def test_a_page_over_studies_is_checked_like_a_report(compared: tuple[list[Path], Path, str], tmp_path: Path) -> None:
    studies, page, by = compared
    assert verify_comparison(studies, page, by) == []
    alone = shutil.copyfile(page / "index.html", tmp_path / "alone.html")
    assert verify_comparison(studies, alone, by) == []
    into = Path(shutil.copytree(page, tmp_path / "page"))
    change(into / "index.html", r'<p class="verdict">', '<p class="verdict" hidden>')
    change(into / "index.html", r"<footer>", '<p>Flux was disqualified.</p><img src="data:x"><footer>')
    change(into / "index.html", r">\d\.\d\dx<", ">0.01x<")
    change(into / "report.md", r"\d\.\d\dx", "0.01x")
    (into / "other.csv").write_text("a")
    found = verify_comparison(studies, into, by)
    for said in (
        'verdict" hidden',
        "Flux was disqualified",
        '<img src="data:x">',
        "as 0.01x",
        "report.md, line",
        "other.csv",
    ):
        assert any(said in each for each in found), said
    with pytest.raises(ReportError, match=r"cannot read .*`tuneoff compare` writes it"):
        verify_comparison(studies, tmp_path / "nowhere", by)


def test_a_study_that_changed_since_it_was_compared_is_noticed(
    compared: tuple[list[Path], Path, str], tmp_path: Path
) -> None:
    studies, page, by = compared
    copies = [Path(shutil.copytree(each, tmp_path / each.name)) for each in studies]
    trials = pd.read_parquet(copies[0] / "trials.parquet")
    trials.loc[trials["phase"] == "confirm", "warm_tta_s"] *= 1.5
    trials.to_parquet(copies[0] / "trials.parquet")
    found = verify_comparison(copies, page, by)
    assert any(each.startswith("number from ") for each in found)
    assert any(each.startswith("one: ") and "warm_tta_s: it says" in each for each in found)


def test_figures_that_another_matplotlib_drew_are_not_compared_which_is_said(written: Path) -> None:
    page = written / "report" / "index.html"
    assert unchecked(page) == []
    change(written / "report" / "index.html", "matplotlib&#34;: &#34;[^&]*", "matplotlib&#34;: &#34;1.0")
    change(written / "report" / "timeline.svg", r'(<path d="M )[\d.]+', r"\g<1>1.5")
    assert verify_report(written) == []
    assert unchecked(page) == [f"the figures, which matplotlib 1.0 drew, and here is {DRAWN_BY}"]
    change(written / "report" / "index.html", "<h2>", "<svg></svg><h2>")
    assert "figures, the records give" in verify_report(written)[0]


def test_contradictions_of_the_records_are_told_with_the_report_that_agrees_with_them(written: Path) -> None:
    trials = pd.read_parquet(written / "trials.parquet")
    trials.loc[trials["phase"] == "confirm", "warm_tta_s"] *= 0.5
    trials.to_parquet(written / "trials.parquet")
    write_report(written, written / "report", price=Price(gpu_hour=2.0, cpu_hour=0.1))
    found = verify_report(written)
    assert len(found) == 10
    assert all("warm_tta_s: it says" in each for each in found)


def test_a_picture_and_a_strange_file_are_noticed(written: Path) -> None:
    (written / "report" / "timeline.png").write_bytes(b"junk")
    (written / "report" / "old.csv").write_text("a\n1\n")
    assert verify_report(written) == ["timeline.png is not what the records give", "old.csv is no part of this report"]


def test_a_report_written_again_leaves_no_file_of_the_one_before(written: Path) -> None:
    assert (written / "report" / "reached_warm.png").exists()
    save(make(0.8, runs=0), written)  # nothing confirmed: no curves
    (written / "report" / "mine.csv").write_text("a\n1\n")
    write_report(written, written / "report")
    assert verify_report(written) == ["mine.csv is no part of this report"]
    assert not (written / "report" / "reached_warm.png").exists()


def test_a_moved_study_is_right(written: Path) -> None:
    moved = written.rename(written.with_name("moved"))
    assert verify_report(moved) == []


def test_one_trial_more_is_not_a_difference_everywhere(written: Path) -> None:
    trials = pd.read_parquet(written / "trials.parquet")
    first = trials.iloc[[0]].assign(
        trial_id="search-pytorch-00009", number=9, began_at=985.0, ended_at=990.0, objective=99.0
    )
    pd.concat([first, trials]).to_parquet(written / "trials.parquet")
    assert sum("trials.csv, line" in each for each in verify_report(written)) == 1


def test_records_that_changed_since_are_noticed(written: Path) -> None:
    trials = pd.read_parquet(written / "trials.parquet")
    trials.loc[trials["phase"] == "confirm", "warm_tta_s"] *= 1.5
    trials.to_parquet(written / "trials.parquet")
    assert any("best_configurations.csv, row 1, warm_s" in each for each in verify_report(written))


def test_a_missing_report_and_a_missing_table(written: Path) -> None:
    (written / "report" / "ledger.csv").unlink()
    assert verify_report(written) == ["ledger.csv is missing or damaged"]
    change(written / "report" / "index.html", 'data-options="[^"]*"', "")
    with pytest.raises(ReportError, match="does not say how it was made"):
        verify_report(written)
    (written / "report" / "index.html").unlink()
    with pytest.raises(ReportError, match="cannot read"):
        verify_report(written)


def test_every_number_of_a_sentence_is_in_the_table_it_names(written: Path) -> None:
    page = (written / "report" / "index.html").read_text()
    cells = re.findall(r'<data value="([^"]*)" data-from="(\w+)/(\d+)/(\w+)"', page)
    assert len(cells) > 100
    tables = {name: pd.read_csv(written / "report" / f"{name}.csv", dtype=str) for _, name, _, _ in cells}
    for value, table, row, column in cells:
        held = tables[table].at[int(row) - 1, column]
        same = (value == "" and pd.isna(held)) or value.replace("&#34;", '"') == held
        assert same or float(value) == float(held), (table, row, column)


def test_the_page_says_how_it_was_made(written: Path) -> None:
    page = (written / "report" / "index.html").read_text()
    options = json.loads(re.search(r'data-options="([^"]*)"', page)[1].replace("&#34;", '"'))  # type: ignore[index]
    assert options["price"] == {"gpu_hour": 2.0, "cpu_hour": 0.1}
