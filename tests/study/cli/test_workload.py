"""Commands that take a workload's folder: what is wrong with it is told in a line, before anything starts."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from study.cli import options, running, single
from study.cli.options import default_name, plans, value_of, workloads
from study.plan.plan import Plan
from study.store.folder import StudyFolder
from tests.study.cli.test_commands import call
from tests.study.workloads import DATA, MODEL, TOML, written
from trainables.common.errors import UserError
from trainables.common.machine import Cpus
from trainables.contract import Tried
from trainables.frameworks import Framework
from trainables.workloads.prepared import facts
from trainables.workloads.workload import find

SEARCHED = TOML + "hidden = { low = 4, high = 8 }\n"


@pytest.fixture
def drove(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Plan, StudyFolder]]:
    """The studies that were begun; none runs."""
    found: list[tuple[Plan, StudyFolder]] = []
    monkeypatch.setattr(running, "drive", lambda plan, folder, *_, **__: found.append((plan, folder)))
    monkeypatch.setattr("study.cli.readiness.check_machine", lambda *_, **__: None)
    return found


def test_a_folder_is_launched_and_the_study_is_named_after_it(
    tmp_path: Path,
    drove: list[tuple[Plan, StudyFolder]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = written(tmp_path / "my-task", toml=SEARCHED)
    monkeypatch.chdir(task)
    code, _, err = call(["launch", ".", "--frameworks", "pytorch"], capsys, monkeypatch)
    assert (code, err) == (0, "")
    ((plan, folder),) = drove
    assert (plan.workload, folder.path) == ("my-task", task / "results" / "my-task")
    assert sorted(path.name for path in (folder.copies / "my-task").iterdir()) == [
        "data.py",
        "model.py",
        "workload.toml",
    ]


BAD = {
    "no build": (MODEL.replace("def build", "def make"), "model.py has no function build"),
    "a syntax error": (MODEL.replace("def build(", "def build(("), "model.py, line 5: SyntaxError"),
    "an option that it does not take": (MODEL.replace("dropout=0.1, ", ""), "build takes no option 'dropout'"),
    "another width": (MODEL.replace("(hidden, 2)", "(hidden, 3)"), r"makes \(2, 3\), and the data ask for \(2, 2\)"),
    "another input": (MODEL.replace("Linear(4", "Linear(5"), "model.py"),
    "at an end of the search": (
        MODEL.replace("    between", "    assert hidden > 4, 'too few'\n    between"),
        r"too few.* \(with hidden = 4\)",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_model_is_refused_before_anything_starts(
    kind: str,
    tmp_path: Path,
    drove: list[tuple[Plan, StudyFolder]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, message = BAD[kind]
    written(tmp_path / "my-task", toml=SEARCHED, model=model)
    monkeypatch.chdir(tmp_path)
    code, out, err = call(["launch", "my-task", "--frameworks", "pytorch"], capsys, monkeypatch)
    assert (code, out, err.count("\n")) == (2, "", 1)
    with pytest.raises(UserError, match=message):
        raise UserError(err)
    assert str(tmp_path / "my-task" / "model.py") in err
    assert (drove, [path.name for path in tmp_path.iterdir()]) == ([], ["my-task"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["launch", "my-task", "--frameworks", "flux"], "Flux cannot train my-task: {task} has no model.jl"),
        (["launch", "my-task", "--set", "options.hiden=3"], "unknown option options.hiden; did you mean 'hidden'?"),
        (
            ["launch", "my-task", "--set", "space.all.batch_size=85"],
            "batch_size is 85, more than the 84 training samples",
        ),
        (["launch", "empty"], "empty is a folder, and no workload: it has no workload.toml"),
        (["plan", "nowhere/my-task"], "unknown plan 'nowhere/my-task', and no such file: there is no folder nowhere"),
        (["sweep", "my-task", "--over", "hiden=3,4"], "unknown --over 'hiden'; did you mean 'hidden'?"),
        (["sweep", "my-task", "--over", "hidden=3,a"], "--over hidden: choices mixes numbers, texts"),
        (["verify", "my-task"], "my-task has model.py alone: there is nothing to compare it with"),
        (["verify", "--workload", "empty"], "empty is no workload: it has no workload.toml"),
        (["doctor", "nowhere"], "unknown workload 'nowhere', and no folder of that name"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    drove: list[tuple[Plan, StudyFolder]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = written(tmp_path / "my-task")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    frameworks = [] if "--frameworks" in arguments or arguments[0] not in ("launch", "sweep") else ["simulated"]
    words = [*arguments, *(word for name in frameworks for word in ("--frameworks", name))]
    code, out, err = call(words, capsys, monkeypatch)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message.format(task=task) in err
    assert drove == []


TRAIN = ["train", "--framework", "simulated", "--learning-rate", "0.1", "--batch-size", "8", "--workload"]


def test_any_hyperparameter_of_a_single_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    training = '[training]\noptimizer = "adam"\nweight_decay = 0.01\n'
    task = written(tmp_path / "my-task", toml=TOML + training)
    more = ["--schedule", "cosine", "--warm-up", "0.1", "--option", "hidden=4", "--option", "bias=false"]
    code, out, _ = call([*TRAIN, str(task), *more, "--json"], capsys, monkeypatch)
    assert code == 0
    assert json.loads(out)["spec"]["hyperparameters"] == {
        "learning_rate": 0.1,
        "batch_size": 8,
        "num_workers": 0,
        "optimizer": "adam",  # the workload's
        "momentum": 0.9,
        "weight_decay": 0.01,
        "schedule": "cosine",
        "warm_up": 0.1,
        "options": {"hidden": 4, "dropout": 0.1, "activation": "relu", "bias": False},
    }


def test_a_single_training_to_a_loss_does_not_speak_of_accuracy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = 'loss = "mean_squared_error"\n' + TOML.replace("0.9", "0.5", 1)
    task = written(tmp_path / "my-task", toml=toml, data=DATA.replace("np.int64", "np.float32"))
    code, out, err = call([*TRAIN, str(task)], capsys, monkeypatch)
    assert (code, err) == (0, "")
    assert "validation loss 0." in out
    assert "Warm time to loss" in out
    assert "accuracy" not in out.lower()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--option", "hiden=4"], "unknown option --option hiden; did you mean 'hidden'?"),
        (["--option", "hidden=a"], "--option hidden is 'a'; it takes a number"),
        (["--option", "hidden"], "--option hidden: write name=value, as in --option hidden=64"),
        (["--schedule", "linear"], "unknown --schedule 'linear'"),
        (["--warm-up", "2"], "--warm-up is 2; it must be 1 or less"),
        (["--batch-size", "85"], "--batch-size is 85, more than the 84 training samples of my-task"),
        (["--framework", "flux"], "my-task has no model.jl"),
    ],
)
def test_a_bad_single_training_is_one_line(
    more: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Framework, "missing", lambda _: None)
    task = written(tmp_path / "my-task")
    code, out, err = call([*TRAIN, str(task), *more], capsys, monkeypatch)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_last_batch_of_one_is_refused_where_the_model_has_batch_norm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []

    def try_models(*arguments: object) -> list[Tried]:
        asked.append(arguments)
        return [Tried(alone="BatchNorm")]

    monkeypatch.setattr(Framework, "try_models", try_models)
    task = written(tmp_path / "my-task")
    code, _, err = call([*TRAIN, str(task), "--batch-size", "83"], capsys, monkeypatch)
    assert code == 2
    assert "--batch-size is 83, which leaves a last batch of 1 of 84 training samples, but the BatchNorm of Simu" in err
    asked.clear()
    spec = SimpleNamespace(framework="simulated", hyperparameters=SimpleNamespace(batch_size=42, options={}))
    workload = find(str(task))
    monkeypatch.setattr(single, "refuse_seldom", lambda *_, **__: None)
    spec.epochs, spec.evaluate_every_samples, spec.holds = 1, 1, 1
    single.refuse_impossible(spec, workload, facts(workload))  # type: ignore[arg-type]
    assert asked == []  # which takes seconds


def test_doctor_looks_at_a_workload(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "good")
    written(tmp_path / "bad", model=BAD["another width"][0])
    written(tmp_path / "worse", data="def load():\n    return {}\n")
    monkeypatch.chdir(tmp_path)
    code, out, _ = call(["doctor", "good"], capsys, monkeypatch)
    assert code == 0
    assert "data of good: 84 training samples of 4, 2 classes" in out
    assert "good in PyTorch: its model can be built" in out
    assert f"missing  good in Flux: {tmp_path / 'good'} has no model.jl" in out
    assert out.splitlines()[-1] == "`tuneoff launch good` can run here."
    code, out, _ = call(["doctor", "bad", "--json"], capsys, monkeypatch)
    assert code == 1
    assert any("the data ask for" in each["found"] for each in json.loads(out)["findings"])
    code, out, _ = call(["doctor", "worse"], capsys, monkeypatch)
    assert code == 1
    assert f"{tmp_path / 'worse' / 'data.py'}" in out


def test_a_shell_completes_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "tasks" / "my-task")
    written(tmp_path / "mnist-mine")
    (tmp_path / "more").mkdir()
    monkeypatch.chdir(tmp_path)
    assert workloads("m") == ["mnist-lenet", "mnist-resnet18", "mnist-mine"]
    assert workloads("tasks/") == ["tasks/my-task"]
    assert workloads(f"{tmp_path}/tasks/my") == [f"{tmp_path}/tasks/my-task"]
    assert workloads("nowhere/") == workloads("~/x") == []
    assert ("mnist-mine", "a workload's folder") in plans("m")
    assert [name for name, _ in plans("quick")] == ["quickstart"]


@pytest.mark.parametrize(
    ("typed", "value"),
    [("3", 3), ("0.5", 0.5), ("1e-3", 0.001), ("true", True), ("false", False), ("relu", "relu"), ("True", "True")],
)
def test_values_as_they_are_typed(typed: str, value: object) -> None:
    found = value_of(typed)
    assert (found, type(found)) == (value, type(value))


def test_studies_are_named_after_files_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.task").mkdir()
    monkeypatch.chdir(tmp_path / "my.task")
    assert options.default_name is default_name
    assert [default_name(each) for each in (".", "../my.task", f"{tmp_path}/my.task/", "mine.toml", "quickstart")] == [
        "my.task",
        "my.task",
        "my.task",
        "mine",
        "quickstart",
    ]


def test_a_single_training_takes_the_workloads_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    default = "[default]\nlearning_rate = 0.3\nbatch_size = 16\nnum_workers = 99\nhidden = 4\noptimizer = 'adam'\n"
    task = written(tmp_path / "my-task", toml=f"{TOML}\n{default}")
    train = ["train", "--framework", "simulated", "--json", "--workload"]
    monkeypatch.setattr("study.cli.single.cpus", lambda: Cpus(1, 1, ""))
    monkeypatch.setattr("study.cli.single.on_this_machine", lambda spec, *_, **__: spec)
    code, out, _ = call([*train, str(task)], capsys, monkeypatch)
    assert code == 0
    knobs = json.loads(out)["spec"]["hyperparameters"]
    assert (knobs["learning_rate"], knobs["batch_size"], knobs["num_workers"]) == (0.3, 16, 1)
    assert (knobs["options"]["hidden"], knobs["options"]["dropout"], knobs["optimizer"]) == (4, 0.1, "adam")
    more = ["--learning-rate", "0.1", "--optimizer", "sgd", "--option", "hidden=8", "--num-workers", "0"]
    code, out, _ = call([*train, str(task), *more], capsys, monkeypatch)
    knobs = json.loads(out)["spec"]["hyperparameters"]
    assert (knobs["learning_rate"], knobs["batch_size"], knobs["num_workers"]) == (0.1, 16, 0)
    assert (knobs["options"]["hidden"], knobs["optimizer"]) == (8, "sgd")
    bare = written(tmp_path / "bare")
    code, out, err = call([*train, str(bare)], capsys, monkeypatch)
    assert (code, out) == (2, "")
    assert err == "tuneoff: --learning-rate and --batch-size are missing, and bare has no [default] to say it\n"
    code, _, err = call([*train, str(bare), "--batch-size", "8"], capsys, monkeypatch)
    assert err == "tuneoff: --learning-rate is missing, and bare has no [default] to say it\n"
