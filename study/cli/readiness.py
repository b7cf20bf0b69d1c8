"""What this machine must offer before a local study or a training begins: refused in a line where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from math import inf
from typing import TYPE_CHECKING, Any

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
    if where.local:
        _choose_temporary_folder()
        with _Questions() as questions:
            _refuse_unable(plan, _look(plan, made, questions), begun=begun)


def check_machine_and_models(plan: Plan, where: Place, workload: Workload, made: Made) -> None:
    """What `check_machine` does, and meanwhile let every framework build its model.

    With the usual options, and at the ends of those that are searched. Both import the frameworks, for seconds.

    Raises
    ------
    UserError
        Of one line, with file and line, where that fails, or batches are too small for a model.
    """
    from study.plan.completing import refuse_by_model
    from study.plan.trying import differing, options_to_try
    from trainables.frameworks import framework

    if where.local:
        _choose_temporary_folder()
    points = {name: options_to_try(plan, name) for name in plan.frameworks}
    with _Questions() as questions:
        looked = _look(plan, made, questions) if where.local else {}
        screen.doing("building the models")
        tried = {
            name: questions.put(framework(name), "try_models", workload, each, made) for name, each in points.items()
        }
        _refuse_unable(plan, looked, begun=False)
    for name, answer in tried.items():
        for point, found in zip(points[name], answer.result(), strict=False):
            if found.problem is not None:
                raise UserError(f"{found.problem}{differing(point, points[name][0])}")
            if found.alone:
                refuse_by_model(plan, made, workload, why=f"the {found.alone} of {framework(name).title}'s model")


def fitting_here(plan: Plan) -> int:
    """How many slices of a plan this machine holds at once; as far as CPUs go where nothing tells of its GPUs."""
    from study.store.provenance import gpus
    from trainables.common.machine import cpus

    return plan.slice.fitting(cpus().usable, len(gpus()) or inf if plan.slice.gpus else 0)


class _Questions:
    """Questions to frameworks, all at once; what two of them would ask the same module for is asked once."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor()
        self._put: dict[str, Future[Any]] = {}

    def __enter__(self) -> _Questions:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def put(self, asked: Framework, what: str, *arguments: object, **options: object) -> Future[Any]:
        """Call a method of a framework."""
        key = repr((asked.check or asked.name, what, arguments, options))
        if key not in self._put:
            self._put[key] = self._pool.submit(getattr(asked, what), *arguments, **options)
        return self._put[key]


def _look(plan: Plan, made: Made, questions: _Questions) -> dict[str, Future[Readiness]]:
    """Ask what they can use those of a plan's frameworks of which anything is wanted."""
    from study.plan.loading import loadings
    from trainables.frameworks import framework

    looked, device, fitting = {}, "cuda" if plan.slice.gpus else "cpu", fitting_here(plan)
    for name in plan.frameworks:
        wanted = loadings(plan, name, made=made, fitting=fitting)
        if plan.slice.gpus or wanted:
            screen.doing(f"trying {framework(name).title}")
            looked[name] = questions.put(framework(name), "examine", device=device, loadings=wanted)
    return looked


def _refuse_unable(plan: Plan, looked: Mapping[str, Future[Readiness]], *, begun: bool) -> None:
    """Refuse a plan that asks for more GPUs than a framework can use, or for loader workers that would fail."""
    from trainables.frameworks import framework

    gpus = plan.slice.gpus
    for name, answer in looked.items():
        asked, found = framework(name), answer.result()
        if gpus > len(found.devices) and not found.broken:
            todo = f"go on where there are {gpus}" if begun else f"--set slice.gpus={len(found.devices)}"
            raise UserError(
                f"slice.gpus is {gpus}, but {asked.title} sees {found.gpus} here; "
                f"{todo} or give the --address of a larger cluster"
            )
        refuse(asked, found, begun=begun)


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
