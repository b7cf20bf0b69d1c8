"""One training outside a study: its spec, from what was typed on the command line, and what is printed of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

from rich.console import Console
from rich.table import Table

from search_spaces import ALWAYS
from study.cli.flags import said_in_flags
from study.cli.groups import Training
from study.cli.readiness import refuse
from study.plan.checks import OF_A_SLICE
from study.plan.completing import SEARCHED, complete, told
from study.plan.possible import BatchSizes, refuse_large, refuse_lonely, refuse_seldom
from study.scores import scored
from trainables.common.errors import UserError
from trainables.common.machine import cpus
from trainables.common.suggest import nearest
from trainables.contract import Device, Loading, MemoryFormat, Optimizer, Precision, Schedule
from trainables.frameworks import framework as find_framework
from trainables.spec import TrainingSpec
from trainables.training import Evaluation, Outcome
from trainables.workloads.weights import WeightsServer
from trainables.workloads.workload import Made, Workload

NO_LIMIT_S = 1e9
_OF_A_PLAN = (*SEARCHED, "epochs", "target", "precision", "memory_format", "data_on_device")  # keys of its [training]
_WORDS: dict[str, tuple[str, ...]] = {
    "optimizer": get_args(Optimizer),
    "schedule": get_args(Schedule),
    "device": ("auto", *get_args(Device)),
    "precision": get_args(Precision),
    "memory_format": get_args(MemoryFormat),
}
FLAGS = {
    **{f"space.all.{name}": f"--{name.replace('_', '-')}" for name in ALWAYS},
    "--set training.data_on_device=false": "leave --data-on-device out",
    **{f"training.{name}": f"--{name.replace('_', '-')}" for name in _OF_A_PLAN},
    "seed": "--seed",
    OF_A_SLICE: "the CPUs here",
}
OUTCOMES: dict[Outcome, str] = {
    "reached": "reached the target",
    "out_of_time": "out of time",
    "out_of_epochs": "out of epochs",
    "diverged": "diverged",
    "capped": "capped",  # by a search alone
}
_TOLD_CHARACTERS = 400
# One of these is there where a driver of NVIDIA, on Linux or under Windows, or of AMD is.
_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def single_spec(asked: Training, workload: Workload) -> TrainingSpec:
    """Complete what was typed from the workload's default configuration, and from what else it says.

    With ``epochs`` and no ``target`` the training goes on for that many epochs, past the workload's target.

    Raises
    ------
    UserError
        Unknown name, a framework that is not installed, or what is impossible.
    """
    if problem := find_framework(asked.framework).missing():
        raise UserError(problem)
    for name, valid in _WORDS.items():
        value = getattr(asked, name)
        if value is not None and value not in valid:
            raise UserError(f"unknown --{name.replace('_', '-')} '{value}'{nearest(value, valid)}")
    ours, threads = cpus(), asked.threads
    if threads is not None and not 1 <= threads <= ours.usable:
        raise UserError(f"--threads is {threads}, but {ours.told}; use --threads {ours.usable} or fewer, from 1 on")
    usual = {**workload.default, "num_workers": min(int(workload.default.get("num_workers", 0)), ours.usable)}
    typed = {name: getattr(asked, name) for name in ALWAYS}
    point: dict[str, Any] = {name: usual.get(name) if value is None else value for name, value in typed.items()}
    if lacking := [f"--{name.replace('_', '-')}" for name, value in point.items() if value is None]:
        verb = "is" if len(lacking) == 1 else "are"
        raise UserError(f"{' and '.join(lacking)} {verb} missing, and {workload.name} has no [default] to say it")
    given = {name: usual[name] for name in SEARCHED if name in usual}
    chosen = {name: getattr(asked, name) for name in _OF_A_PLAN}  # 0 is a choice, though it equals False
    given |= {name: value for name, value in chosen.items() if value is not None and value is not False}
    options = {**{name: usual[name] for name in workload.options if name in usual}, **asked.options()}
    flags = {**FLAGS, **{f"options.{name}": f"--option {name}" for name in options}}
    with said_in_flags(flags):  # what a plan refuses is refused here, by the plan's own checks
        plan = complete(
            {
                "workload": told(workload),
                "frameworks": [asked.framework],
                "seed": asked.seed,
                "slice": {"cpus": ours.usable},
                "training": given,
                "options": options,
                "space": {"all": point},
            },
            "",
        )
    spec = plan.spec(asked.framework, point, seed=asked.seed, test_score=True, training_score=True)
    return replace(
        spec,
        limit_s=spec.limit_s if asked.epochs is None else NO_LIMIT_S,
        device="cuda" if asked.device == "cuda" else "cpu",  # `on_this_machine` knows better
        threads=threads or ours.usable,
        stop_at_target=asked.epochs is None or asked.target is not None,
    )


def refuse_impossible(spec: TrainingSpec, workload: Workload, made: Made) -> None:
    """Refuse what the data or the model make impossible; `UserError` naming the option."""
    samples, size = made.training_samples, spec.hyperparameters.batch_size
    sizes: BatchSizes = {"--batch-size": size}
    refuse_large(sizes, samples, workload=workload.name)
    if size == 1 or samples % size == 1:
        asked = find_framework(spec.framework)
        for tried in asked.try_models(workload, [spec.hyperparameters.options], made):
            if tried.alone:
                refuse_lonely(sizes, samples, why=f"the {tried.alone} of {asked.title}'s model")
    with said_in_flags(FLAGS):
        refuse_seldom(samples, epochs=spec.epochs, evaluate_every_samples=spec.evaluate_every_samples, holds=spec.holds)


@contextmanager
def drawn_in_pytorch(spec: TrainingSpec, workload: Workload) -> Iterator[Path | None]:
    """A file with the initial parameters, drawn as a study has them drawn for all frameworks, while the block runs.

    None where the framework builds that very model, or where there is none in PyTorch: it draws them itself then.

    Raises
    ------
    RuntimeError
        When the model's file fails.
    """
    model, language = workload.models.get("python"), find_framework(spec.framework).language
    if model is None or language in (None, "python"):
        yield None
        return
    with TemporaryDirectory(prefix="tuneoff-") as folder:
        path = Path(folder) / "weights.npz"
        with WeightsServer(model) as server:
            server.draw(path, options=spec.hyperparameters.options, seed=spec.seed)
        yield path


def on_this_machine(spec: TrainingSpec, device: str, *, made: Made) -> TrainingSpec:
    """The training on the device that its framework can use, its loader workers tried; seconds, where there is a doubt.

    Parameters
    ----------
    spec
        The training, on any device.
    device
        What ``--device`` says.
    made
        What the data come to.

    Raises
    ------
    UserError
        When the device is not there, or loader workers would fail.
    """
    knobs = spec.hyperparameters
    looks_for_gpu = device == "cuda" or (device == "auto" and _may_have_gpu())
    if not looks_for_gpu and knobs.num_workers == 0:
        return replace(spec, device="cpu")
    loadings = [Loading(knobs.batch_size, knobs.num_workers, shape=made.shape)] if knobs.num_workers else []
    used = find_framework(spec.framework)
    found = used.examine(device="cuda" if looks_for_gpu else "cpu", loadings=loadings)
    if device == "cuda" and not found.devices and not found.broken:
        raise UserError(f"--device is cuda, but {used.title} sees {found.gpus} here; use --device cpu")
    refuse(used, found)
    return replace(spec, device="cuda" if looks_for_gpu and found.devices else "cpu")


def _may_have_gpu() -> bool:
    """Whether anything here looks like the driver of a GPU; asking a framework takes seconds."""
    return shutil.which("nvidia-smi") is not None or any(Path(each).exists() for each in _DRIVERS)


def failure(spec: TrainingSpec, error: Exception, workload: Workload) -> str:
    """What a framework raised, for one line.

    Raises
    ------
    UserError
        With that line, where a file of the workload is to blame.
    """
    if isinstance(error, RuntimeError) and any(str(error).startswith(str(each)) for each in workload.models.values()):
        raise UserError(" ".join(str(error).split()))
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:_TOLD_CHARACTERS]}"
    todo = "; try a smaller --batch-size" if "memory" in said.lower() else ""
    return f"{find_framework(spec.framework).title} failed: {said}{todo}"


def evaluation_line(evaluation: Evaluation) -> str:
    """One evaluation in a line."""
    loss = "not finite" if evaluation.train_loss is None else f"{evaluation.train_loss:.4f}"
    score = scored(evaluation.validation_accuracy, evaluation.validation_loss, digits=2)
    score = score if evaluation.validation_accuracy is None else f"accuracy {score}"
    return (
        f"epoch {evaluation.epoch:3d}  samples {evaluation.samples:8d}  train {evaluation.train_s:8.2f} s  "
        f"loss {loss}  validation {score}"
    )


def print_result(result: dict[str, Any], console: Console) -> None:
    """A finished training as a table."""

    def seconds(value: float | None) -> str:
        return "not reached" if value is None else f"{value:.3f} s"

    by_accuracy = result["test_accuracy"] is not None
    goal = "accuracy" if by_accuracy else "loss"
    tested = scored(result["test_accuracy"], result["test_loss"], digits=2).removeprefix("loss ")
    rows = [
        ("Outcome", OUTCOMES[result["outcome"]]),
        (f"Warm time to {goal}", seconds(result["warm_tta_s"])),
        (f"Cold time to {goal}", seconds(result["cold_tta_s"])),
        (f"Test {goal}", tested),
        ("Loader workers that ran", result["loader_workers"]),
        ("Start-up", seconds(result["startup_s"])),
        ("Compilation (warm-up)", seconds(result["compile_s"])),
        ("Training", seconds(result["train_s"])),
        ("of it waiting for data", seconds(result["data_s"])),
        ("Evaluation", seconds(result["eval_s"])),
        *_best_on_training(result, by_accuracy=by_accuracy),
        ("Total Data Loading Time", seconds(result["data_s"])),
        ("Total Epoch Training Time", seconds(result["train_s"] - result["data_s"])),
        ("Total Training Function Time", seconds(result["train_s"])),
        (
            "Average Training Loss",
            "not finite" if result["average_training_loss"] is None else f"{result['average_training_loss']:.4f}",
        ),
    ]
    table = Table(show_header=False)
    for key, value in rows:
        table.add_row(key, str(value))
    console.print(table)


def _best_on_training(result: dict[str, Any], *, by_accuracy: bool) -> list[tuple[str, str]]:
    if not by_accuracy:
        return []
    best = result["best_training_accuracy"]
    return [("Best Training Accuracy", f"{best:.2%}" if best else "no whole epoch")]
