"""The command line: ``tuneoff``."""

from __future__ import annotations

import json
import logging
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import psutil
import typer
from rich.console import Console
from rich.table import Table

from reports.errors import ReportError
from study.cli.recipes import recipes
from study.cli.running import (
    check_available,
    fail,
    go_on,
    open_study,
    out,
    start,
    tell_failures,
    write_report,
)
from study.cluster.address import place
from study.console import speak_in_any_encoding
from trainables.common.errors import UserError
from trainables.common.places import path_at
from trainables.frameworks import FRAMEWORKS

if TYPE_CHECKING:
    from study.cluster.choice import NodeChoice

BAD_INPUT = 2
REAL = [each.name for each in FRAMEWORKS.values() if each.real]

app = typer.Typer(
    name="tuneoff",
    help="PyTorch or Flux, each at its best configuration: which reaches the target accuracy sooner?",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(recipes, name="cluster")

StudyDir = Annotated[
    Path, typer.Argument(metavar="DIR", parser=path_at("DIR"), help="A study's folder, as `launch` made it.")
]
Address = Annotated[
    str | None, typer.Option(help="HOST:PORT of a running Ray cluster, auto, or local; RAY_ADDRESS, else local.")
]
ExcludeNode = Annotated[
    list[str] | None, typer.Option("--exclude-node", metavar="ADDRESS", help="A node that gets no trial; repeatable.")
]
AllowMixed = Annotated[
    bool, typer.Option("--allow-mixed", help="Use nodes that differ, and go on without those that lack something.")
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH", parser=path_at("--data-dir"), help="Folder with the data set's IDX files, gzipped or not."
    ),
]
OutDir = Annotated[
    Path,
    typer.Option("--out", metavar="PATH", parser=path_at("--out"), help="Folder in which the study's folder is made."),
]
Frameworks = Annotated[str | None, typer.Option(help="Names, comma-separated, or `available`.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the plan.")]
SharedGpu = Annotated[
    bool,
    typer.Option("--allow-shared-gpu", help="Let slice.gpus be a part of one: times then say little, and are marked."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def launch(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="A shipped plan's name, or a TOML file.")],
    name: Annotated[str | None, typer.Option(help="The study's name; the plan's, if not given.")] = None,
    out_dir: OutDir = Path("results"),
    frameworks: Frameworks = None,
    settings: Settings = None,
    address: Address = None,
    exclude_node: ExcludeNode = None,
    allow_mixed: AllowMixed = False,
    data_dir: DataDir = None,
    allow_shared_gpu: SharedGpu = False,
) -> None:
    """Search each framework's best configuration, confirm it, and write the report."""
    from study.plan.files import load_plan

    settings = _with_sharing(settings, allow_shared_gpu)
    complete = load_plan(plan, settings=settings, frameworks=_names(frameworks))
    start(
        complete,
        out_dir / path_at("--name")(name or Path(plan).stem),
        place(address),
        data_dir,
        _choice(exclude_node, allow_mixed),
    )


@app.command()
def sweep(
    workload: Annotated[str, typer.Argument(metavar="WORKLOAD", help="For instance mnist-lenet.")],
    over: Annotated[list[str], typer.Option(metavar="NAME=VALUE,...", help="num_workers, batch_size, learning_rate.")],
    learning_rate: Annotated[float, typer.Option(help="Where it is not varied.")] = 0.02,
    batch_size: Annotated[int, typer.Option(help="Where it is not varied.")] = 128,
    num_workers: Annotated[int, typer.Option(help="Where it is not varied.")] = 2,
    repeats: Annotated[int, typer.Option(help="Trainings per value and framework.")] = 3,
    name: Annotated[str | None, typer.Option(help="The study's name; sweep-WORKLOAD, if not given.")] = None,
    out_dir: OutDir = Path("results"),
    frameworks: Frameworks = None,
    settings: Settings = None,
    address: Address = None,
    exclude_node: ExcludeNode = None,
    allow_mixed: AllowMixed = False,
    data_dir: DataDir = None,
    allow_shared_gpu: SharedGpu = False,
) -> None:
    """Train at one configuration, again for each value of one hyperparameter; a study like any other.

    Ten epochs with weight decay 5e-4, whatever the accuracy, unless --set training.epochs=... says otherwise: the
    experiment of the benchmark that this project grew from.
    """
    from study.plan.files import sweep_plan

    point = {"learning_rate": learning_rate, "batch_size": batch_size, "num_workers": num_workers}
    values = {"over": dict(_over(each) for each in over), "repeats": repeats, **point}
    settings = _with_sharing(settings, allow_shared_gpu)
    complete = sweep_plan(workload, values, settings=settings, frameworks=_names(frameworks))
    start(
        complete,
        out_dir / path_at("--name")(name or f"sweep-{workload}"),
        place(address),
        data_dir,
        _choice(exclude_node, allow_mixed),
    )


@app.command()
def resume(
    folder: StudyDir,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="More trials or runs than were planned.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run trials that failed again.")] = False,
    address: Address = None,
    exclude_node: ExcludeNode = None,
    allow_mixed: AllowMixed = False,
    data_dir: DataDir = None,
) -> None:
    """Go on with a study where it stopped, whatever stopped it.

    Exit code 1 when failures left a framework without a result.
    """
    from study.cli.status import status as look
    from study.store.manifest import changed

    where = place(address)
    found, plan = open_study(folder)
    plan = changed(plan, found, settings or [])
    state = look(plan, found)
    if state["done"] and not (retry_failed and state["failures"]):
        out.print(f"{folder} is finished: nothing to run.")
        if not (found.report / "index.html").exists():
            write_report(found)
        tell_failures(plan, found, where)
        return
    go_on(plan, found, where, data_dir, _choice(exclude_node, allow_mixed), retry_failed=retry_failed)


@app.command()
def confirm(
    folder: StudyDir,
    address: Address = None,
    exclude_node: ExcludeNode = None,
    allow_mixed: AllowMixed = False,
    data_dir: DataDir = None,
) -> None:
    """Run the confirmation runs that are missing, with the best configurations found so far."""
    where = place(address)
    found, plan = open_study(folder)
    if plan.sweep is not None:
        raise UserError(f"{folder} is a sweep, which has nothing to confirm; `tuneoff resume {folder}` goes on with it")
    go_on(plan, found, where, data_dir, _choice(exclude_node, allow_mixed), ("confirm",))


@app.command()
def report(
    folder: StudyDir,
    verify: Annotated[
        bool, typer.Option("--verify", help="Write nothing; compute every number again and say which differ.")
    ] = False,
    gpu_hour: Annotated[float | None, typer.Option(min=0.0, help="Price of a GPU for an hour.")] = None,
    cpu_hour: Annotated[float | None, typer.Option(min=0.0, help="Price of a CPU for an hour.")] = None,
) -> None:
    """Write the report again from the records.

    With --verify: exit code 1 when the written report and the records differ.
    """
    from reports.page.checking import verify_report
    from reports.tables.cost import Price
    from study.store.lock import is_running
    from study.store.parquet import parquet_differences

    found, _ = open_study(folder)
    if not verify:
        write_report(found, Price(gpu_hour=gpu_hour, cpu_hour=cpu_hour) if gpu_hour or cpu_hour else None)
        return
    if is_running(found):
        raise UserError(f"{folder} is running, and its records change; verify its report when it is done")
    differences = [*parquet_differences(found), *verify_report(found.path)]
    for difference in differences:
        out.print(difference, markup=False, highlight=False)
    out.print(f"{len(differences)} differ." if differences else "Every number is what the records say.")
    raise typer.Exit(1 if differences else 0)


@app.command()
def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", parser=path_at("DIR"), help="Two or more studies' folders.")
    ],
    out_dir: Annotated[
        Path, typer.Option("--out", metavar="PATH", parser=path_at("--out"), help="Folder for the page.")
    ] = Path("results/comparison"),
) -> None:
    """One page over several studies: workloads or machines."""
    from reports.page.comparing import write_comparison

    if len(folders) < 2:
        raise UserError("compare needs two studies or more; `tuneoff report` is for one")
    for folder in folders:
        open_study(folder)
    out.print(write_comparison(folders, out_dir), style="bold", highlight=False)
    out.print(f"comparison: {out_dir / 'index.html'}", highlight=False)


@app.command()
def status(folder: StudyDir, as_json: AsJson = False) -> None:
    """Show what a study has done so far."""
    from study.cli.status import status as look
    from study.driver.progress import describe
    from trainables.frameworks import framework

    found, plan = open_study(folder)
    state = look(plan, found)
    if as_json:
        print(json.dumps(state, indent=2))
        return
    stopped = f"stopped; `tuneoff resume {folder}`"
    finished = "finished, without a usable result" if state["without_result"] else "finished"
    doing = "running" if state["running"] else finished if state["done"] else stopped
    out.print(f"{state['study']} ({state['workload']}): {doing}")
    table = Table()
    for column in ("framework", "trials", "reached", "failed", "confirmed", "cost in slice-s", "best"):
        table.add_column(column)
    for name, each in state["frameworks"].items():
        table.add_row(
            framework(name).title,
            f"{each['trials']}/{each['trials_wanted']}",
            str(each["reached"]),
            str(each["failed"]),
            f"{each['confirmed']}/{each['confirmed_wanted']}",
            f"{each['cost_slice_s']:.0f}",
            describe(each["best"]) if each["best"] else "none yet",
        )
    out.print(table)
    if (failed := state["failures"]) is not None:
        out.print(f"{failed['said']}; `tuneoff resume {folder} --retry-failed` runs them again", highlight=False)
    if state["report"]:
        out.print(f"report: {state['report']}")


@app.command()
def doctor(as_json: AsJson = False, data_dir: DataDir = None, address: Address = None) -> None:
    """Tell whether a study can run here, and what to do where it cannot; with --address, on each node of that cluster.

    Exit code 1 where it cannot, or where one of the nodes cannot take part.
    """
    if address is not None:
        _doctor_of_nodes(address, as_json=as_json)
    from study.cli.doctor import as_json as in_json
    from study.cli.doctor import examine, healthy

    findings = examine(data_dir=data_dir)
    if as_json:
        print(in_json(findings))
    else:
        for each in findings:
            mark = {"ok": "ok     ", "missing": "missing", "problem": "PROBLEM"}[each.state]
            out.print(f"{mark}  {each.item}: {each.found}", markup=False, highlight=False)
            if each.todo and each.state != "ok":
                out.print(f"           to do: {each.todo}", markup=False, highlight=False)
        out.print("The default plan can run." if healthy(findings) else "The default plan cannot run.")
    raise typer.Exit(0 if healthy(findings) else 1)


def _doctor_of_nodes(address: str, *, as_json: bool) -> NoReturn:
    from study.cluster.admission import enter
    from study.cluster.environment import prepare

    where = place(address)
    if where.local:
        raise UserError(f"doctor --address {address}: that is no running cluster; without --address it looks here")
    prepare(local=False)
    entered = enter(where)
    from study.cli.nodes import as_json as in_json
    from study.cli.nodes import ask_nodes, healthy, print_nodes

    found = ask_nodes(entered.address)
    if as_json:
        print(in_json(found))
    else:
        print_nodes(found, out)
    raise typer.Exit(0 if healthy(found) else 1)


@app.command(name="setup-julia")
def setup_julia(
    gpu: Annotated[bool | None, typer.Option(help="Install CUDA.jl too; if not given, where there is a GPU.")] = None,
    time_limit: Annotated[float, typer.Option(min=1.0, metavar="SECONDS", help="Give up after so long.")] = 1800.0,
    again: Annotated[bool, typer.Option("--again", help="Even where it has been done.")] = False,
) -> None:
    """Install and compile Julia and Flux, once; studies without Flux do not need it.

    Can be interrupted: the next call goes on.
    """
    from study.store.provenance import gpus
    from trainables.flux.setup import set_up

    found = set_up(
        gpu=bool(gpus()) if gpu is None else gpu,
        say=lambda text: out.print(text, highlight=False),
        limit_s=time_limit,
        again=again,
    )
    out.print(f"Flux is ready: Julia {found.julia}, Flux {found.flux}.", highlight=False)


@app.command()
def verify(
    workloads: Annotated[
        list[str] | None, typer.Option("--workload", help="Again for another; every shipped one, if not given.")
    ] = None,
    steps: Annotated[int, typer.Option(min=2, help="Training steps to compare.")] = 50,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Prove that the frameworks compute the same training, step by step, and write a certificate.

    Exit code 1 when they do not.
    """
    from study.cli.verifying import print_certificate, verify_workload
    from trainables.frameworks import traced
    from trainables.workloads.datasets import prepare
    from trainables.workloads.shipped import WORKLOADS
    from trainables.workloads.shipped import workload as find_workload

    chosen = [find_workload(name) for name in workloads or WORKLOADS]
    compared = traced()
    check_available(compared)
    for each in chosen:
        prepare(each.dataset, data_dir=data_dir)
    certificates = []
    for each in chosen:
        try:
            certificates.append(verify_workload(each, compared, steps=steps, console=Console(stderr=True)))
        except RuntimeError as error:
            fail(f"{each.name} could not be verified: {error}", 1)
        if not as_json:
            print_certificate(certificates[-1], out)
    if as_json:
        print(json.dumps(certificates, indent=2))
    if not all(certificate["equal"] for certificate in certificates):
        raise typer.Exit(1)


@app.command()
def train(
    framework: Annotated[str, typer.Option(help=f"{' or '.join(REAL)}.")],
    workload: Annotated[str, typer.Option(help="For instance mnist-lenet; it names the data set and the model.")],
    learning_rate: Annotated[float, typer.Option(min=0.0)],
    batch_size: Annotated[int, typer.Option(min=1)],
    num_workers: Annotated[int, typer.Option(min=0, help="Loader processes or threads; 0: none.")] = 0,
    optimizer: Annotated[str, typer.Option(help="sgd or adam.")] = "sgd",
    momentum: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of SGD.")] = 0.9,
    weight_decay: Annotated[float, typer.Option(min=0.0)] = 0.0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Train so many, target or not.")] = None,
    target: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Validation accuracy, a fraction.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="float32, or bf16 for forward passes in bfloat16.")] = "float32",
    memory_format: Annotated[str, typer.Option(help="contiguous or channels_last.")] = "contiguous",
    data_on_device: Annotated[bool, typer.Option("--data-on-device", help="Keep the training split there.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Compute threads; every usable CPU, if not given.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1)] = 0,
    report_every: Annotated[int, typer.Option(min=1, help="Print every so many evaluations.")] = 1,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Train once, without Ray, and show where the time went.

    Stops at the target; with --epochs and no --target it trains that many epochs whatever the accuracy.
    """
    from dataclasses import asdict

    from study.cli.single import evaluation_line, failure, on_this_machine, print_result, single_spec
    from trainables.training import Training
    from trainables.workloads.datasets import prepare
    from trainables.workloads.shipped import workload as find_workload

    spec = single_spec(
        framework=framework,
        workload_name=workload,
        learning_rate=learning_rate,
        batch_size=batch_size,
        num_workers=num_workers,
        optimizer=optimizer,
        momentum=momentum,
        weight_decay=weight_decay,
        epochs=epochs,
        target=target,
        device=device,
        threads=threads,
        seed=seed,
        precision=precision,
        memory_format=memory_format,
        data_on_device=data_on_device,
    )
    prepare(find_workload(workload).dataset, data_dir=data_dir)
    began = time.perf_counter()
    spec = on_this_machine(spec, device)
    training = Training(spec, started=_process_start() + time.perf_counter() - began)  # looking is no part of it
    try:
        while not training.finished:
            evaluation = training.advance()
            if not as_json and (evaluation.evaluation % report_every == 0 or training.finished):
                out.print(evaluation_line(evaluation), highlight=False)
    except KeyboardInterrupt:
        out.print("interrupted")
        raise typer.Exit(130) from None
    except UserError:
        raise
    except Exception as error:  # whatever a framework raises
        fail(failure(spec, error), 1)
    finally:
        with suppress(Exception):  # after a failure it may fail again
            training.close()
    result = training.result()
    if as_json:
        print(json.dumps({"spec": spec.as_dict(), **result, "curve": [asdict(each) for each in training.evaluations]}))
    else:
        print_result(result, out)


def main() -> None:
    """Entry point: bad input becomes one line on stderr and exit code 2."""
    speak_in_any_encoding()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # where it may not keep its fonts is not worth a line
    command = typer.main.get_command(app)
    try:
        code = command.main(sys.argv[1:] or ["--help"], standalone_mode=False)
    except (UserError, ReportError) as error:
        fail(str(error), BAD_INPUT)
    except typer.TyperException as error:
        fail(f"{error.format_message()} (see tuneoff --help)", BAD_INPUT)
    except OSError as error:
        if error.filename is None:
            raise
        fail(f"cannot use {error.filename} ({error.strerror})", 1)
    else:
        sys.exit(code or 0)


def _choice(exclude: list[str] | None, allow_mixed: bool) -> NodeChoice:
    from study.cluster.choice import NodeChoice

    return NodeChoice(tuple(exclude or ()), allow_mixed)


def _names(frameworks: str | None) -> list[str] | None:
    return None if frameworks is None else [each.strip() for each in frameworks.split(",")]


def _with_sharing(settings: list[str] | None, allowed: bool) -> list[str]:
    return [*(settings or []), *["slice.allow_shared_gpu=true"] * allowed]


def _over(text: str) -> tuple[str, list[float]]:
    """``num_workers=2,4`` as a name and its values."""
    name, separator, values = text.partition("=")
    try:
        numbers = [float(value) for value in values.split(",")]
    except ValueError:
        separator = ""
    if not separator:
        raise UserError(f"--over {text}: write name=value,value, as in --over num_workers=2,4,8")
    return name.strip(), [int(value) if value == int(value) else value for value in numbers]


def _process_start() -> float:
    """``time.perf_counter()`` at which this process began."""
    return time.perf_counter() - (time.time() - psutil.Process().create_time())
