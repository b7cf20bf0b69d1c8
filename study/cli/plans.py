"""``tuneoff plan``: the plans that there are, and one of them complete, with what each of its keys means."""

from __future__ import annotations

from typing import Annotated

import typer

from study.cli.groups import Changes, grouped
from study.cli.options import plans
from study.cli.output import results
from study.plan.shelf import shipped_plans, told
from trainables.common.errors import UserError


def listed_plans() -> list[str]:
    """A line for each plan that comes with the package."""
    width = max(map(len, shipped_plans()))
    return [f"{name.ljust(width)}  {told(name)}" for name in shipped_plans()]


@grouped
def plan(
    plan: Annotated[
        str | None,
        typer.Argument(
            metavar="[PLAN]",
            help="A shipped plan's name, a TOML file, a workload's folder or name; without it they are listed.",
            autocompletion=plans,
        ),
    ] = None,
    *,
    changes: Changes,
) -> None:
    """List the plans, or print one with all its keys and what they mean; runs nothing.

    What is printed is a plan itself: save it, change it, launch it.
    """
    if plan is None:
        if changes.any:
            raise UserError("name the plan that is to be changed, as in tuneoff plan quickstart --set search.trials=50")
        for line in listed_plans():
            results.print(line, highlight=False)
        return
    from study.plan.files import load_plan
    from study.plan.keys import explained

    complete = load_plan(plan, **changes.of_plan())
    results.print(explained(complete), highlight=False, end="")
