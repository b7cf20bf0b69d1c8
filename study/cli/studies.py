"""Commands that run a study: launch, sweep, resume, confirm."""

from __future__ import annotations

from typing import Annotated

import typer

from study.cli.flags import said_in_flags
from study.cli.options import (
    RESULTS,
    Address,
    AllowMixed,
    CpuHour,
    DataDir,
    ExcludeNode,
    Frameworks,
    GpuHour,
    Name,
    OutDir,
    PlanArgument,
    Settings,
    SharedGpu,
    StudyDir,
    SweepName,
    SweptFrameworks,
    WorkloadArgument,
    choice,
    default_name,
    named,
    study_path,
    value_of,
    with_sharing,
)
from study.cli.output import out
from study.cli.running import go_on, keep_prices, open_study, start, tell_failures, write_report
from study.cli.working import at_work, stoppable
from study.cluster.address import place
from trainables.common.errors import UserError

SWEPT = {
    f"sweep.{name}": f"--{name.replace('_', '-')}" for name in ("learning_rate", "batch_size", "num_workers", "repeats")
}


@stoppable
@at_work("reading the plan")
def launch(
    plan: PlanArgument,
    name: Name = None,
    out_dir: OutDir = RESULTS,
    frameworks: Frameworks = None,
    settings: Settings = None,
    address: Address = None,
    exclude_node: ExcludeNode = None,
    allow_mixed: AllowMixed = False,
    data_dir: DataDir = None,
    allow_shared_gpu: SharedGpu = False,
    gpu_hour: GpuHour = None,
    cpu_hour: CpuHour = None,
) -> None:
    """Search each framework's best configuration, confirm it, and write the report.

    The study lies in results/NAME, and goes on after any interruption: `tuneoff resume results/NAME`.
    """
    from study.plan.files import load_plan
    from study.store.price import checked

    prices = checked(gpu_hour, cpu_hour)
    complete = load_plan(plan, settings=with_sharing(settings, allow_shared_gpu), frameworks=named(frameworks))
    path = study_path(out_dir, name, default_name(plan), "the plan's name")
    start(complete, path, place(address), data_dir, choice(exclude_node, allow_mixed), prices)


@stoppable
@at_work("reading the plan")
def sweep(
    workload: WorkloadArgument,
    over: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=VALUE,...",
            help="A hyperparameter or a model's option, and the values to give it; again for another.",
        ),
    ],
    learning_rate: Annotated[float, typer.Option(metavar="RATE", help="Learning rate where it is not varied.")] = 0.02,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Batch size where it is not varied.")] = 128,
    num_workers: Annotated[int, typer.Option(metavar="N", help="Loader workers where they are not varied.")] = 2,
    repeats: Annotated[int, typer.Option(metavar="N", help="Trainings per value and framework.")] = 3,
    name: SweepName = None,
    out_dir: OutDir = RESULTS,
    frameworks: SweptFrameworks = None,
    settings: Settings = None,
    address: Address = None,
    exclude_node: ExcludeNode = None,
    allow_mixed: AllowMixed = False,
    data_dir: DataDir = None,
    allow_shared_gpu: SharedGpu = False,
    gpu_hour: GpuHour = None,
    cpu_hour: CpuHour = None,
) -> None:
    """Train at one configuration, again for each value of one hyperparameter.

    A study like any other: resumable, recorded, reported. Ten epochs with weight decay 5e-4, whatever the accuracy,
    unless --set training.epochs=... says otherwise: the experiment of the benchmark that this project grew from.
    """
    from study.plan.files import sweep_plan
    from study.store.price import checked

    point = {"learning_rate": learning_rate, "batch_size": batch_size, "num_workers": num_workers}
    swept = dict(_over(each) for each in over)
    values = {"over": swept, "repeats": repeats, **point}
    prices = checked(gpu_hour, cpu_hour)
    flags = {**{f"sweep.over.{name}": f"--over {name}" for name in swept}, **SWEPT}
    with said_in_flags(flags):
        complete = sweep_plan(
            workload, values, settings=with_sharing(settings, allow_shared_gpu), frameworks=named(frameworks)
        )
    path = study_path(out_dir, name, f"sweep-{default_name(workload)}", "the sweep's name")
    start(complete, path, place(address), data_dir, choice(exclude_node, allow_mixed), prices)


@stoppable
@at_work("reading the study")
def resume(
    folder: StudyDir,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Ask for more than was planned: search.trials=50, confirm.runs=20, sweep.repeats=5.",
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run trials that failed again, from their beginning.")
    ] = False,
    address: Address = None,
    exclude_node: ExcludeNode = None,
    allow_mixed: AllowMixed = False,
    data_dir: DataDir = None,
    gpu_hour: GpuHour = None,
    cpu_hour: CpuHour = None,
) -> None:
    """Go on with a study where it stopped, whatever stopped it.

    Exit code 1 when failures left a framework without a result.
    """
    from study.cli.status import status as look
    from study.store.manifest import changed

    where = place(address)
    found, plan = open_study(folder)
    plan = changed(plan, found, settings or [])
    priced = keep_prices(found, gpu_hour, cpu_hour)
    state = look(plan, found)
    if state["done"] and not (retry_failed and state["failures"]):
        out.print(f"{folder} is finished: nothing to run.")
        if priced or not (found.report / "index.html").exists():
            write_report(found)
        tell_failures(plan, found, where)
        return
    go_on(plan, found, where, data_dir, choice(exclude_node, allow_mixed), retry_failed=retry_failed)


@stoppable
@at_work("reading the study")
def confirm(
    folder: StudyDir,
    disturbed: Annotated[
        bool, typer.Option("--disturbed", help="Run those again that a busy machine disturbed, and only those.")
    ] = False,
    address: Address = None,
    exclude_node: ExcludeNode = None,
    allow_mixed: AllowMixed = False,
    data_dir: DataDir = None,
) -> None:
    """Run what is missing of the race and of the confirmation, with the best configurations found so far."""
    where = place(address)
    found, plan = open_study(folder)
    if plan.sweep is not None:
        raise UserError(
            f"{folder} is a sweep, which has nothing to confirm; `{found.resume_command()}` goes on with it"
        )
    todo = ("race", "confirm")
    go_on(plan, found, where, data_dir, choice(exclude_node, allow_mixed), todo, disturbed=disturbed)


def _over(text: str) -> tuple[str, list[bool | int | float | str]]:
    """``num_workers=2,4`` as a name and its values."""
    name, separator, values = text.partition("=")
    if not separator or not name.strip() or not all(each.strip() for each in values.split(",")):
        raise UserError(f"--over {text}: write name=value,value, as in --over num_workers=2,4,8")
    return name.strip(), [value_of(each.strip()) for each in values.split(",")]
