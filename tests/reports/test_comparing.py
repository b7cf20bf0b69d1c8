from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import html5lib
import pytest

from reports.comparing import comparison, differences, geometric_means, performance_profile, write_comparison
from reports.errors import ReportError
from tests.reports.conftest import make, save, study, trial


def test_the_geometric_mean_over_studies_is_the_truth() -> None:
    studies = {f"study {ratio}": make(ratio, spread=0.01) for ratio in (0.5, 2.0, 0.8)}
    table = comparison(studies)
    assert table["warm"].tolist() == pytest.approx([0.5, 2.0, 0.8], rel=0.02)
    warm = geometric_means(table).set_index("clock").loc["warm"]
    assert warm["ratio"] == pytest.approx((0.5 * 2.0 * 0.8) ** (1 / 3), rel=0.01)
    assert warm["ratio_low"] < warm["ratio"] < warm["ratio_high"]
    assert warm["studies"] == 3


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
    assert re.match(r"Flux takes 0\.\d\dx PyTorch's warm time \(geometric mean over 2 studies\)", said)
    page = (tmp_path / "page" / "index.html").read_text()
    assert "&lt;b&gt;one" in page
    assert html5lib.HTMLParser(strict=True).parse(page) is not None
    assert (tmp_path / "page" / "performance_profile_warm.png").exists()


def test_studies_with_nothing_to_compare(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(study([trial("pytorch", "search", 0, 2.0)]), tmp_path / name)
    said = write_comparison([tmp_path / "a", tmp_path / "b"], tmp_path / "page")
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
