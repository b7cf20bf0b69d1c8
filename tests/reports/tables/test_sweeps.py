from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from reports.figures.sweeps import sweep_plot
from reports.knobs import sweep_title
from reports.page.report import build_page, write_report
from reports.records import StudyRecords
from reports.tables import sweeps
from tests.reports.conftest import save, study, trial

VALUES = {"num_workers": (2, 4, 8), "batch_size": (32, 128, 512), "learning_rate": (0.01, 0.1)}


def sweep(knob: str, frameworks: tuple[str, ...] = ("pytorch", "flux")) -> list[dict[str, object]]:
    """Three repeats per value; the training takes 10 s plus the repeat's number, a tenth of it waiting for data."""
    rows = []
    for name in frameworks:
        for number, value in enumerate(value for value in VALUES[knob] for _ in range(3)):
            repeat = number % 3
            row = trial(
                name, "sweep", number, 4.0 + repeat, batch_size=64, train_s=10.0 + repeat, data_s=1.0 + repeat / 10,
                best_training_accuracy=0.98, average_training_loss=0.1 * (1 + repeat), samples=20_000,
                workload="mnist-lenet", epochs=10, max_epochs=10, test_accuracy=0.97,
                loader_workers=value if name == "pytorch" and knob == "num_workers" else 1,
            )  # fmt: skip
            rows.append(row | {knob: value, "varied": knob})
    return rows


@pytest.mark.parametrize("knob", ["num_workers", "batch_size"])
def test_the_seeds_columns_are_medians_over_repeats(knob: str) -> None:
    trials = study(sweep(knob)).trials
    assert sweeps.swept(trials) == [knob]
    table = sweeps.seed_table(trials, knob)
    assert table["framework"].tolist() == ["pytorch"] * 3 + ["flux"] * 3
    assert table[knob].tolist() == [*VALUES[knob], *VALUES[knob]]
    row = table.iloc[0]
    assert row["repeats"] == 3
    assert row["train_s"] == pytest.approx(11.0)
    assert row["data_s"] == pytest.approx(1.1)
    assert row["epoch_train_s"] == pytest.approx(11.0 - 1.1)
    assert row["average_training_loss"] == pytest.approx(0.2)
    more = sweeps.missing_table(trials, knob).iloc[0]
    assert (more["reached"], more["repeats"]) == (3, 3)
    assert more["warm_tta_s"] == 5.0
    assert more["samples_per_s"] == pytest.approx(20_000 / 11)


def plot(records: StudyRecords, knob: str) -> Figure:
    tables = (make(records.trials, knob) for make in (sweeps.seed_table, sweeps.finished_repeats, sweeps.published))
    return sweep_plot(*tables, knob, "train_s")


def test_two_sweeps_in_one_study_are_told_apart() -> None:
    rows = [*sweep("num_workers"), *sweep("batch_size")]
    trials = study(rows).trials
    assert sweeps.swept(trials) == ["num_workers", "batch_size"]
    assert sweeps.seed_table(trials, "num_workers")["num_workers"].tolist() == [2, 4, 8] * 2
    assert sweeps.seed_table(trials, "batch_size")["batch_size"].tolist() == [32, 128, 512] * 2


def test_the_published_numbers_are_there_with_what_is_wrong_with_them() -> None:
    trials = study([*sweep("num_workers"), *sweep("batch_size")]).trials
    table = sweeps.published(trials, "batch_size").set_index(["framework", "batch_size"])
    assert len(table) == 10
    copied = table.loc[("pytorch", 128)]
    assert copied["train_s"] == table.loc[("flux", 128), "train_s"]
    assert "copy of Julia's row" in copied["note"]
    assert len(sweeps.published(trials, "num_workers")) == 8


def test_the_page_of_a_sweep(tmp_path: Path) -> None:
    save(study([*sweep("num_workers"), *sweep("batch_size")]), tmp_path)
    said = write_report(tmp_path, tmp_path / "report")
    assert said == "This study swept a setting, all else held; it searched for nothing, and so has no verdict."
    page = (tmp_path / "report" / "index.html").read_text()
    for heading in (sweep_title("num_workers"), sweep_title("batch_size"), *sweeps.SEED_COLUMNS.values()):
        assert f">{heading}</th>" in page
    assert len(list((tmp_path / "report").glob("sweep_*_s.svg"))) == 4
    assert "do not compare like with like" in page
    assert "Flux: fewer or more loader workers ran than were asked for" in page
    assert not re.search(r"\bnan\b", re.sub(r"<svg.*?</svg>|<script.*?</script>", "", page, flags=re.DOTALL))


def test_a_sweep_of_one_framework_with_nothing_reached(tmp_path: Path) -> None:
    rows = [row | {"reached": False, "warm_tta_s": None, "cold_tta_s": None} for row in sweep("batch_size", ("flux",))]
    save(study(rows), tmp_path)
    write_report(tmp_path, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    assert "0</data> of <data" in page
    assert "\u2013" in page


def test_a_setting_that_the_benchmark_did_not_sweep_has_no_published_numbers(tmp_path: Path) -> None:
    save(study(sweep("learning_rate")), tmp_path)
    write_report(tmp_path, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    assert "learning rate swept" in page
    assert "do not compare like with like" not in page
    assert "ublished" not in page
    assert not (tmp_path / "report" / "published_learning_rate.csv").exists()


def test_a_sweep_over_one_value_is_shown() -> None:
    rows = [row for row in sweep("num_workers") if row["num_workers"] == 2]
    assert sweeps.swept(study(rows).trials) == ["num_workers"]


def test_a_training_that_diverged_is_not_a_fast_one(tmp_path: Path) -> None:
    rows = sweep("batch_size")
    for row in rows:
        if row["framework"] == "flux" and row["batch_size"] == 32:
            row |= {"outcome": "diverged", "reached": False, "train_s": 0.1}
        if row["framework"] == "pytorch" and row["batch_size"] == 512 and row["train_s"] == 10.0:
            row |= {"outcome": "failed", "reached": False, "train_s": 0.2}
    records = study(rows)
    table = sweeps.seed_table(records.trials, "batch_size").set_index(["framework", "batch_size"])
    assert table.loc[("flux", 32), ["repeats", "finished"]].tolist() == [3, 0]
    assert np.isnan(table.loc[("flux", 32), "train_s"])
    row = table.loc[("pytorch", 512)]
    assert (row["finished"], row["train_s"], row["train_s_low"], row["train_s_high"]) == (2, 11.5, 11.0, 12.0)
    axes = plot(records, "batch_size").axes[0]
    crosses = [line for line in axes.get_lines() if line.get_marker() == "x" and len(line.get_xdata())]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in crosses] == [(32, 0.0)]  # type: ignore[index]
    save(records, tmp_path)
    write_report(tmp_path, tmp_path / "report")
    assert "0</data> of <data" in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.parametrize("changes", [{"workload": "fashion-lenet"}, {"max_epochs": 5}, {"workload": "mnist-resnet18"}])
def test_published_numbers_stand_only_beside_what_they_are_of(changes: dict[str, object]) -> None:
    rows = [row | changes for row in sweep("batch_size")]
    trials = study(rows).trials
    assert sweeps.published(trials, "batch_size").empty
    assert sweeps.published(study([*rows, *sweep("batch_size")]).trials, "batch_size").empty  # some of each
    (section,) = [each for each in build_page(study(rows)).sections if each.name == "sweep_batch_size"]
    assert "like with like" not in section.note
    assert "as published" not in "".join(picture.caption for picture in section.pictures)


def test_a_sweep_speaks_of_no_target_and_no_objective(tmp_path: Path) -> None:
    rows = [row | {"objective": 1_245_265.0} for row in sweep("num_workers")]
    save(study(rows), tmp_path)
    write_report(tmp_path, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    assert "time to 95" not in page
    assert "settings swept on mnist-lenet, 10 epochs each" in page
    assert "1,245,265" not in page
    assert "objective" not in (tmp_path / "report" / "trials.csv").read_text().splitlines()[0]


def test_every_column_of_a_sweeps_numbers_has_its_unit() -> None:
    page = build_page(study(sweep("batch_size")))
    (section,) = [each for each in page.sections if each.name == "sweep_batch_size"]
    for table in section.tables:
        for column in table.columns:
            said = any(each in column.heading for each in ("(", "per second", "repeats", "Repeats"))
            assert said or column.wordy, column.heading


def test_repeats_are_dots_and_bars_come_from_five_on() -> None:
    few = plot(study(sweep("batch_size")), "batch_size").axes[0]
    dots = [line for line in few.get_lines() if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in dots] == [9, 9]  # type: ignore[arg-type]
    assert sum(len(bars.get_segments()) for bars in few.collections) == 0  # type: ignore[attr-defined]
    rows = sweep("batch_size")
    more = [row | {"number": row["number"] + 100, "trial_id": f"{row['trial_id']}b"} for row in rows]  # type: ignore[operator]
    many = plot(study([*rows, *more]), "batch_size").axes[0]
    assert sum(len(bars.get_segments()) for bars in many.collections) == 6  # type: ignore[attr-defined]


def test_two_frameworks_at_one_value_hide_nothing_of_each_other() -> None:
    rows = [row | {"outcome": "diverged", "reached": False} for row in sweep("batch_size")]
    figure = plot(study(rows), "batch_size")
    figure.canvas.draw()
    crosses = [line for line in figure.axes[0].get_lines() if line.get_marker() == "x"]
    places = [line.get_transform().transform(line.get_xydata())[:, 0] for line in crosses]  # type: ignore[arg-type]
    assert (np.abs(places[0] - places[1]) > 4.0).all()  # points of 1/100 inch


def test_a_mean_squared_error_is_in_no_unit_and_no_accuracy() -> None:
    usual = sweeps.seed_columns(pd.DataFrame({"metric": ["accuracy"]}))
    assert usual == sweeps.SEED_COLUMNS
    of_loss = sweeps.seed_columns(pd.DataFrame({"metric": ["loss"]}))
    assert list(of_loss) == [key for key in usual if key != "best_training_accuracy"]
    assert not [name for name in of_loss.values() if "nats" in name or "ccuracy" in name]
