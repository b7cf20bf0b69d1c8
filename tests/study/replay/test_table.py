from __future__ import annotations

import shutil
from math import exp, log
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from study.replay.finding import recording_at
from study.replay.recording import pick
from study.replay.regret import Truth, geometric
from study.replay.shelf import SHELF, shipped_tables
from study.replay.table import Setting, Table, read_table
from study.replay.training import Terms
from tests.study.replay import recorded
from trainables.common.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded.write(tmp_path_factory.mktemp("tables") / "small", rates=6, sizes=(32, 256))


@pytest.fixture(scope="module")
def table(folder: Path) -> Table:
    return read_table(folder)


def test_the_plan_has_the_terms_of_the_recording(table: Table) -> None:
    training = table.plan.training
    assert (training.target, training.holds, training.limit_s) == (recorded.TARGET, 2, recorded.LIMIT_S)
    assert table.plan.frameworks == ("pytorch",)
    assert table.training_samples == recorded.EPOCH


def test_a_drawn_configuration_is_the_nearest_by_logarithm(table: Table) -> None:
    rates = sorted(table.curves["pytorch"][256])
    between = exp(0.51 * log(rates[2]) + 0.49 * log(rates[3]))
    near = table.nearest("pytorch", {"batch_size": 256, "learning_rate": between, "num_workers": 1})
    assert near == Setting(256, rates[2], 1)
    far = table.nearest("pytorch", {"batch_size": 100, "learning_rate": 9.0, "num_workers": 7})
    assert far == Setting(256, rates[-1], 2)  # 100 is nearer to 256 than to 32, as a factor


def test_seconds_are_samples_times_what_one_costs(table: Table) -> None:
    setting = table.configurations("pytorch")[0]
    training = table.training("pytorch", setting, 0, Terms.of(table.plan))
    sample_s = 6e-5 + 4e-3 / setting.batch_size + 2e-5 * abs(setting.num_workers - 1)
    assert training.points[0].train_s == pytest.approx(recorded.CADENCE * sample_s)
    assert training.costs.resident_s == pytest.approx(3.4)
    assert training.costs.fresh_s == pytest.approx(6.0)


def test_a_process_costs_what_its_framework_s_costs_say(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "small")
    costs = pq.read_table(copy / "costs.parquet")
    pq.write_table(costs.append_column("process_s", pa.array([7.5] * len(costs))), copy / "costs.parquet")
    table = read_table(copy)
    training = table.training("pytorch", table.configurations("pytorch")[0], 0, Terms.of(table.plan))
    assert training.costs.fresh_s == pytest.approx(7.5 + 3.4)


def test_a_seed_picks_evenly_among_the_recorded_ones_and_always_the_same() -> None:
    picked = [pick(seed, 2) for seed in range(1000)]
    assert picked == [pick(seed, 2) for seed in range(1000)]
    assert 440 < sum(picked) < 560
    assert picked[:20] != [0, 1] * 10


def test_the_truth_is_a_geometric_mean_over_recorded_seeds_and_near_rates(folder: Path, table: Table) -> None:
    truth = Truth(table.plan, "pytorch", table)
    terms = Terms.of(table.plan)
    setting = table.configurations("pytorch")[5]
    values = [each.value for each in table.trainings("pytorch", setting, terms)]
    assert len(values) == 2
    # Of six rates the next is four bandwidths away: none but its own counts.
    assert truth.of(setting) == pytest.approx((values[0] * values[1]) ** 0.5)
    assert geometric([(1.0, 2.0), (3.0, 32.0)]) == pytest.approx(16.0)
    dense = read_table(recorded.write(folder.parent / "dense", rates=34, sizes=(64,)))
    near = dense.evidence("pytorch", dense.configurations("pytorch")[50], terms)
    assert len(near) > 10
    assert max(weight for weight, _ in near) == 1.0


def test_a_seed_picks_of_the_rates_beside_too(table: Table) -> None:
    terms = Terms.of(table.plan)
    rates = sorted(table.curves["pytorch"][32])
    setting = Setting(32, rates[2], 0)
    met = {table.training("pytorch", setting, seed, terms) for seed in range(100)}
    wanted = {
        training
        for rate in rates[1:4]
        for training in table.trainings("pytorch", setting._replace(learning_rate=rate), terms)
    }
    assert met == wanted
    assert len(wanted) == 6


def test_the_best_is_that_of_the_truth(table: Table) -> None:
    truth = Truth(table.plan, "pytorch", table)
    assert truth.regret(truth.best) == 0.0
    assert truth.least == min(truth.of(each) for each in table.configurations("pytorch"))


def test_settings_change_the_search_alone(folder: Path) -> None:
    plan = read_table(folder, ["search.trials=12", "race.runs=2"]).plan
    assert (plan.search.trials, plan.search.startup_trials, plan.race.runs) == (12, 4, 2)
    with pytest.raises(UserError, match=r"training.target=0.5: what was recorded cannot be changed"):
        read_table(folder, ["training.target=0.5"])
    with pytest.raises(UserError, match=r"search.trails; did you mean 'trials'"):
        read_table(folder, ["search.trails=5"])


@pytest.mark.parametrize("name", ["curves.parquet", "costs.parquet"])
def test_what_is_missing_or_damaged_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / name).write_bytes(b"PAR1 and nothing else")
    with pytest.raises(UserError, match=rf"{name} is damaged or no Parquet file"):
        read_table(copy)
    rows = pq.read_table(folder / name)
    pq.write_table(rows.drop_columns(["batch_size"]), copy / name)
    with pytest.raises(UserError, match=rf"{name} has no column batch_size"):
        read_table(copy)
    (copy / name).unlink()
    with pytest.raises(UserError, match=rf"no whole table: it has no {name}"):
        read_table(copy)


def test_a_batch_size_without_costs_is_named(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    costs = pq.read_table(folder / "costs.parquet").to_pylist()
    pq.write_table(pa.Table.from_pylist([row for row in costs if row["batch_size"] == 32]), copy / "costs.parquet")
    with pytest.raises(UserError, match=r"costs.parquet lacks batch size 256 of pytorch"):
        read_table(copy)


def test_about_must_be_toml_and_say_what_was_recorded(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "about.toml").write_text("workload = ")
    with pytest.raises(UserError, match=r"about.toml is not TOML"):
        read_table(copy)
    (copy / "about.toml").write_text('workload = "fashion-lenet"\n')
    with pytest.raises(UserError, match=r"about.toml says no target"):
        read_table(copy)


@pytest.mark.parametrize("name", shipped_tables())
def test_shipped_tables_are_whole(name: str) -> None:
    """Two seeds of every configuration; at least 200 of those of real data; none too large for a package."""
    columns = ["framework", "batch_size", "learning_rate"]
    curves = pq.read_table(SHELF / name / "curves.parquet").to_pandas()
    seeds = curves.groupby(columns, observed=True)["seed"].nunique()
    assert set(seeds) == {2}
    assert seeds.groupby("framework").size().min() >= (136 if name.startswith("digits") else 200)
    table = recording_at(name)
    assert isinstance(table, Table)
    for framework in table.plan.frameworks:
        truth = Truth(table.plan, framework, table)
        assert 0 < truth.least < table.plan.training.limit_s
    assert sum(path.stat().st_size for path in (SHELF / name).iterdir()) < 5e6


@pytest.mark.parametrize(
    ("file", "column", "value", "message"),
    [
        ("curves.parquet", "batch_size", None, "column batch_size says nothing in 1 of"),
        ("curves.parquet", "learning_rate", 0.0, "column learning_rate takes numbers, above 0, and has others"),
        ("curves.parquet", "accuracy", float("nan"), "column accuracy takes numbers, 0 or more, and has others"),
        ("curves.parquet", "samples", -1, "column samples takes whole numbers, 1 or more, and has others"),
        ("costs.parquet", "framework", None, "column framework says nothing in 1 of"),
        ("costs.parquet", "num_workers", -1, "column num_workers takes whole numbers, 0 or more, and has others"),
        ("costs.parquet", "seconds_per_sample", 0.0, "column seconds_per_sample takes numbers, above 0"),
        ("costs.parquet", "startup_s", float("inf"), "column startup_s takes numbers, 0 or more"),
    ],
)
def test_a_value_that_no_recording_has_is_named(
    folder: Path, tmp_path: Path, file: str, column: str, value: object, message: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    rows = pq.read_table(copy / file).to_pylist()
    rows[1][column] = value
    pq.write_table(pa.Table.from_pylist(rows), copy / file)
    with pytest.raises(UserError, match=f"{file}: {message}"):
        read_table(copy)


def test_columns_of_another_kind_and_empty_files_are_named(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for file, column in (("curves.parquet", "samples"), ("costs.parquet", "warm_s")):
        whole = pq.read_table(copy / file)
        texts = [{**row, column: "many"} for row in whole.to_pylist()]
        pq.write_table(pa.Table.from_pylist(texts), copy / file)
        with pytest.raises(UserError, match=f"{file}: column {column} takes"):
            read_table(copy)
        pq.write_table(whole.slice(0, 0), copy / file)
        with pytest.raises(UserError, match=f"{file} is empty"):
            read_table(copy)
        pq.write_table(whole, copy / file)
    assert read_table(copy).said == read_table(folder).said


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('cpus = "many"', "about.toml: cpus is 'many'; it takes a whole number"),
        ("space = 3", "about.toml: space is 3; it must be a table"),
        ("costs = 3", "about.toml: costs is 3; it must be a table"),
        ('costs = {process_s = "long"}', "about.toml: costs.process_s is 'long'; it takes seconds, 0 or more"),
        ("holds = 0", "about.toml: training.holds is 0"),
    ],
)
def test_what_about_says_of_costs_and_plan_must_make_sense(
    folder: Path, tmp_path: Path, said: str, message: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    needed = 'workload = "fashion-lenet"\ntarget = 0.88\nepochs = 30\nevaluate_every_samples = 5000\n'
    (copy / "about.toml").write_text(f"{needed}{said}\n")
    with pytest.raises(UserError, match=message):
        read_table(copy, ["search.trials=3"])


def test_a_wrong_setting_is_not_blamed_on_the_table(folder: Path) -> None:
    with pytest.raises(UserError, match=r"^--set: search.trials is 0; it must be 1 or more$"):
        read_table(folder, ["search.trials=0"])


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_texts_may_be_kept_as_any_writer_does(folder: Path, tmp_path: Path, kind: pa.DataType) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for file in ("curves.parquet", "costs.parquet"):
        rows = pq.read_table(folder / file)
        place = rows.column_names.index("framework")
        pq.write_table(rows.set_column(place, "framework", rows.column("framework").cast(kind)), copy / file)
    assert list(read_table(copy).curves) == ["pytorch"]
