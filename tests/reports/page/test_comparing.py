from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import html5lib
import numpy as np
import pytest
from scipy import stats

from reports.errors import ReportError
from reports.page.comparing import BY_FRAMEWORK, write_comparison
from reports.tables.across import comparison, differences, geometric_means, performance_profile
from tests.reports.conftest import make, save, study, trial


def test_the_geometric_mean_over_studies_is_the_truth() -> None:
    ratios = [0.5, 2.0, 0.8, 1.1, 0.9]
    table = comparison({f"study {ratio}": make(ratio, spread=0.01) for ratio in ratios})
    assert table["warm"].tolist() == pytest.approx(ratios, rel=0.02)
    warm = geometric_means(table).set_index("clock").loc["warm"]
    assert warm["ratio"] == pytest.approx(np.prod(ratios) ** (1 / 5), rel=0.01)
    logs = np.log(table["warm"])
    half = stats.t.ppf(0.975, 4) * logs.std() / np.sqrt(5)  # Student's, and no bootstrap of five
    assert [warm["ratio_low"], warm["ratio_high"]] == pytest.approx(np.exp([logs.mean() - half, logs.mean() + half]))
    assert warm["studies"] == 5
    assert np.isnan(geometric_means(table.iloc[:4]).set_index("clock").loc["warm", "ratio_low"])


def test_the_performance_profile_by_hand() -> None:
    missed = study(
        [trial("pytorch", "search", 0, 2.0), trial("pytorch", "confirm", 0, 2.0), trial("flux", "search", 0, None)]
    )
    studies = {"slow": make(2.0, spread=0.0), "fast": make(0.5, spread=0.0), "missed": missed}
    profile = performance_profile(studies)
    warm = profile[profile["clock"] == "warm"].set_index(["framework", "factor"])["share"]
    assert warm.loc["pytorch"].to_dict() == pytest.approx({1.0: 2 / 3, 2.0: 1.0})  # never worse than twice
    assert warm.loc["flux"].to_dict() == pytest.approx({1.0: 1 / 3, 2.0: 2 / 3})  # in one study never there


def test_what_differs_is_named() -> None:
    one = replace(make(1.0), provenance={"cpus": 2, "versions": {"torch": "2.1", "flux": "0.16"}}, plan={"seed": 0})
    other = replace(make(1.0), provenance={"cpus": 2, "versions": {"torch": "2.2", "flux": "0.16"}}, plan={"seed": 1})
    table = differences({"a": one, "b": other})
    assert table.to_numpy().tolist() == [["versions.torch", "2.1", "2.2"], ["plan.seed", "0", "1"]]


def test_a_page_over_studies(tmp_path: Path) -> None:
    save(make(0.5), tmp_path / "<b>one</b>".replace("/", "-"))
    save(make(0.9), tmp_path / "two")
    save(study([trial("pytorch", "search", 0, 2.0)]), tmp_path / "alone")
    said = write_comparison(sorted(path for path in tmp_path.iterdir()), tmp_path / "page")
    assert re.match(
        r"Warm: Flux needs 0\.\d\dx of PyTorch's time \(geometric mean over 2 studies, too few for an interval, "
        r"which needs 5\)",
        said,
    )
    page = (tmp_path / "page" / "index.html").read_text()
    assert "&lt;b&gt;one" in page
    assert html5lib.HTMLParser(strict=True).parse(page) is not None
    assert (tmp_path / "page" / "performance_profile_warm.png").exists()


def test_studies_with_nothing_to_compare(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(study([trial("pytorch", "search", 0, 2.0)]), tmp_path / name)
    said = write_comparison([tmp_path / "a", tmp_path / "b"], tmp_path / "page", BY_FRAMEWORK)
    assert "nothing to average" in said
    text = (tmp_path / "page" / "index.html").read_text()
    assert "Nothing to compare." in text
    assert comparison({}).empty


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    save(make(0.5), tmp_path / "a")
    with pytest.raises(ReportError, match="at least two"):
        write_comparison([tmp_path / "a"], tmp_path / "page")
    with pytest.raises(ReportError, match="twice"):
        write_comparison([tmp_path / "a", tmp_path / "a"], tmp_path / "page")
    with pytest.raises(ReportError, match="no folder"):
        write_comparison([tmp_path / "a", tmp_path / "nowhere"], tmp_path / "page")


def test_a_study_in_which_one_never_reached_the_target_is_told(tmp_path: Path) -> None:
    never = study(
        [trial("pytorch", "search", 0, 2.0), trial("pytorch", "confirm", 0, 2.0), trial("flux", "search", 0, None)]
    )
    for name, records in {"a": make(0.5), "b": never, "c": make(0.5, flux_misses=10)}.items():
        save(records, tmp_path / name)
    said = write_comparison([tmp_path / name for name in "abc"], tmp_path / "page")
    assert "Left out, 2 of 3: b: Flux never reached the target; c: Flux never reached the target in 10 confirm" in said
    table = comparison({"b": never})
    assert table.loc[0, ["reached", "runs", "reached_against", "runs_against"]].tolist() == [0, 0, 1, 1]
    assert table["warm"].isna().all()


def test_the_profile_counts_misses_as_the_verdict_does() -> None:
    studies = {"one": make(0.5, flux_misses=9), "other": make(0.5, flux_misses=9)}
    assert comparison(studies)["warm"].isna().all()
    assert "1 of 10 confirmation runs, no more than half" in comparison(studies)["left_out"].iloc[0]
    profile = performance_profile(studies)
    best = profile[(profile["clock"] == "warm") & (profile["factor"] == 1.0)].set_index("framework")["share"]
    assert best.to_dict() == {"flux": 0.0, "pytorch": 1.0}


def test_studies_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    folders = [tmp_path / machine / "results" / "quickstart" for machine in ("m1", "m2")]
    for folder, ratio in zip(folders, (0.5, 2.0), strict=True):
        save(make(ratio), folder)
    said = write_comparison(folders, tmp_path / "page")
    assert "geometric mean over 2 studies" in said
    page = (tmp_path / "page" / "index.html").read_text()
    assert "m1/results/quickstart" in page
    assert "m2/results/quickstart" in page
