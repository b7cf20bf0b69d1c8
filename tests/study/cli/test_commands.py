"""Bad input: one clear line on stderr, exit code 2, nothing left behind. No Ray in this file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from study.cli import commands as cli
from study.plan.files import load_plan
from study.signals import Listener
from study.store.folder import create
from trainables.common.machine import Cpus
from trainables.simulated.backend import SimulatedRun


def call(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["tuneoff", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capsys.readouterr()
    code = stopped.value.code
    return (code if isinstance(code, int) else 0), out, err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["launch", "quikstart"], "unknown plan 'quikstart'"),
        (["launch"], "PLAN is missing"),
        (["launch", "quickstart", "--set", "search.trials", "5"], "'5' is more than this command takes"),
        (["launch", "quickstart", "--framework", "pytorch"], "unknown option --framework; did you mean --frameworks?"),
        (["launch", "quickstart", "--name"], "--name needs a value"),
        (["launch", "quickstart", "--allow-mixed=yes"], "--allow-mixed takes no value"),
        (["sweep", "digits-lenet", "--over", "batch_size=1,2", "--repeats", "x"], "--repeats is 'x'; it takes a whole"),
        (["report", "x", "--gpu-hour", "free"], "--gpu-hour is 'free'; it takes a number"),
        (["compare", "a", "b", "--by", "studies"], "unknown --by 'studies'; did you mean 'study'? valid: framework, "),
        (["lunch"], "unknown command 'lunch'; did you mean 'launch'? valid: plan, launch, "),
        (["cluster"], "name a command: slurm, kubernetes, local"),
        (["launch", "quickstart", "--nme", "x"], "--nme"),
        (["launch", "quickstart", "--frameworks", "pytroch"], "did you mean 'pytorch'"),
        (["launch", "quickstart", "--set", "search.trials=0"], "search.trials is 0"),
        (["launch", "quickstart", "--set", "slice.cpus=4096"], "slice.cpus is 4096, but this machine has"),
        (["launch", "quickstart", "--set", "slice.gpus=64"], "slice.gpus is 64, but PyTorch sees no GPU"),
        (["launch", "quickstart", "--out", "/proc/x"], "cannot write /proc/x/quickstart"),
        (["launch", "mnist-lenet", "--data-dir", "."], "has no train-images-idx3-ubyte"),
        (["launch", "quickstart", "--address", "127.0.0.1:1"], "no Ray cluster at 127.0.0.1:1"),
        (["resume", "nowhere"], "no folder nowhere"),
        (["status", "."], "is not a study's folder"),
        (["report", "."], "is not a study's folder"),
        (["confirm", "."], "is not a study's folder"),
        (["train", "--framework", "pytorch"], "--workload is missing"),
        (["train", "--batch-size", "8"], "--framework and --workload are missing"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(arguments, capsys, monkeypatch)
    assert code == 2
    assert out == "" or arguments[-2] == "--address"  # where the study was about to begin, and said so
    assert err.count("\n") == 1
    assert err.startswith("tuneoff: ")
    assert message in err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


TRAIN = ["train", "--framework", "simulated", "--workload", "digits-lenet", "--batch-size", "32"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--learning-rate", "abc"], "--learning-rate"),
        (["--learning-rate", "0"], "--learning-rate is 0; it must lie between 1e-12 and 1000"),
        (["--learning-rate", "0.1", "--optimizer", "adma"], "did you mean 'adam'"),
        (["--learning-rate", "0.1", "--device", "gpu"], "unknown --device 'gpu'; did you mean 'cuda'?"),
        (["--learning-rate", "0.1", "--workload", "digits"], "did you mean 'digits-lenet'"),
        (["--learning-rate", "0.1", "--batch-size", "0"], "--batch-size"),
        (["--learning-rate", "0.1", "--batch-size", "1080"], "--batch-size is 1080, more than the 1079 training"),
        (["--learning-rate", "0.1", "--target", "1.5"], "--target is 1.5; it must be 1 or less: 0.015 is 1.5 %"),
        (["--learning-rate", "0.1", "--target", "94"], "--target is 94; it must be 1 or less: 0.94 is 94 %"),
        (["--learning-rate", "0.1", "--target", "0"], "--target is 0; it must be more than 0"),
        (["--learning-rate", "0.1", "--target", "nan"], "--target is nan; it takes a finite number"),
        (["--learning-rate", "inf"], "--learning-rate is inf"),
        (["--learning-rate", "nan"], "--learning-rate is nan; it must lie between 1e-12 and 1000"),
        (["--learning-rate", "0.1", "--momentum", "1"], "--momentum is 1"),
        (["--learning-rate", "0.1", "--weight-decay", "inf"], "--weight-decay is inf"),
        (["--learning-rate", "0.1", "--weight-decay", "nan"], "--weight-decay is nan; it takes a finite number"),
        (
            ["--learning-rate", "0.1", "--seed", "4294967296"],
            "--seed is 4294967296; it must be less than 2147483648",
        ),
        (["--learning-rate", "0.1", "--seed", "-1"], "--seed is -1; it must be 0 or more"),
        (["--learning-rate", "0.1", "--seed", "2147483648"], "--seed is 2147483648; it must be less"),
        (["--learning-rate", "5000"], "--learning-rate is 5000; it must lie between 1e-12 and 1000"),
        (["--learning-rate", "-0.1"], "--learning-rate is -0.1; it must lie"),
        (["--learning-rate", "0.1", "--momentum", "-0.5"], "--momentum is -0.5; it must be 0 or more"),
        (["--learning-rate", "0.1", "--epochs", "0"], "--epochs is 0; it must be 1 or more"),
        (["--learning-rate", "0.1", "--threads", "0"], "--threads is 0, but "),
        (["--learning-rate", "0.1", "--threads", "4096"], "--threads is 4096, but "),
        (["--learning-rate", "0.1", "--num-workers", "1000"], "--num-workers is 1000; it must lie between 0 and "),
        (["--learning-rate", "0.1", "--num-workers", "-1"], "--num-workers is -1; it must lie between 0 and "),
        (["--learning-rate", "0.1", "--batch-size", "4294967296"], "--batch-size is 4294967296; it must lie between 1"),
        (["--learning-rate", "0.1", "--precision", "bf61"], "unknown --precision 'bf61'; did you mean 'bf16'"),
        (["--learning-rate", "0.1", "--memory-format", "channel_last"], "did you mean 'channels_last'"),
        (
            ["--learning-rate", "0.1", "--data-on-device", "--num-workers", "2"],
            "--data-on-device is true, but --num-workers is up to 2: no loader runs where "
            "the training split lies on the device; --num-workers 0",
        ),
    ],
)
def test_bad_training_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = call([*TRAIN, *arguments], capsys, monkeypatch)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("value cannot be converted\nto float without overflow"), "value cannot be converted to float"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory."), "memory.; try a smaller --batch-size"),
        (KeyError("layer1"), "KeyError: 'layer1'"),
        (MemoryError(), "MemoryError: ; try a smaller --batch-size"),
    ],
)
def test_what_a_framework_raises_is_one_line(
    error: Exception, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(SimulatedRun, "train", fails)
    monkeypatch.setattr(SimulatedRun, "close", fails)
    code, out, err = call([*TRAIN, "--learning-rate", "0.1", "--json"], capsys, monkeypatch)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("tuneoff: Simulated failed: ")
    assert message in err


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Handlers as before, afterwards: a command that was ended keeps its own, and its watch, to the process's end."""
    monkeypatch.setattr(Listener, "_listen", lambda *_: None)
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("sent", "name", "code"),
    [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143), (signal.SIGHUP, "SIGHUP", 129)],
)
def test_a_signal_in_train_is_a_line_and_a_second_one_changes_nothing(
    sent: signal.Signals,
    name: str,
    code: int,
    signals: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[int] = []

    def close(_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        closed.append(1)

    def train(*_: object) -> None:
        os.kill(os.getpid(), sent)
        time.sleep(10)  # which ends it, if another thread got it

    monkeypatch.setattr(SimulatedRun, "train", train)
    monkeypatch.setattr(SimulatedRun, "close", close)
    found = call([*TRAIN, "--learning-rate", "0.1"], capsys, monkeypatch)
    assert found == (code, "", f"tuneoff: ended by {name}\n")
    assert closed == [1]


def test_a_side_of_verify_that_dies_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object, **__: object) -> None:
        raise RuntimeError("the flux side failed: ERROR: no")

    monkeypatch.setattr("study.cli.verifying.verify_workload", dies)
    monkeypatch.setattr("study.cli.training.check_available", lambda _: None)
    code, out, err = call(["verify", "--workload", "digits-lenet"], capsys, monkeypatch)
    assert (code, out) == (1, "")
    assert err == "tuneoff: digits-lenet could not be verified: the flux side failed: ERROR: no\n"


def test_train_prints_the_ledger_and_the_seed_benchmarks_five_figures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = call([*TRAIN, "--learning-rate", "0.1", "--epochs", "3"], capsys, monkeypatch)
    assert code == 0
    for line in (
        "Warm time to accuracy",
        "Cold time to accuracy",
        "Best Training Accuracy",
        "Total Data Loading Time",
        "Total Epoch Training Time",
        "Total Training Function Time",
        "Average Training Loss",
        "epoch   3",
    ):
        assert line in out


def test_train_tells_of_loader_workers_that_cannot_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SimulatedRun, "loader_workers", lambda _: 1)
    monkeypatch.setattr("study.cli.single.cpus", lambda: Cpus(4, 4))
    arguments = ["--learning-rate", "0.1", "--num-workers", "3", "--threads", "1", "--json"]
    code, out, err = call([*TRAIN, *arguments], capsys, monkeypatch)
    assert (code, err) == (0, "tuneoff: loader workers: 3 were asked for, and 1 can run with 1 CPU\n")
    assert json.loads(out)["loader_workers"] == 1


def test_train_tells_of_them_before_it_trains(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(SimulatedRun, "loader_workers", lambda _: 1)
    monkeypatch.setattr(SimulatedRun, "train", fail)
    monkeypatch.setattr("study.cli.single.cpus", lambda: Cpus(4, 4))
    arguments = ["--learning-rate", "0.1", "--num-workers", "2", "--threads", "1"]
    code, _, err = call([*TRAIN, *arguments], capsys, monkeypatch)
    assert code == 1
    assert err.startswith(
        "tuneoff: loader workers: 2 were asked for, and 1 can run with 1 CPU\ntuneoff: Simulated failed: RuntimeError"
    )


def test_train_as_json_is_json_and_repeatable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["train", "--framework", "pytorch", "--workload", "digits-lenet", "--learning-rate", "0.05"]
    arguments += ["--batch-size", "64", "--epochs", "2", "--seed", "3", "--threads", "1", "--json"]
    results = []
    for workers in ("0", "1"):
        code, out, _ = call([*arguments, "--num-workers", workers], capsys, monkeypatch)
        assert code == 0
        results.append(json.loads(out))
    for figure in ("train_loss", "validation_accuracy"):
        in_line, one_worker = ([each[figure] for each in result["curve"]] for result in results)
        assert in_line == pytest.approx(one_worker, rel=1e-9)
    assert [result["loader_workers"] for result in results] == [0, 1]
    assert results[0]["epochs"] == 2


def test_status_of_a_study_that_never_ran(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    create(tmp_path / "s", load_plan("quickstart", frameworks=["simulated"]))
    code, out, _ = call(["status", str(tmp_path / "s"), "--json"], capsys, monkeypatch)
    state = json.loads(out)
    assert code == 0
    assert (state["running"], state["done"], state["report"]) == (False, False, None)
    assert state["frameworks"]["simulated"]["trials"] == 0
    code, _, err = call(["report", str(tmp_path / "s")], capsys, monkeypatch)
    assert code == 2
    assert "has no trials yet" in err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = call([], capsys, monkeypatch)
    assert code == 0
    for command in ("launch", "resume", "status", "confirm", "report", "doctor", "train"):
        assert command in out


def test_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = call(["doctor", "--json"], capsys, monkeypatch)
    answer = json.loads(out)
    found = {each["item"]: each for each in answer["findings"]}
    assert code == (0 if answer["ok"] else 1)
    assert found["PyTorch"]["state"] == "ok"
    assert found["data set digits"]["state"] == "ok"
    assert found["plan quickstart"]["needed"]
    assert all(each["todo"] for each in answer["findings"] if each["state"] != "ok")
    assert all(each["state"] == "ok" for each in answer["findings"] if each["needed"]) == answer["ok"]


def test_the_installed_command_runs() -> None:
    command = Path(sys.executable).with_name("tuneoff")
    answer = subprocess.run([command, "launch", "quikstart"], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--target", "0.5"], "reached the target"), (["--epochs", "1"], "out of epochs")],
)
def test_how_a_training_ended_is_said_in_words(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = call([*TRAIN, "--learning-rate", "0.1", *arguments], capsys, monkeypatch)
    assert code == 0
    assert f"│ {said} " in out
