"""A workload's folder: what it says, what belongs to it, and what is said of one that is none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trainables.common.errors import UserError
from trainables.contract import Hyperparameters
from trainables.workloads.toml import File, Made
from trainables.workloads.workload import HOLDS, SHIPPED, find, read, shipped

BASE = "target = 0.9\nevaluate_every_samples = 50\nlimit_s = 5\nepochs = 5\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "workload.toml").write_text(BASE)
    (folder / "data.py").write_text("def load(): ...\n")
    (folder / "model.py").write_text("def build(): ...\n")
    return folder


def refused(folder: Path, text: str | None = None) -> str:
    if text is not None:
        (folder / "workload.toml").write_text(text)
    with pytest.raises(UserError) as problem:
        read(folder)
    assert "\n" not in str(problem.value)
    return str(problem.value).replace(f"{folder}/", "").replace(str(folder), "FOLDER")


def test_a_folder_with_the_least(folder: Path) -> None:
    found = read(folder)
    assert (found.name, found.metric, found.target, found.limit_s, found.holds) == ("own", "accuracy", 0.9, 5.0, HOLDS)
    assert found.data == folder / "data.py"
    assert dict(found.models) == {"python": folder / "model.py"}
    assert found.options == found.training == found.space == {}
    assert found.made is None


def test_a_folder_with_everything(folder: Path) -> None:
    (folder / "nets").mkdir()
    for name in ("nets/small.py", "nets/small.jl", "set.npz"):
        (folder / name).touch()
    (folder / "workload.toml").write_text(
        'name = "mine-2"\ndata = "set.npz"\nloss = "mean_squared_error"\nholds = 1\n'
        + BASE.replace("0.9", "12")
        + '[models]\npython = "nets/small.py"\njulia = "nets/small.jl"\n'
        '[options]\nhidden = 3\ndropout = 0.5\nbias = true\nkind = "a"\n'
        '[training]\noptimizer = "adam"\n'
        "[space.all]\nhidden = { low = 1, high = 3 }\n"
        '[made]\narrays = "x"\ntraining_samples = 3\nshape = [3, 4]\noutputs = 2\n'
    )
    found = read(folder)
    assert (found.name, found.metric, found.target, found.holds) == ("mine-2", "loss", 12.0, 1)
    assert found.data == folder / "set.npz"
    assert dict(found.models) == {"python": folder / "nets/small.py", "julia": folder / "nets/small.jl"}
    assert {name: type(value) for name, value in found.options.items()} == {
        "hidden": int, "dropout": float, "bias": bool, "kind": str
    }  # fmt: skip
    assert found.training == {"optimizer": "adam"}
    assert found.space == {"all": {"hidden": {"low": 1, "high": 3}}}
    assert found.made == Made(arrays="x", training_samples=3, shape=(3, 4), outputs=2)


WRONG = {
    f"{BASE}taget = 1\n": "workload.toml, line 5: unknown key taget; did you mean 'target'? valid: name, data, loss, t",
    BASE.replace("target", "#"): "workload.toml: target is missing",
    "": "workload.toml: target is missing",
    "x =\n": "workload.toml is not TOML: Invalid value (at line 1, column 4)",
    BASE.replace(
        "0.9", "94"
    ): "workload.toml, line 1: target is 94; an accuracy is a fraction above 0, and 1 at most; 94 %",
    BASE.replace("0.9", "0"): "workload.toml, line 1: target is 0; an accuracy is a fraction above 0",
    BASE.replace("0.9", "nan"): "workload.toml, line 1: target is nan; it takes a finite number",
    f'loss = "mean_squared_error"\n{BASE.replace("0.9", "-1")}': "workload.toml, line 2: target is -1; a loss to reach",
    f'loss = "cross-entropy"\n{BASE}': "workload.toml, line 1: loss is 'cross-entropy'; did you mean 'cross_entropy'?",
    BASE.replace("epochs = 5", 'epochs = "5"'): "workload.toml, line 4: epochs is '5'; it takes a whole number",
    BASE.replace("epochs = 5", "epochs = true"): "workload.toml, line 4: epochs is True; it takes a whole number",
    BASE.replace("epochs = 5", "epochs = 0"): "workload.toml, line 4: epochs is 0; it must be 1 or more",
    BASE.replace("limit_s = 5", "limit_s = -1"): "workload.toml, line 3: limit_s is -1; it must be more than 0",
    f"name = 3\n{BASE}": "workload.toml, line 1: name is 3; it takes a text",
    f'name = "a b"\n{BASE}': "workload.toml, line 1: name is 'a b'; letters, digits, dots, dashes and underscores make",
    f"{BASE}options = 3\n": "workload.toml, line 5: options is 3; it must be a table, as in [options]",
    f"{BASE}[options]\nbatch_size = 3\n": "workload.toml, line 6: options.batch_size has the name of a hyperparameter;",
    f"{BASE}[options]\nlambda = 3\n": "workload.toml, line 6: options.lambda is a word of Python's own; give the optio",
    f"{BASE}[options]\nend = 3\n": "workload.toml, line 6: options.end is a word of Julia's own; give the option anoth",
    f'{BASE}[options]\n"a-b" = 3\n': "workload.toml, line 6: options.a-b is no name of an argument; letters, digits an",
    f"{BASE}[options]\nwidths = [3]\n": "workload.toml, line 6: options.widths: it is [3]; write a number, a text, tru",
    f"{BASE}[options]\nx = inf\n": "workload.toml, line 6: options.x: it is inf; write a number, a text, true or false",
    f"{BASE}[training]\nmomentun = 0.5\n": "workload.toml, line 6: unknown key training.momentun; did you mean 'moment",
    f"{BASE}[training]\nepochs = 3\n": "workload.toml, line 6: training.epochs is a key of its own; write it above the",
    f"{BASE}[space]\nlearning_rate = 0.1\n": "workload.toml, line 6: space.learning_rate is 0.1; it must be a table, a",
    f"{BASE}[space.learning_rate]\nlow = 1\n": "workload.toml, line 5: space.learning_rate is in no table of a framewo",
    f"{BASE}[made]\narays = 1\n": "workload.toml, line 6: unknown key made.arays; did you mean 'arrays'? valid: arrays",
    f"{BASE}[models]\npyton = 'model.py'\n": "workload.toml, line 6: unknown key models.pyton; did you mean 'python'?",
    f"{BASE}[models]\npython = 'net.py'\n": "workload.toml, line 5: models.python is net.py, and there is no such file",
    f"{BASE}[models]\njulia = 'model.py'\n": "workload.toml, line 5: models.julia is model.py; its name must end in .j",
    f"{BASE}[models]\npython = '../a.py'\n": "workload.toml, line 5: models.python is ../a.py, outside of FOLDER; put",
    f"data = '/etc/passwd'\n{BASE}": "workload.toml, line 1: data is /etc/passwd, outside of FOLDER; put it, or a link",
    f"data = 'model.py.txt'\n{BASE}": "workload.toml, line 1: data is model.py.txt, and there is no such file",
    f"data = 'workload.toml'\n{BASE}": "workload.toml, line 1: data is workload.toml; name a .py, an .npz or a folder",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_with_its_line(folder: Path, text: str) -> None:
    assert refused(folder, text).startswith(WRONG[text])


def test_what_is_missing_is_told(folder: Path) -> None:
    (folder / "data.py").unlink()
    assert (
        refused(folder) == "FOLDER has no data: write data.py with a function load(), or a data.npz, or a folder data"
    )
    (folder / "data").mkdir()
    (folder / "model.py").unlink()
    assert refused(folder) == "FOLDER has no model: write model.py or model.jl with a function build"
    (folder / "workload.toml").unlink()
    assert refused(folder) == "FOLDER is no workload: it has no workload.toml; `tuneoff new NAME` writes one"


def test_every_key_says_what_it_means() -> None:
    assert all(each.description for model in (File, Made) for each in model.model_fields.values())


def test_every_hyperparameter_is_refused_as_an_option(folder: Path) -> None:
    for name in Hyperparameters.__dataclass_fields__.keys() - {"options"}:
        assert "has the name of a hyperparameter" in refused(folder, f"{BASE}[options]\n{name} = 1\n")


def test_what_belongs_to_a_workload_is_copied_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    (folder / "helping" / "deep").mkdir(parents=True)
    (folder / "helping" / "deep" / "a.py").write_text("a = 1\n")
    digest = read(folder).digest()
    for name in ("__pycache__/x.pyc", ".git/HEAD", ".hidden", "results/own/plan.toml", "tried/plan.toml", "tried/a/b"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    copied = read(folder).copy_to(tmp_path / "copy" / "own")
    assert copied.digest() == read(folder).digest() == digest
    assert {str(path.relative_to(copied.folder)) for path in copied.files()} == {
        "data.py", "model.py", "workload.toml", "helping/deep/a.py"
    }  # fmt: skip
    assert {str(path.relative_to(copied.folder)) for path in copied.folder.rglob("*") if path.is_file()} == {
        str(path.relative_to(copied.folder)) for path in copied.files()
    }
    assert copied.models == {"python": tmp_path / "copy/own/model.py"}


@pytest.mark.parametrize("change", ["bytes", "name", "file"])
def test_the_digest_tells_changes(folder: Path, change: str) -> None:
    before = read(folder).digest()
    if change == "bytes":
        (folder / "model.py").write_text("def build(): ....\n")
    elif change == "name":
        (folder / "model.py").rename(folder / "other.py")
        (folder / "model.jl").touch()
        before = read(folder).digest()
        (folder / "other.py").rename(folder / "another.py")
    else:
        (folder / "more.py").touch()
    assert read(folder).digest() != before


def test_a_linked_file_is_copied_and_a_linked_folder_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "data.py").unlink()
    (tmp_path / "big.npz").write_bytes(b"x" * 100)
    (folder / "data.npz").symlink_to(tmp_path / "big.npz")
    copied = read(folder).copy_to(tmp_path / "copy" / "own")
    assert copied.data.read_bytes() == b"x" * 100
    assert not copied.data.is_symlink()
    (folder / "data.npz").unlink()
    (tmp_path / "arrays").mkdir()
    (folder / "data").symlink_to(tmp_path / "arrays")
    assert "data is data, outside of FOLDER; put it, or a link's target, inside" in refused(folder)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("digits-lenett", "unknown workload 'digits-lenett', and no folder of that name; did you mean 'digits-lenet'?"),
        ("nowhere/task", "there is no folder nowhere/task; `tuneoff new NAME` writes a workload to begin with"),
        ("s3://bucket/task", "the workload s3://bucket/task is a URL"),
        ("~no-such-user/task", "there is no folder ~no-such-user/task"),
        ("", "the workload is empty; give a path"),
    ],
)
def test_what_is_no_workload_is_told(given: str, told: str) -> None:
    with pytest.raises(UserError, match=re.escape(told)):
        find(given)


def test_shipped_workloads_are_folders_as_any(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "digits-lenet").mkdir()  # a name comes before a folder
    monkeypatch.chdir(tmp_path)
    assert shipped()[0] == "digits-lenet"
    for name in shipped():
        found = find(name)
        assert (found.name, found.folder) == (name, SHIPPED / name)
        assert set(found.models) == {"python", "julia"}
        assert found.made is not None
        assert find(str(found.folder)) == found


def test_a_folder_with_the_name_of_one_that_is_shipped_is_refused_where_a_user_names_it(folder: Path) -> None:
    (folder / "workload.toml").write_text(f'name = "mnist-lenet"\n{BASE}')
    with pytest.raises(UserError, match=r"own is called as one that comes with tuneoff; give it a name of its own"):
        find(str(folder))
    assert read(folder).name == "mnist-lenet"  # a study's copy


@pytest.mark.parametrize("name", ["my task", "ünï", "-x"])
def test_a_folder_whose_name_is_none_for_a_plan_needs_another(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "data.py").touch()
    (folder / "model.py").touch()
    (folder / "workload.toml").write_text(BASE)
    with pytest.raises(UserError) as error:
        read(folder)
    assert str(error.value).startswith(
        f'{folder}/workload.toml: the folder\'s name, {name}, is none for a plan; write another, as in name = "mine": '
    )
    (folder / "workload.toml").write_text(f'name = "mine"\n{BASE}')
    assert read(folder).name == "mine"
