"""One training outside a study: its spec, from what was typed on the command line, and what is printed of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, cast, get_args

from rich.console import Console
from rich.table import Table

from study.cli.readiness import refuse
from study.plan.possible import NO_LOADER, not_offered, refuse_impossible
from trainables.common.errors import UserError
from trainables.common.machine import cpus
from trainables.common.suggest import nearest
from trainables.contract import Execution, Hyperparameters, Loading, MemoryFormat, Optimizer, Precision
from trainables.frameworks import framework as find_framework
from trainables.spec import TrainingSpec
from trainables.training import Evaluation
from trainables.workloads.datasets import dataset
from trainables.workloads.shipped import workload

NO_LIMIT_S = 1e9
_TOLD_CHARACTERS = 400
# One of these is there where a driver of NVIDIA, on Linux or under Windows, or of AMD is.
_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def single_spec(
    *,
    framework: str,
    workload_name: str,
    learning_rate: float,
    batch_size: int,
    num_workers: int,
    optimizer: str,
    momentum: float,
    weight_decay: float,
    epochs: int | None,
    target: float | None,
    device: str,
    threads: int | None,
    seed: int,
    precision: str = "float32",
    memory_format: str = "contiguous",
    data_on_device: bool = False,
) -> TrainingSpec:
    """Complete what was typed from the workload's defaults.

    With ``epochs`` and no ``target`` the training goes on for that many epochs, past the workload's target.

    Raises
    ------
    UserError
        Unknown name, a framework that is not installed, or what is impossible.
    """
    if problem := find_framework(framework).missing():
        raise UserError(problem)
    chosen = workload(workload_name)
    for flag, value, valid in (
        ("optimizer", optimizer, ("sgd", "adam")),
        ("device", device, ("auto", "cpu", "cuda")),
        ("precision", precision, get_args(Precision)),
        ("memory-format", memory_format, get_args(MemoryFormat)),
    ):
        if value not in valid:
            raise UserError(f"unknown --{flag} '{value}'{nearest(value, valid)}")
    if not 0 < learning_rate < inf:
        raise UserError(f"--learning-rate is {learning_rate}; it must be above 0 and finite")
    if not 0 <= momentum < 1:
        raise UserError(f"--momentum is {momentum}; it must lie between 0 and 1, below 1")
    if not 0 <= weight_decay < inf:
        raise UserError(f"--weight-decay is {weight_decay}; it must be a number, 0 or above")
    execution = Execution(cast(Precision, precision), cast(MemoryFormat, memory_format), data_on_device)
    if problem := not_offered(framework, execution, key="--{}", todo="use the default"):
        raise UserError(problem.replace("_", "-"))
    if data_on_device and num_workers:
        raise UserError(f"--num-workers is {num_workers}, but with --data-on-device {NO_LOADER}; use --num-workers 0")
    refuse_impossible(
        chosen,
        batch_sizes={"--batch-size": batch_size},
        target=chosen.target if target is None else target,
        epochs=chosen.epochs if epochs is None else epochs,
        evaluate_every_samples=chosen.evaluate_every_samples,
        target_key="--target",
    )
    ours = cpus()
    if threads is not None and threads > ours.usable:
        raise UserError(f"--threads is {threads}, but {ours.told}; use --threads {ours.usable} or fewer")
    return TrainingSpec(
        framework=framework,
        workload=workload_name,
        hyperparameters=Hyperparameters(
            learning_rate, batch_size, num_workers, cast(Optimizer, optimizer), momentum, weight_decay
        ),
        seed=seed,
        target=chosen.target if target is None else target,
        evaluate_every_samples=chosen.evaluate_every_samples,
        limit_s=chosen.limit_s if epochs is None else NO_LIMIT_S,
        epochs=chosen.epochs if epochs is None else epochs,
        device="cuda" if device == "cuda" else "cpu",  # `on_this_machine` knows better
        threads=threads or ours.usable,
        test_accuracy=True,
        training_accuracy=True,
        stop_at_target=epochs is None or target is not None,
        execution=execution,
    )


def on_this_machine(spec: TrainingSpec, device: str) -> TrainingSpec:
    """The training on the device that its framework can use, its loader workers tried; seconds, where there is a doubt.

    Parameters
    ----------
    spec
        The training, on any device.
    device
        What ``--device`` says.

    Raises
    ------
    UserError
        When the device is not there, or loader workers would fail.
    """
    knobs = spec.hyperparameters
    looks_for_gpu = device == "cuda" or (device == "auto" and _may_have_gpu())
    if not looks_for_gpu and knobs.num_workers == 0:
        return replace(spec, device="cpu")
    samples = dataset(workload(spec.workload).dataset).training_samples
    loadings = [Loading(min(knobs.batch_size, samples), knobs.num_workers)] if knobs.num_workers else []
    used = find_framework(spec.framework)
    found = used.examine(device="cuda" if looks_for_gpu else "cpu", loadings=loadings)
    if device == "cuda" and not found.devices and not found.broken:
        raise UserError(f"--device is cuda, but {used.title} sees {found.gpus} here; use --device cpu")
    refuse(used, found)
    return replace(spec, device="cuda" if looks_for_gpu and found.devices else "cpu")


def _may_have_gpu() -> bool:
    """Whether anything here looks like the driver of a GPU; asking a framework takes seconds."""
    return shutil.which("nvidia-smi") is not None or any(Path(each).exists() for each in _DRIVERS)


def failure(spec: TrainingSpec, error: Exception) -> str:
    """What a framework raised, for one line."""
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:_TOLD_CHARACTERS]}"
    todo = "; try a smaller --batch-size" if "memory" in said.lower() else ""
    return f"{find_framework(spec.framework).title} failed: {said}{todo}"


def evaluation_line(evaluation: Evaluation) -> str:
    """One evaluation in a line."""
    loss = "not finite" if evaluation.train_loss is None else f"{evaluation.train_loss:.4f}"
    return (
        f"epoch {evaluation.epoch:3d}  samples {evaluation.samples:8d}  train {evaluation.train_s:8.2f} s  "
        f"loss {loss}  validation accuracy {evaluation.validation_accuracy:.2%}"
    )


def print_result(result: dict[str, Any], console: Console) -> None:
    """A finished training as a table."""

    def seconds(value: float | None) -> str:
        return "not reached" if value is None else f"{value:.3f} s"

    rows = [
        ("Outcome", result["outcome"]),
        ("Warm time to accuracy", seconds(result["warm_tta_s"])),
        ("Cold time to accuracy", seconds(result["cold_tta_s"])),
        ("Test accuracy", f"{result['test_accuracy']:.2%}"),
        ("Loader workers that ran", result["loader_workers"]),
        ("Start-up", seconds(result["startup_s"])),
        ("Compilation (warm-up)", seconds(result["compile_s"])),
        ("Training", seconds(result["train_s"])),
        ("of it waiting for data", seconds(result["data_s"])),
        ("Evaluation", seconds(result["eval_s"])),
        (
            "Best Training Accuracy",
            f"{result['best_training_accuracy']:.2%}" if result["best_training_accuracy"] else "no whole epoch",
        ),
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
