"""What is seen first: a line a clock, the forest plot, who reached the target how often, the rules, the contents."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reports.page.checking import verify_report
from reports.page.report import Page, build_page, write_report
from reports.records import StudyRecords
from reports.sentences import plain, rows
from reports.tables.rules import rules, rules_said
from tests.reports.conftest import make, race, save, study, trial

PLAN: dict[str, Any] = {
    "frameworks": ["pytorch", "flux"],
    "search": {"trials": 4, "sampler": "tpe", "scheduler": "fifo"},
    "race": {"configurations": 3, "runs": 4},
    "confirm": {"runs": 6},
    "training": {"holds": 2},
}


def raced(ratio: float, frameworks: tuple[str, ...] = ("pytorch", "flux"), misses: int = 0) -> StudyRecords:
    changes = {"evaluate_every_samples": 540, "eval_s": 0.1, "objective_clock": "warm"}
    base = {"pytorch": 2.0, "flux": 2.0 * ratio, "simulated": 2.5}
    listed = []
    for number in range(4):
        listed += [trial(name, "search", number, base[name] * (2 - 0.3 * number), **changes) for name in frameworks]
    race(listed, lambda name, number, pair: base[name] * (1 + 0.1 * (number % 2) + 0.02 * (pair % 4)), k=3)
    for number in range(6):
        for name in frameworks:
            missed = name == "flux" and number < misses
            took = None if missed else base[name] * (1 + 0.03 * (number * len(name) % 5))
            listed.append(trial(name, "confirm", number, took, **changes))
    return replace(study(listed), plan=PLAN | {"frameworks": list(frameworks)}, name="made-up")


def said(page: Page) -> str:
    return " ".join(map(plain, (*page.headlines, *page.details, *page.rules)))


def test_a_line_a_clock_in_large_letters_and_the_rest_beside_the_plot(tmp_path: Path) -> None:
    save(raced(0.5), tmp_path)
    write_report(tmp_path, tmp_path / "report")
    text = (tmp_path / "report" / "index.html").read_text()
    large = re.findall(r'<p class="verdict">(.*?)</p>', text)
    assert [re.sub(r"<[^>]*>", "", line).split(" ", 1)[0] for line in large] == ["Warm:", "Cold:"]
    first = text[text.index('<div class="first">') : text.index("<section")]
    assert first.count("<svg") == 1
    assert "reached 95 % validation accuracy" in re.sub(r"<[^>]*>", "", first)
    assert "Rules: 4 trials each" in re.sub(r"<[^>]*>", "", first)
    assert "cautions" not in first
    assert verify_report(tmp_path) == []


def test_everything_on_it_is_recomputed_by_verify(tmp_path: Path) -> None:
    save(raced(0.5), tmp_path)
    write_report(tmp_path, tmp_path / "report")
    page = tmp_path / "report" / "index.html"
    text = page.read_text()
    for pattern, into, told in (
        (r'(rules/1/race_runs" title="[^"]*">)4', r"\g<1>5", "rules.csv, row 1, race_runs"),
        (r'(<nav .*?<a href="#section-)best', r"\g<1>trials", "link to #section-trials"),
        (r"drawn by TPE", "drawn by chance", "drawn by chance"),
    ):
        changed = re.sub(pattern, into, text, count=1, flags=re.DOTALL)
        assert changed != text
        page.write_text(changed)
        assert any(told in each for each in verify_report(tmp_path)), told


def test_the_rules_in_one_line() -> None:
    records = raced(0.5)
    (row,) = rows("rules", rules(records.trials, records.plan))
    assert plain(rules_said(row)) == (
        "Rules: 4 trials each, drawn by TPE; 2 CPUs a trial; limit 10 s warm; target 95 % in 2 evaluations in a row, "
        "looked for every 540 training samples, which takes 6 % of the time; race: the best 3 again, 4 runs each; "
        "confirmation: the winner again, 6 fresh runs."
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"search": {"trials": 9, "sampler": "gp", "scheduler": "asha"}},
            "9 trials each, drawn by a Gaussian process, w",
        ),
        (
            {"search": {"trials": 9, "sampler": "tpe", "scheduler": "cap", "cap_slack": 1.5, "cap_rank": 1}},
            "9 trials each, drawn by TPE, capped at 1.50x the time of the best; 2 CPUs",
        ),
        (
            {"search": {"trials": 9, "sampler": "tpe", "scheduler": "cap", "cap_slack": 1.5, "cap_rank": 3}},
            "drawn by TPE, capped at 1.50x the time of rank 3; 2 CPUs",
        ),
        (
            {"search": {"trials": 9, "sampler": "cmaes", "budget": "2h", "pays_after": 100}},
            "9 trials each, drawn by CMA-ES, within 2h each, until another would not pay in 100 trainings;",
        ),
        (
            {
                "search": {
                    **{"trials": 9, "sampler": "tpe", "learning_rate_scaling": "sqrt", "reference_batch_size": 64},
                    "warm_start_from": "results/other",
                }
            },
            "drawn by TPE, after the best of results/other, the learning rate with the root of the batch size, from 64 "
            "on;",
        ),
        ({"race": {"configurations": 0, "runs": 4}}, "; no race;"),
        ({"confirm": {"runs": 1}}, "confirmation: the winner again, 1 fresh run."),
        ({"training": {"holds": 1}}, "target 95 %, looked for"),
    ],
)
def test_other_rules(changes: dict[str, Any], expected: str) -> None:
    records = raced(0.5)
    (row,) = rows("rules", rules(records.trials, records.plan | changes))
    assert expected in plain(rules_said(row))


def test_rules_of_records_without_a_plan_say_what_is_known() -> None:
    (row,) = rows("rules", rules(make(0.5).trials, {}))
    assert plain(rules_said(row)) == "Rules: equal budgets; 2 CPUs a trial; limit 10 s warm; target 95 %; no race."


def test_three_frameworks_have_a_plot_for_every_pair() -> None:
    page = build_page(raced(0.5, ("pytorch", "flux", "simulated")))
    assert [picture.name for picture in page.forests] == ["forest_1", "forest_2", "forest_3"]
    assert len(page.headlines) == 6
    for sentence in map(plain, (*page.headlines, *page.details, *page.folded)):  # of which pair each is
        assert sum(name in sentence for name in ("PyTorch", "Flux", "Simulated")) == 2, sentence


def test_of_several_pairs_the_claims_and_successes_are_seen_and_the_rest_opens_on_a_click(tmp_path: Path) -> None:
    save(raced(0.5, ("pytorch", "flux", "simulated")), tmp_path)
    write_report(tmp_path, tmp_path / "report")
    text = (tmp_path / "report" / "index.html").read_text()
    first = text[: text.index("<section")]
    seen = re.sub(r"<details>.*?</details>", "", first, flags=re.DOTALL)
    assert first.count("by themselves, whatever another search would find") == 3
    assert "by themselves, whatever" not in seen
    assert seen.count(" reached 95 % validation accuracy") == 3
    assert len(re.findall(r'<p class="verdict several">(?:Warm|Cold): ', seen)) == 6
    assert seen.count("A dot: a pair of runs") == seen.count("In the plots: ") == 1  # and not below every plot
    assert verify_report(tmp_path) == []


@pytest.mark.parametrize(
    ("ratio", "frameworks", "meant"),
    [
        (
            1.0,
            ("pytorch", "flux"),
            "Warm: the time of training alone. Cold: all of it, from the start of the process. In brackets: 95 % "
            "intervals. 10 % faster: 10 % less time.",
        ),
        (
            0.5,
            ("pytorch", "flux"),
            "Warm: the time of training alone. Cold: all of it, from the start of the process. In brackets: 95 % "
            "intervals. 2x faster: half of the time.",
        ),
        (
            1.0,
            ("pytorch",),
            "Warm: the time of training alone. Cold: all of it, from the start of the process. In brackets: 95 % "
            "intervals.",
        ),
    ],
)
def test_the_words_of_the_verdict_are_explained(ratio: float, frameworks: tuple[str, ...], meant: str) -> None:
    assert [plain(each) for each in build_page(raced(ratio, frameworks)).notes] == [meant]


def test_misses_are_told_by_name() -> None:
    assert "Flux reached 95 % validation accuracy on digits-lenet in 4 of 6 runs, PyTorch in 6 of 6" in said(
        build_page(raced(0.9, misses=2))
    )


def test_one_framework_has_no_why_and_no_plot_of_claims() -> None:
    page = build_page(raced(1.0, ("pytorch",)))
    assert "Why" not in [section.heading for section in page.sections]
    assert "Where a run's time goes" in [section.heading for section in page.sections]
    assert page.forests == ()
    assert [plain(each).split(" in ")[0] for each in page.headlines] == [
        "PyTorch reaches 95 % validation accuracy on digits-lenet"
    ]


def test_every_page_has_a_table_of_contents(tmp_path: Path) -> None:
    sweep = [trial("pytorch", "sweep", n, None, batch_size=32 + n, varied="batch_size") for n in range(2)]
    for name, records in {"two": raced(0.5), "one": raced(1.0, ("pytorch",)), "swept": study(sweep)}.items():
        save(records, tmp_path / name)
        write_report(tmp_path / name, tmp_path / name / "report")
        text = (tmp_path / name / "report" / "index.html").read_text()
        contents = text[text.index("<nav") : text.index("</nav>")]
        linked = re.findall(r'href="#([^"]*)">([^<]*)<', contents)
        headings = re.findall(r'<section id="([^"]*)">\s*<h2>([^<]*)</h2>', text)
        assert linked == headings
        assert len(linked) > 2


def starting_later(once_s: float, saves: float, spread: float = 0.0) -> Page:
    """Flux starts ``once_s`` later than PyTorch and saves this share of a training."""
    listed = [trial(name, "search", 0, 4.0) for name in ("pytorch", "flux")]
    for number in range(8):
        base, luck = 4.0 + 0.1 * (number % 3), 1 + spread * (-1) ** number
        listed.append(trial("pytorch", "confirm", number, base, cold_tta_s=base + 3.0))
        took = base * luck * (1 - saves)
        started = 2.0 + once_s + 0.01 * number
        listed.append(trial("flux", "confirm", number, took, startup_s=started, cold_tta_s=took + 1.0 + started))
    return build_page(study(listed))


def test_where_the_clocks_differ_the_page_says_when_waiting_pays() -> None:
    told = said(starting_later(24.0, 0.25))
    assert "Warm: Flux is 1.33x [1.33, 1.33] faster." in told
    assert "Cold: PyTorch is " in told
    assert (
        "Flux starts 24.0 s later than PyTorch, compilation included, and then saves 25 % [25 %, 25 %] of a "
        "training with its evaluations: that pays from training 24 [24, 24] in one process on, or where one takes "
        "PyTorch 96.1 s" in told
    )


def test_waiting_that_does_not_pay_or_may_not() -> None:
    assert "that never pays" in said(starting_later(24.0, 0.0))
    unsure = said(starting_later(24.0, 0.02, spread=0.3))
    assert re.search(
        r"that pays from training [\d,]+ \[\d+, \N{INFINITY}\] in one process on.*; it may never, for", unsure
    )


@pytest.mark.parametrize(("once_s", "saves"), [(0.0, 0.25), (24.0, -0.25), (-1.0, 0.25)])
def test_where_the_clocks_agree_nobody_asks(once_s: float, saves: float) -> None:
    assert "that pays" not in (told := said(starting_later(once_s, saves)))
    assert "never pays" not in told
