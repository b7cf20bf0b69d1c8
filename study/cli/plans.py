"""``tuneoff plan``: the plans that there are, and one of them complete, with what each of its keys means."""

from __future__ import annotations

from typing import Annotated

import typer

from study.cli.options import Frameworks, Settings, SharedGpu, named, plans, with_sharing
from study.cli.output import results
from study.plan.shelf import shipped_plans, told
from trainables.common.errors import UserError


def listed_plans() -> list[str]:
    """A line for each plan that comes with the package."""
    width = max(map(len, shipped_plans()))
    return [f"{name.ljust(width)}  {told(name)}" for name in shipped_plans()]


def plan(
    plan: Annotated[
        str | None,
        typer.Argument(
            metavar="[PLAN]",
            help="A shipped plan's name, a TOML file, or a workload's folder; without it they are listed.",
            autocompletion=plans,
        ),
    ] = None,
    frameworks: Frameworks = None,
    settings: Settings = None,
    allow_shared_gpu: SharedGpu = False,
) -> None:
    """List the plans, or print one with all its keys and what they mean; runs nothing.

    What is printed is a plan itself: save it, change it, launch it.
    """
    if plan is None:
        if frameworks or settings or allow_shared_gpu:
            raise UserError("name the plan that is to be changed, as in tuneoff plan quickstart --set search.trials=50")
        for line in listed_plans():
            results.print(line, highlight=False)
        return
    from study.plan.files import load_plan
    from study.plan.keys import explained

    complete = load_plan(plan, settings=with_sharing(settings, allow_shared_gpu), frameworks=named(frameworks))
    results.print(explained(complete), highlight=False, end="")
