"""Studies against one another: what the page says is what it would say of two frameworks."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import html5lib
import pytest

from reports.errors import ReportError
from reports.page.comparing import BY_FRAMEWORK, BY_STUDY, compare, write_comparison
from reports.page.report import build_page
from reports.page.sides import compare_sides
from reports.records import StudyRecords
from reports.sentences import plain
from tests.reports.conftest import make, save, study, trial
from tests.reports.page.test_first_screen import raced


def alone(factor: float, framework: str = "pytorch", **changes: Any) -> StudyRecords:
    """A study of one framework whose runs take ``factor`` times 2 s, more or less."""
    rows = [trial(framework, "search", number, factor * (3.0 - 0.3 * number), **changes) for number in range(4)]
    noise = (1.0, 1.1, 0.95, 1.02, 0.9, 1.05)
    rows += [trial(framework, "confirm", n, 2.0 * factor * noise[n], **changes) for n in range(6)]
    return replace(study(rows), name="made-up")


def verdict(studies: dict[str, StudyRecords]) -> str:
    return " ".join(map(plain, compare_sides(studies).verdict))


def test_two_studies_of_one_framework_are_compared_as_two_frameworks_are() -> None:
    both = make(0.5)
    halves = {
        name: replace(both, trials=both.trials[both.trials["framework"] == name].assign(framework="pytorch"))
        for name in ("pytorch", "flux")
    }
    expected = [plain(each) for each in build_page(both).verdict]
    found = [plain(each) for each in compare_sides(halves).verdict]
    assert [each.replace("flux", "Flux").replace("pytorch", "PyTorch") for each in found] == expected


def test_sgd_against_adam(tmp_path: Path) -> None:
    save(alone(1.0), tmp_path / "sgd")
    save(alone(0.5, optimizer="adam"), tmp_path / "adam")
    said = write_comparison([tmp_path / "sgd", tmp_path / "adam"], tmp_path / "page")
    assert said.startswith("Warm: adam is 2.00x [")
    assert "adam reached 95 % validation accuracy on digits-lenet in 6 of 6 runs, sgd in 6 of 6." in said
    page = (tmp_path / "page" / "index.html").read_text()
    assert html5lib.HTMLParser(strict=True).parse(page) is not None
    for part in ("Best configuration of each side", "What differs between the studies", "Why", "The search"):
        assert f"<h2>{part}</h2>" in page
    commands = re.findall(r"<pre><code>(.*?)</code></pre>", page)
    assert ["--optimizer adam" in re.sub("<[^>]*>", "", each) for each in commands] == [False, True]
    assert all("--framework pytorch" in re.sub("<[^>]*>", "", each) for each in commands)
    assert (tmp_path / "page" / "forest_1.png").exists()
    assert 'href="trials.csv"' in page
    assert (tmp_path / "page" / "trials.csv").exists()


def test_a_workload_of_ones_own_is_named_where_each_study_has_it(tmp_path: Path) -> None:
    for name in ("sgd", "adam"):
        records = alone(1.0, optimizer=name, workload="mine")
        records.provenance["workload"] = {"name": "mine", "named": "/home/me/mine", "digest": "5f" * 32}
        save(records, tmp_path / name)
    write_comparison([tmp_path / "sgd", tmp_path / "adam"], tmp_path / "page")
    said = (tmp_path / "page" / "report.md").read_text()
    assert said.count("--workload workload/mine ") == 2
    assert "\nsgd, in that study's folder: run it again\n" in said
    assert "\nadam, in that study's folder: run it again\n" in said


def test_two_machines_are_compared_though_no_seed_ran_on_one_machine() -> None:
    said = verdict({"old": alone(1.0, host="old", cpu="a"), "new": alone(0.5, host="new", cpu="b")})
    assert said.startswith("Warm: new is 2.00x [")
    assert "not compared" not in said


def test_studies_with_other_seeds_are_compared_too() -> None:
    other = alone(0.5)
    moved = other.trials.assign(seed=other.trials["seed"] + 1000)
    assert verdict({"a": alone(1.0), "b": replace(other, trials=moved)}).startswith("Warm: b is 2.00x [")


def test_a_race_covers_the_search_here_as_well() -> None:
    one, other = raced(1.0, ("pytorch",)), raced(0.5, ("flux",))
    assert "whatever another search would find" in verdict({"one": one, "other": other})


def test_several_frameworks_are_compared_each_with_itself() -> None:
    studies = {"a": make(0.5), "b": make(0.9)}
    page = compare_sides(studies)
    pairs = {(row["framework"], row["against"]) for row in page.tables[0].data.to_dict("records")}
    assert pairs == {("PyTorch in b", "PyTorch in a"), ("Flux in b", "Flux in a")}
    assert len(page.forests) == 2


def test_what_stands_against_what_is_chosen_or_given(tmp_path: Path) -> None:
    for name, records in {"a": make(0.5), "b": make(0.9), "c": alone(1.0), "d": alone(1.1)}.items():
        save(records, tmp_path / name)
    two, one = [tmp_path / "a", tmp_path / "b"], [tmp_path / "c", tmp_path / "d"]
    assert "geometric mean" in write_comparison(two, tmp_path / "page")
    assert "Flux in b" in write_comparison(two, tmp_path / "page", BY_STUDY)
    assert "d needs" in write_comparison(one, tmp_path / "page") or "c is" in write_comparison(one, tmp_path / "page")
    assert "nothing to average" in write_comparison(one, tmp_path / "page", BY_FRAMEWORK)


def test_other_targets_are_no_sides(tmp_path: Path) -> None:
    easy, hard = alone(1.0), alone(1.0, target=0.99)
    with pytest.raises(ReportError, match="easy: 95 % on digits-lenet; hard: 99 % on digits-lenet"):
        compare_sides({"easy": easy, "hard": hard})
    with pytest.raises(ReportError, match="empty has no trial of a search"):
        compare_sides({"easy": easy, "empty": study([])})
    save(easy, tmp_path / "easy")
    save(hard, tmp_path / "hard")  # not asked for: each by itself, as before
    assert "nothing to average" in write_comparison([tmp_path / "easy", tmp_path / "hard"], tmp_path / "page")


def test_rules_are_said_once_where_they_are_the_same() -> None:
    plan = {"search": {"trials": 4, "sampler": "tpe"}, "confirm": {"runs": 6}}
    one, other = replace(alone(1.0), plan=plan), replace(alone(0.5), plan=plan)
    assert [plain(each)[:6] for each in compare_sides({"a": one, "b": other}).rules] == ["Rules:"]
    longer = replace(other, plan=plan | {"search": {"trials": 8, "sampler": "tpe"}})
    told = [plain(each).split(" trials")[0] for each in compare_sides({"a": one, "b": longer}).rules]
    assert told == ["Rules of a: 4", "Rules of b: 8"]


def test_warnings_and_missing_runs_are_those_of_each_study() -> None:
    plan = {"frameworks": ["pytorch"], "search": {"trials": 9}, "confirm": {"runs": 6}}
    page = compare_sides({"a": replace(alone(1.0), plan=plan), "b": alone(0.5)})
    assert "a has 4 of 9 trials" in " ".join(map(plain, page.verdict))
    assert not any("From equal hyperparameters" in plain(each) for each in page.sections[0].cautions)


def test_a_plan_that_was_changed_with_results_in_sight_is_told_with_its_study() -> None:
    changed = {
        "plan": {"confirm": {"runs": 3}},
        "resumed": [{"at": "2100-01-01T00:00:00+00:00", "plan": {"confirm": {"runs": 6}}}],
    }
    page = compare_sides({"a": alone(1.0), "b": replace(alone(0.5), provenance=changed)})
    said = " ".join(map(plain, page.details))
    assert "b: the plan was changed after 6 confirmation runs had ended: confirm.runs from 3 to 6" in said


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MEASURE = """<script>
document.querySelectorAll("details").forEach((each) => { each.open = true; });
const cut = [...document.querySelectorAll(".scroll")].filter((each) => each.scrollWidth > each.clientWidth);
const names = cut.map((each) => each.querySelector("caption").textContent);
document.title = `cut: ${names.join("; ")} of ${innerWidth}`;
</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no browser to measure with")
def test_no_table_of_a_comparison_is_cut(tmp_path: Path) -> None:
    long = "a processor with a name that is as long as names of processors are, @ 3.14 GHz"
    names = [f"a-study-with-a-rather-long-name-{number}" for number in range(5)]
    studies = {
        name: replace(make(0.5 + 0.1 * number, runs=5), provenance={"processor": f"{long} {number}", "git": name * 3})
        for number, name in enumerate(names)
    }
    for folder, made in (("by_study", None), ("by_framework", compare)):
        for name, records in studies.items():
            save(records, tmp_path / name)
        folders = [tmp_path / name for name in names[: 2 if made is None else 5]]
        write_comparison(folders, tmp_path / folder, BY_STUDY if made is None else BY_FRAMEWORK)
        page = (tmp_path / folder / "index.html").read_text()
        page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page).replace("</body>", MEASURE)
        (tmp_path / "measured.html").write_text(page)
        command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
        command += ["--disable-background-networking", "--disable-component-update", "--window-size=1280,900"]
        command += [f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom", (tmp_path / "measured.html").as_uri()]
        shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120).stdout
        assert "<title>cut:  of 1280</title>" in shown, re.findall("<title>.*?</title>", shown)
