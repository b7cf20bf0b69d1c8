"""``tuneoff new``: a folder that runs as it is, and is nobody's already; what its data.py prints. No Ray here."""

from __future__ import annotations

import filecmp
from pathlib import Path

import numpy as np
import pytest

from study.plan.files import load_plan
from tests.study.cli.test_commands import call
from trainables.contract import Hyperparameters
from trainables.spec import TrainingSpec
from trainables.training import Training, run_to_end
from trainables.workloads import prepared
from trainables.workloads.prepared import load, outputs_of
from trainables.workloads.workload import TEMPLATE, Workload, find

FILES = ["data.py", "model.jl", "model.py", "workload.toml"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prepared, "_found", {})


@pytest.fixture
def begun(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Workload:
    assert call(["new", "my-task"], capsys, monkeypatch)[0] == 0
    return find("my-task")


def test_a_folder_to_begin_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = call(["new", "deep/my-task"], capsys, monkeypatch)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "deep/my-task has a workload that runs as it is: data.py, model.jl, model.py, workload.toml",
        "  tuneoff verify deep/my-task  proves that both models are the same",
        "  tuneoff launch deep/my-task  says which trains faster at its best",
    ]
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["my-task"]
    assert filecmp.cmpfiles(TEMPLATE, tmp_path / "deep/my-task", FILES, shallow=False) == (FILES, [], [])
    assert sum(len((TEMPLATE / name).read_text().splitlines()) for name in FILES) < 80


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("there", "there is there already, and nothing is overwritten; give another name"),
        ("file", "file is there already, and nothing is overwritten; give another name"),
        ("link", "link is there already, and nothing is overwritten; give another name"),
        (".", ". is there already, and nothing is overwritten; give another name"),
        ("a b", "'a b' is no name of a workload; letters, digits, dots, dashes and underscores make one"),
        ("-x/.hidden", "'.hidden' is no name of a workload"),
        ("quickstart", "quickstart comes with tuneoff; give another name"),
        ("else/digits-lenet", "digits-lenet comes with tuneoff; give another name"),
        ("s3://bucket/x", "NAME s3://bucket/x is a URL"),
        ("file/below", "cannot write file/below (File exists)"),
    ],
)
def test_what_cannot_be_begun_is_told_and_nothing_is_touched(
    name: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = call(["new", "--", name], capsys, monkeypatch)
    assert (code, out) == (2, "")
    assert err.startswith(f"tuneoff: {told}")
    assert err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "mine"


def test_its_plan_is_complete_and_searches_options_of_the_model(begun: Workload) -> None:
    plan = load_plan("my-task", frameworks=["simulated"])
    assert set(plan.space["simulated"]) == {"learning_rate", "batch_size", "num_workers", "hidden", "dropout"}
    assert plan.options == {"hidden": 64, "dropout": 0.1}


def test_its_data_say_the_same_whenever_they_are_read(begun: Workload) -> None:
    found = load(begun)
    assert [len(part) for part in found.values()] == [3600, 1200, 1200]
    assert [np.bincount(part.targets).tolist() for part in found.values()] == [[1200] * 3, [400] * 3, [400] * 3]
    assert found["train"].features.shape == (3600, 2)
    assert outputs_of(found["train"], begun.loss) == 3
    prepared._found.clear()
    assert np.array_equal(load(begun)["train"].features, found["train"].features)


def test_it_reaches_its_target_after_several_evaluations(begun: Workload) -> None:
    spec = TrainingSpec(
        framework="pytorch",
        workload=str(begun.folder),
        hyperparameters=Hyperparameters(0.05, 32, 0, options=begun.options),
        seed=0,
        target=begun.target,
        evaluate_every_samples=begun.evaluate_every_samples,
        limit_s=1000.0,
        epochs=begun.epochs,
        device="cpu",
        threads=1,
        holds=begun.holds,
    )
    record = run_to_end(Training(spec, workload=begun))
    assert record["outcome"] == "reached"
    assert 6 <= record["evaluations"] < 2 * begun.epochs


def test_what_data_print_is_shown_when_they_fail_or_when_more_is_wanted(
    begun: Workload, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train = [
        "train",
        "--framework",
        "simulated",
        "--workload",
        "my-task",
        "--batch-size",
        "32",
        "--learning-rate",
        ".1",
    ]
    code = begun.data.read_text()
    begun.data.write_text(f"print('reading')\n{code}")
    assert call(train, capsys, monkeypatch)[::2] == (0, "")
    prepared._found.clear()  # as another process begins
    assert call([*train, "-v"], capsys, monkeypatch)[::2] == (0, "reading\n")
    begun.data.write_text(f"print('reading')\nraise OSError('no luck')\n{code}")
    failed = call(train, capsys, monkeypatch)
    assert failed[0] == 2
    assert failed[2] == f"reading\ntuneoff: {begun.data}, line 2: OSError: no luck\n"
    loud = call([*train, "-v"], capsys, monkeypatch)[2]
    assert "Traceback" in loud
    assert loud.count("reading") == 1
    assert loud.splitlines()[-1] == f"tuneoff: {begun.data}, line 2: OSError: no luck"
