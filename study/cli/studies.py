"""Commands that run a study: launch, sweep, resume, confirm."""

from __future__ import annotations

from typing import Annotated

import typer

from study.cli.flags import said_in_flags
from study.cli.groups import Begun, BegunSweep, Changes, Prices, Running, SweepChanges, grouped
from study.cli.options import (
    PlanArgument,
    StudyDir,
    WarmStart,
    WorkloadArgument,
    changeable,
    default_name,
    value_of,
    varied,
)
from study.cli.output import out
from study.cli.running import go_on, keep_prices, open_study, start, tell_failures, write_report
from study.cli.working import at_work, stoppable
from trainables.common.errors import UserError

SWEPT = {
    f"sweep.{name}": f"--{name.replace('_', '-')}" for name in ("learning_rate", "batch_size", "num_workers", "repeats")
}


@stoppable
@at_work("reading the plan")
@grouped
def launch(
    plan: PlanArgument,
    warm_start: WarmStart = None,
    *,
    begun: Begun,
    changes: Changes,
    running: Running,
    prices: Prices,
) -> None:
    """Search each framework's best configuration, confirm it, and write the report.

    The study lies in results/NAME. Whatever interrupts it, `tuneoff resume results/NAME` goes on with it.
    """
    from study.plan.files import load_plan
    from study.store.warm import warm_started

    priced = prices.checked()
    complete = load_plan(plan, **changes.of_plan())
    if warm_start is not None:
        complete, told = warm_started(complete, warm_start)
        for line in told:
            out.print(line, highlight=False)
    path = begun.path(default_name(plan), "the plan's name")
    start(complete, path, running.place, running.data_dir, running.choice, priced)


@stoppable
@at_work("reading the plan")
@grouped
def sweep(
    workload: WorkloadArgument,
    over: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=VALUE,...",
            help="A hyperparameter or a model's option, and the values to give it; again for another.",
            autocompletion=varied,
        ),
    ],
    learning_rate: Annotated[float, typer.Option(metavar="RATE", help="Learning rate where it is not varied.")] = 0.02,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Batch size where it is not varied.")] = 128,
    num_workers: Annotated[int, typer.Option(metavar="N", help="Loader workers where they are not varied.")] = 2,
    repeats: Annotated[int, typer.Option(metavar="N", help="Trainings per value and framework.")] = 3,
    *,
    begun: BegunSweep,
    changes: SweepChanges,
    running: Running,
    prices: Prices,
) -> None:
    """Train at one configuration, again for each value of one hyperparameter.

    A study like any other: resumable, recorded, reported. Ten epochs with weight decay 5e-4, whatever the accuracy,
    unless --set training.epochs=... says otherwise: the experiment of the benchmark that this project grew from.
    """
    from study.plan.files import sweep_plan

    point = {"learning_rate": learning_rate, "batch_size": batch_size, "num_workers": num_workers}
    swept = dict(_over(each) for each in over)
    values = {"over": swept, "repeats": repeats, **point}
    priced = prices.checked()
    unknown = {f"hyperparameter sweep.over.{name}": f"--over '{name}'" for name in swept}
    flags = {**unknown, **{f"sweep.over.{name}": f"--over {name}" for name in swept}, **SWEPT}
    with said_in_flags(flags):
        complete = sweep_plan(workload, values, **changes.of_plan())
    path = begun.path(f"sweep-{default_name(workload)}", "the sweep's name")
    start(complete, path, running.place, running.data_dir, running.choice, priced)


@stoppable
@at_work("reading the study")
@grouped
def resume(
    folder: StudyDir,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Ask for more than was planned: search.trials=50, confirm.runs=20, sweep.repeats=5.",
            autocompletion=changeable,
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run trials that failed again, from their beginning.")
    ] = False,
    *,
    running: Running,
    prices: Prices,
) -> None:
    """Go on with a study where it stopped, whatever stopped it.

    Exit code 1 when failures left a framework without a result.
    """
    from study.cli.status import status as look
    from study.store.manifest import changed

    where = running.place
    found, plan = open_study(folder)
    plan = changed(plan, found, settings or [])
    priced = keep_prices(found, prices.checked())
    state = look(plan, found)
    if state["done"] and not (retry_failed and state["failures"]):
        out.print(f"{folder} is finished: nothing to run.")
        for each in filter(None, (each["stopped"] for each in state["frameworks"].values())):
            out.print(each, highlight=False)
        if priced or not (found.report / "index.html").exists():
            write_report(found)
        tell_failures(plan, found, where)
        return
    go_on(plan, found, where, running.data_dir, running.choice, retry_failed=retry_failed)


@stoppable
@at_work("reading the study")
@grouped
def confirm(
    folder: StudyDir,
    disturbed: Annotated[
        bool, typer.Option("--disturbed", help="Run those again that a busy machine disturbed, and only those.")
    ] = False,
    *,
    running: Running,
) -> None:
    """Run what is missing of the race and of the confirmation, with the best configurations found so far."""
    where = running.place
    found, plan = open_study(folder)
    if plan.sweep is not None:
        raise UserError(
            f"{folder} is a sweep, which has nothing to confirm; `{found.resume_command()}` goes on with it"
        )
    todo = ("race", "confirm")
    go_on(plan, found, where, running.data_dir, running.choice, todo, disturbed=disturbed)


def _over(text: str) -> tuple[str, list[bool | int | float | str]]:
    """``num_workers=2,4`` as a name and its values."""
    name, separator, values = text.partition("=")
    if not separator or not name.strip() or not all(each.strip() for each in values.split(",")):
        raise UserError(f"--over {text}: write name=value,value, as in --over num_workers=2,4,8")
    return name.strip(), [value_of(each.strip()) for each in values.split(",")]
