"""Commands about this machine: doctor, setup-julia."""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

from study.cli.options import AsJson, DataDir, NodesAddress, workloads
from study.cli.output import out, results
from study.cli.working import at_work
from study.cluster.address import place
from study.volume import volume
from trainables.common.errors import UserError

_MARKS = {"ok": "ok     ", "missing": "missing", "problem": "PROBLEM"}


@at_work("looking around")
def doctor(
    workload: Annotated[
        str | None,
        typer.Argument(
            metavar="[WORKLOAD]",
            help="A workload, shipped or in a folder: whether its data and its models are good.",
            autocompletion=workloads,
        ),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    address: NodesAddress = None,
) -> None:
    """Tell whether a study can run here, or a workload, and what to do where it cannot.

    With --address: whether each node of that cluster can take part. With --quiet: only what is not as it should be.
    Exit code 1 where a study cannot run, or a node cannot take part.
    """
    if address is not None:
        _doctor_of_nodes(address, workload, as_json=as_json)
    from study.cli.doctor import DEFAULT_PLAN, examine, healthy
    from study.cli.doctor import as_json as in_json

    findings = examine(data_dir=data_dir, workload=workload)
    if as_json:
        print(in_json(findings))
    else:
        for each in findings:
            if each.state == "ok" and volume.quiet:
                continue
            results.print(f"{_MARKS[each.state]}  {each.item}: {each.found}", markup=False, highlight=False)
            if each.todo and each.state != "ok":
                results.print(f"           to do: {each.todo}", markup=False, highlight=False)
        what = f"tuneoff launch {DEFAULT_PLAN if workload is None else workload}"
        results.print(f"`{what}` {'can' if healthy(findings) else 'cannot'} run here.", highlight=False)
    raise typer.Exit(0 if healthy(findings) else 1)


def _doctor_of_nodes(address: str, workload: str | None, *, as_json: bool) -> NoReturn:
    from study.cluster.admission import enter
    from study.cluster.environment import prepare

    where = place(address)
    if where.local:
        raise UserError(f"doctor --address {address}: that is no running cluster; without --address it looks here")
    prepare(local=False)
    entered = enter(where)
    from study.cli.nodes import as_json as in_json
    from study.cli.nodes import ask_nodes, healthy, print_nodes

    found = ask_nodes(entered.address, workload)
    if as_json:
        print(in_json(found))
    else:
        print_nodes(found, results)
    raise typer.Exit(0 if healthy(found) else 1)


def setup_julia(
    gpu: Annotated[bool | None, typer.Option(help="Install CUDA.jl, too.", show_default="where there is a GPU")] = None,
    time_limit: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Give up after so long; the next call goes on.")
    ] = 1800,
    again: Annotated[bool, typer.Option("--again", help="Install and compile even what is there already.")] = False,
    workload: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Compile the model of this workload, too, for its trials.")
    ] = None,
) -> None:
    """Install and compile Julia and Flux, once; studies without Flux do not need it.

    Can be interrupted: the next call goes on.
    """
    from study.store.provenance import gpus
    from trainables.flux.ahead import compile_model
    from trainables.flux.setup import set_up
    from trainables.frameworks import framework
    from trainables.workloads.prepared import facts
    from trainables.workloads.workload import find

    def say(text: str) -> None:
        out.print(text, highlight=False)

    def hear(line: str) -> None:
        if volume.verbose:
            out.print(f"    {line}", highlight=False)

    asked = find(workload) if workload is not None else None  # before anything takes long
    found = set_up(gpu=bool(gpus()) if gpu is None else gpu, say=say, hear=hear, limit_s=time_limit, again=again)
    if asked is not None:
        made = facts(asked)
        compile_model(
            framework("flux").model_file(asked),
            shape=made.shape,
            outputs=made.outputs,
            loss=asked.loss,
            options=asked.options,
            limit_s=time_limit,
            say=say,
            hear=hear,
        )
    trainer = f" of {found.source}" if found.source else ""
    results.print(
        f"Flux is ready: Julia {found.julia}, Flux {found.flux}, FluxTrainer {found.flux_trainer}{trainer}.",
        highlight=False,
    )
