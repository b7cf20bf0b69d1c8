"""What this machine must offer before a local study or a training begins: refused in a line where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from study.cli.output import fail, out
from study.cli.working import screen
from trainables.common.errors import UserError

if TYPE_CHECKING:
    from study.cluster.address import Place
    from study.plan.plan import Plan
    from trainables.contract import Readiness
    from trainables.frameworks import Framework
    from trainables.workloads.workload import Made, Workload

LOADING_TO_DO = "mend that, or load in line: --set space.all.num_workers=0 (sweep, train: --num-workers 0)"


def check_machine(plan: Plan, where: Place, *, made: Made, begun: bool = False) -> None:
    """See to a folder for Ray's sockets, and ask the frameworks what they can use; before Ray is started.

    The nodes of a cluster are asked when there is one: `study.cluster.nodes`.

    Parameters
    ----------
    made
        What the data come to.
    begun
        Whether the study has begun, so that its plan cannot be changed any more.
    """
    from trainables.common.machine import cpus
    from trainables.frameworks import framework

    if not where.local:
        return
    _choose_temporary_folder()
    for name in plan.frameworks:
        _check_framework(plan, framework(name), made=made, fitting=cpus().usable // plan.slice.cpus, begun=begun)


def check_models(plan: Plan, workload: Workload, made: Made) -> None:
    """Let every framework build its model, with the usual options and at the ends of those that are searched.

    Raises
    ------
    UserError
        Of one line, with file and line, where that fails, or batches are too small for a model.
    """
    from concurrent.futures import ThreadPoolExecutor

    from study.plan.completing import refuse_by_model
    from study.plan.trying import differing, options_to_try
    from trainables.frameworks import framework

    screen.doing("building the models")
    points = {name: options_to_try(plan, name) for name in plan.frameworks}
    with ThreadPoolExecutor() as pool:
        asked = {name: pool.submit(framework(name).try_models, workload, points[name], made) for name in points}
    for name, answer in asked.items():
        for point, tried in zip(points[name], answer.result(), strict=False):
            if tried.problem is not None:
                raise UserError(f"{tried.problem}{differing(point, points[name][0])}")
            if tried.alone:
                refuse_by_model(plan, made, workload, why=f"the {tried.alone} of {framework(name).title}'s model")


def refuse(asked: Framework, found: Readiness, *, begun: bool = False) -> None:
    """Raise `UserError` where a framework cannot be asked, or its loader workers would fail."""
    if found.broken:
        raise UserError(f"{asked.title} cannot run here: {found.broken}; `tuneoff doctor` tells what is missing")
    if problem := next(filter(None, found.no_loading), None):
        todo = "mend that, then go on" if begun else LOADING_TO_DO
        raise UserError(f"{asked.title}'s loader workers would fail: {problem}; {todo}")


def _choose_temporary_folder() -> None:
    from study.cluster.environment import NoFolder, choose_temporary_folder

    try:
        notice = choose_temporary_folder()
    except NoFolder as error:
        fail(str(error), 1)
    if notice:
        out.print(notice, highlight=False)


def _check_framework(plan: Plan, asked: Framework, *, made: Made, fitting: int, begun: bool) -> None:
    """Refuse a plan that asks for more GPUs than a framework can use, or for loader workers that would fail."""
    from study.plan.loading import loadings

    wanted = loadings(plan, asked.name, made=made, fitting=fitting)
    gpus = plan.slice.gpus
    if gpus == 0 and not wanted:
        return
    screen.doing(f"trying {asked.title}")
    found = asked.examine(device="cuda" if gpus else "cpu", loadings=wanted)
    if gpus > len(found.devices) and not found.broken:
        todo = f"go on where there are {gpus}" if begun else f"--set slice.gpus={len(found.devices)}"
        raise UserError(
            f"slice.gpus is {gpus}, but {asked.title} sees {found.gpus} here; "
            f"{todo} or give the --address of a larger cluster"
        )
    refuse(asked, found, begun=begun)
