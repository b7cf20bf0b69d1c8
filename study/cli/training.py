"""Commands that train without Ray and without a study: train, verify."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Annotated

import psutil
import typer

from study.cli.options import AsJson, DataDir, FrameworkOption, WorkloadOption, WorkloadOptions, value_of
from study.cli.output import fail, out, results, told_of_data
from study.cli.running import check_available
from study.cli.working import at_work, screen, warn
from study.console import Screen, SteadyConsole
from study.volume import volume
from trainables.common.errors import UserError

_USUAL = "the workload's"


@at_work("looking for the framework")
def train(
    framework: FrameworkOption,
    workload: WorkloadOption,
    learning_rate: Annotated[float, typer.Option(metavar="RATE", help="Learning rate, at its highest.")],
    batch_size: Annotated[int, typer.Option(metavar="N", help="Samples in a batch.")],
    num_workers: Annotated[int, typer.Option(metavar="N", help="Loader processes or threads; 0 loads in line.")] = 0,
    optimizer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The optimizer: sgd, nesterov, adam or adamw.", show_default=_USUAL),
    ] = None,
    momentum: Annotated[
        float | None,
        typer.Option(metavar="X", help="Momentum of sgd and nesterov, from 0 to below 1.", show_default=_USUAL),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(metavar="X", help="L2, added to the gradient; of adamw, apart from it.", show_default=_USUAL),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of the learning rate: constant, cosine or one_cycle.", show_default=_USUAL),
    ] = None,
    warm_up: Annotated[
        float | None,
        typer.Option(metavar="X", help="Share of all steps over which the rate rises.", show_default=_USUAL),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="An option of the model, as in hidden=64; give it again for others.",
            show_default=_USUAL,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Train so many, whatever the accuracy; with --target, at most so many.",
            show_default="until the target",
        ),
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Validation accuracy to stop at, a fraction; or validation loss.",
            show_default=_USUAL,
        ),
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="Where to train: auto, cpu or cuda.")] = "auto",
    precision: Annotated[
        str, typer.Option(metavar="NAME", help="float32, or bf16 for forward passes in bfloat16.")
    ] = "float32",
    memory_format: Annotated[
        str, typer.Option(metavar="NAME", help="Of images and weights: contiguous or channels_last.")
    ] = "contiguous",
    data_on_device: Annotated[
        bool, typer.Option("--data-on-device", help="Keep the training split on the device; no loader runs.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="Compute threads.", show_default="every usable CPU")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the sample order and of the initial weights.")] = 0,
    report_every: Annotated[int, typer.Option(min=1, metavar="N", help="Print every so many evaluations.")] = 1,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Train once, without Ray, and show where the time went.

    Stops at the target, or at the workload's limits of time and epochs (`tuneoff plan` prints a plan's). With --epochs
    there is no limit of time, and without --target it trains that many epochs whatever the accuracy.
    """
    from dataclasses import asdict

    from study.cli.single import (
        drawn_in_pytorch,
        evaluation_line,
        failure,
        on_this_machine,
        print_result,
        refuse_impossible,
        single_spec,
    )
    from trainables.frameworks import framework as find_framework
    from trainables.training import Training
    from trainables.workloads.prepared import prepare
    from trainables.workloads.workload import find

    trained = find(workload)
    spec = single_spec(
        framework=framework,
        workload=trained,
        learning_rate=learning_rate,
        batch_size=batch_size,
        num_workers=num_workers,
        optimizer=optimizer,
        momentum=momentum,
        weight_decay=weight_decay,
        schedule=schedule,
        warm_up=warm_up,
        options=dict(_option(each) for each in option or []),
        epochs=epochs,
        target=target,
        device=device,
        threads=threads,
        seed=seed,
        precision=precision,
        memory_format=memory_format,
        data_on_device=data_on_device,
    )
    began = time.perf_counter()
    made = prepare(trained, data_dir=data_dir, hear=told_of_data)
    refuse_impossible(spec, trained, made)
    spec = on_this_machine(spec, device, made=made)
    with drawn_in_pytorch(spec, trained) as weights:
        started = _process_start() + time.perf_counter() - began  # nothing of this is a part of it
        training = Training(spec, workload=trained, weights=weights, started=started, tell=warn)
        screen.doing(f"starting {find_framework(framework).title}")
        try:
            while not training.finished:
                evaluation = training.advance()
                screen.doing(f"training {trained.name}")
                if not as_json and (evaluation.evaluation % report_every == 0 or training.finished):
                    out.print(evaluation_line(evaluation), highlight=False)
        except UserError:
            raise
        except Exception as error:  # whatever a framework raises
            fail(failure(spec, error, trained), 1)
        finally:
            with suppress(Exception):  # after a failure it may fail again
                training.close()
    result = training.result()
    if as_json:
        print(json.dumps({"spec": spec.as_dict(), **result, "curve": [asdict(each) for each in training.evaluations]}))
    else:
        print_result(result, results)


@at_work("looking for the frameworks")
def verify(
    workloads: WorkloadOptions = None,
    frameworks: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Two or more, comma-separated; the first is the reference.",
            show_default="all that need not be asked for",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=2, metavar="N", help="Training steps to compare.")] = 50,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Prove that the frameworks compute the same training, step by step, and write a certificate.

    Exit code 1 when they do not.
    """
    from study.cli.verifying import print_certificate, sides, verify_workload
    from trainables.workloads.prepared import prepare
    from trainables.workloads.workload import find, shipped

    chosen = [find(name) for name in workloads or shipped()]
    asked = [each.strip() for each in (frameworks or "").split(",") if each.strip()]
    compared = {each.folder: sides(each, asked) for each in chosen}
    for names in compared.values():
        check_available(names)
    for each in chosen:
        prepare(each, data_dir=data_dir, hear=told_of_data)
    shown = screen if screen.moves else Screen(SteadyConsole(stderr=True, quiet=volume.quiet))
    certificates = []
    for each in chosen:
        try:
            certificates.append(verify_workload(each, compared[each.folder], steps=steps, screen=shown))
        except RuntimeError as error:
            fail(f"{each.name} could not be verified: {error}", 1)
        if not as_json:
            print_certificate(certificates[-1], results)
    if as_json:
        print(json.dumps(certificates, indent=2))
    if not all(certificate["equal"] for certificate in certificates):
        raise typer.Exit(1)


def _option(text: str) -> tuple[str, bool | int | float | str]:
    """``hidden=64`` as a name and its value."""
    name, separator, value = text.partition("=")
    if not separator or not name.strip() or not value.strip():
        raise UserError(f"--option {text}: write name=value, as in --option hidden=64")
    return name.strip(), value_of(value.strip())


def _process_start() -> float:
    """``time.perf_counter()`` at which this process began."""
    return time.perf_counter() - (time.time() - psutil.Process().create_time())
