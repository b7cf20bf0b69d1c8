"""A study's own copy of its workload: it is what the study trains, whatever becomes of the original."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from study.plan.files import load_plan, thaw
from study.store.folder import StudyFolder, clear, create
from study.store.frozen import (
    changed_original,
    digest_in,
    keep_copy,
    origin_in,
    refuse_edited_copy,
    workload_in,
)
from tests.study.workloads import written
from trainables.common.errors import UserError
from trainables.workloads.workload import Workload, find


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return written(tmp_path / "my-task")


@pytest.fixture
def study(tmp_path: Path, task: Path) -> StudyFolder:
    return launched(tmp_path / "study", find(str(task)))


def launched(path: Path, workload: Workload) -> StudyFolder:
    plan = load_plan(str(workload.folder), frameworks=["simulated"])
    return create(path, plan.model_copy(update={"workload": workload.name}), workload)


def test_the_copy_is_all_that_is_needed(study: StudyFolder, task: Path) -> None:
    digest = find(str(task)).digest()
    shutil.rmtree(task)
    plan = thaw(study.plan)
    copy = workload_in(study.copies, plan.workload)
    assert (copy.name, copy.folder) == ("my-task", study.copies / "my-task")
    assert copy.digest() == digest == digest_in(study.copies)
    assert copy.made is not None  # so that data.py is not asked again
    assert (copy.made.training_samples, copy.made.shape, copy.made.outputs) == (84, (4,), 2)
    assert changed_original(study.copies) is None  # one that is gone is not missed
    refuse_edited_copy(study.copies, plan.workload)


def test_a_changed_original_is_told(study: StudyFolder, task: Path) -> None:
    assert changed_original(study.copies) is None
    (task / "model.py").write_text("def build(): pass\n")
    told = f"{task} has changed since the study began; the study goes on with its own copy"
    assert changed_original(study.copies) == told
    (task / "workload.toml").write_text("target = ")
    assert changed_original(study.copies) == told
    assert "nn.Linear" in (workload_in(study.copies, "my-task").folder / "model.py").read_text()


@pytest.mark.parametrize("how", ["changed", "added", "taken away"])
def test_an_edited_copy_is_refused(study: StudyFolder, how: str) -> None:
    copy = study.copies / "my-task"
    if how == "changed":
        (copy / "model.py").write_text("def build(): pass\n")
    elif how == "added":
        (copy / "other.py").write_text("")
    else:
        (copy / "data.py").rename(copy / "data.npz")
    with pytest.raises(UserError, match="my-task is not what the study began with: a file of it was changed, added or"):
        refuse_edited_copy(study.copies, "my-task")


def test_a_study_of_before_there_were_copies_goes_on(study: StudyFolder) -> None:
    shutil.rmtree(study.copies)
    assert workload_in(study.copies, "digits-lenet") == find("digits-lenet")
    assert (origin_in(study.copies), digest_in(study.copies), changed_original(study.copies)) == (None, "", None)
    refuse_edited_copy(study.copies, "digits-lenet")


def test_a_copy_is_whole_or_not_there(study: StudyFolder, task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(UserError, match=r"cannot write .*No space left on device"):
        launched(study.path.with_name("other"), find(str(task)))
    assert not (study.path.with_name("other") / "workload").exists()
    monkeypatch.undo()
    keep_copy(find(str(task)), study.copies)  # over one that is there
    assert workload_in(study.copies, "my-task").digest() == digest_in(study.copies)
    assert sorted(path.name for path in study.path.iterdir()) == ["plan.toml", "workload"]


def test_what_a_killed_launch_has_left_is_in_nobodys_way(study: StudyFolder, task: Path) -> None:
    study.plan.unlink()  # killed after it had copied, before it had written the plan
    (study.path / ".workload.tmp" / "my-task").mkdir(parents=True)
    again = launched(study.path, find(str(task)))
    assert workload_in(again.copies, "my-task").digest() == digest_in(again.copies)
    clear(again)
    assert not again.path.exists() or list(again.path.iterdir()) == []


def test_the_same_name_with_another_workload_is_another_study(study: StudyFolder, task: Path) -> None:
    with pytest.raises(UserError, match="is a study already; "):
        launched(study.path, find(str(task)))
    (task / "model.py").write_text((task / "model.py").read_text() + "# other\n")
    with pytest.raises(UserError, match="is a study already, of my-task as it was before it was changed; "):
        launched(study.path, find(str(task)))


def test_a_studys_plan_can_be_launched_again_from_its_copy(study: StudyFolder, task: Path) -> None:
    shutil.rmtree(task)
    plan = load_plan(str(study.plan))
    assert find(plan.workload).name == "my-task"
    assert Path(plan.workload) == study.copies / "my-task"
