"""Commands that train without Ray and without a study: train, verify."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Annotated

import psutil
import typer

from study.cli.groups import Training, grouped
from study.cli.options import AsJson, DataDir, WorkloadArguments, WorkloadOptions, named
from study.cli.output import fail, out, results, told_of_data
from study.cli.running import check_available
from study.cli.working import at_work, screen, warn
from study.console import Screen, SteadyConsole
from study.volume import volume
from trainables.common.errors import UserError


@at_work("looking for the framework")
@grouped
def train(
    *,
    training: Training,
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
    from trainables.training import Training as Run
    from trainables.workloads.prepared import prepare
    from trainables.workloads.workload import find

    trained = find(training.workload)
    spec = single_spec(training, trained)
    began = time.perf_counter()
    made = prepare(trained, data_dir=data_dir, hear=told_of_data)
    refuse_impossible(spec, trained, made)
    spec = on_this_machine(spec, training.device, made=made)
    with drawn_in_pytorch(spec, trained) as weights:
        started = _process_start() + time.perf_counter() - began  # nothing of this is a part of it
        run = Run(spec, workload=trained, weights=weights, started=started, tell=warn)
        screen.doing(f"starting {find_framework(training.framework).title}")
        try:
            while not run.finished:
                evaluation = run.advance()
                screen.doing(f"training {trained.name}")
                if not as_json and (evaluation.evaluation % report_every == 0 or run.finished):
                    out.print(evaluation_line(evaluation), highlight=False)
        except UserError:
            raise
        except Exception as error:  # whatever a framework raises
            fail(failure(spec, error, trained), 1)
        finally:
            with suppress(Exception):  # after a failure it may fail again
                run.close()
    result = run.result()
    if as_json:
        print(json.dumps({"spec": spec.as_dict(), **result, "curve": [asdict(each) for each in run.evaluations]}))
    else:
        print_result(result, results)


@at_work("looking for the frameworks")
def verify(
    workloads: WorkloadArguments = None,
    also: WorkloadOptions = None,
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

    chosen = [find(name) for name in [*(workloads or ()), *(also or ())] or shipped()]
    asked = named(frameworks or "")
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


def _process_start() -> float:
    """``time.perf_counter()`` at which this process began."""
    return time.perf_counter() - (time.time() - psutil.Process().create_time())
