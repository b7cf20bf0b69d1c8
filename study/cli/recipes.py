"""``tuneoff cluster``: prints files that run a study on a cluster, and starts nothing itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.cli.running import fail
from study.console import complain
from trainables.common.places import path_at

if TYPE_CHECKING:
    from study.cluster.recipes.work import Nodes, Work

SHORTEST_S = 600  # of time limits

recipes = typer.Typer(
    help="Print a file that runs a study on a cluster: to stdout, for you to read and keep.",
    add_completion=False,
    rich_markup_mode=None,
)


Plan = Annotated[str, typer.Argument(metavar="PLAN", help="A shipped plan's name, or a TOML file.")]
Name = Annotated[str | None, typer.Option(help="The study's name; the plan's, if not given.")]
SharedOut = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="PATH",
        parser=path_at("--out"),
        help="Folder of studies that every node sees, as a whole path.",
    ),
]
Frameworks = Annotated[str | None, typer.Option(help="Names, comma-separated, or `available`.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the plan.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        parser=path_at("--data-dir"),
        help="Folder with the data set's IDX files, where the study's command runs.",
    ),
]
Variables = Annotated[list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help="For every node.")]
Count = Annotated[int, typer.Option("--nodes", min=1, help="How many.")]
Gpus = Annotated[int, typer.Option(min=0, help="Of a node.")]
Time = Annotated[str, typer.Option("--time", help="Limit: minutes or [days-]hours:minutes:seconds.")]
Environment = Annotated[
    Path, typer.Option("--environment", help="Folder of the Python environment with tuneoff; this one, if not given.")
]
HERE = Path(sys.prefix)


@recipes.command()
def slurm(
    plan: Plan,
    out_dir: SharedOut,
    name: Name = None,
    nodes: Count = 2,
    cpus: Annotated[int | None, typer.Option(min=1, help="Of a node; all that it has, if not given.")] = None,
    gpus: Gpus = 0,
    time: Time = "12:00:00",
    partition: Annotated[str | None, typer.Option(help="Slurm's; its default, if not given.")] = None,
    account: Annotated[str | None, typer.Option(help="Slurm's; its default, if not given.")] = None,
    environment: Environment = HERE,
    frameworks: Frameworks = None,
    settings: Settings = None,
    data_dir: DataDir = None,
    variables: Variables = None,
) -> None:
    """An sbatch script: Ray on every node of a job, the study on the first; submitted again, it resumes."""
    from study.cluster.recipes.limits import seconds
    from study.cluster.recipes.slurm import Slurm, slurm_script
    from study.cluster.recipes.work import Nodes, shared

    wanted = Nodes(nodes, cpus, gpus)
    limit_s = seconds(time, least_s=SHORTEST_S)
    work = _work(wanted, plan, name, shared(out_dir), frameworks, settings, data_dir, variables)
    text = slurm_script(work, wanted, Slurm(environment.absolute(), limit_s, partition, account))
    _print(text, f"every node needs {environment.absolute()} and {out_dir}; sbatch it, and again to go on")


@recipes.command()
def kubernetes(
    plan: Plan,
    out_dir: SharedOut,
    image: Annotated[str, typer.Option(help="Of every pod, with tuneoff and ray[default] in it.")],
    claim: Annotated[str, typer.Option(help="Of a volume that many pods may write; it is mounted at --out.")],
    name: Name = None,
    nodes: Count = 2,
    cpus: Annotated[int, typer.Option(min=1, help="Of a node.")] = 4,
    gpus: Gpus = 0,
    memory: Annotated[int, typer.Option(min=1, metavar="GIB", help="Of a node.")] = 16,
    time: Time = "12:00:00",
    namespace: Annotated[str | None, typer.Option(help="kubectl's, if not given.")] = None,
    service_account: Annotated[str | None, typer.Option(help="Of the pods; the namespace's default.")] = None,
    environment: Annotated[
        Path | None, typer.Option(help="Folder of the Python environment in the image; its PATH, if not given.")
    ] = None,
    frameworks: Frameworks = None,
    settings: Settings = None,
    data_dir: DataDir = None,
    variables: Variables = None,
) -> None:
    """A RayJob for KubeRay: a Ray cluster of pods, the study on it; applied again, it resumes."""
    from study.cluster.recipes.kubernetes import Kubernetes, kubernetes_manifest
    from study.cluster.recipes.limits import seconds
    from study.cluster.recipes.work import Nodes, shared

    wanted = Nodes(nodes, cpus, gpus)
    limit_s = seconds(time, least_s=SHORTEST_S)
    work = _work(wanted, plan, name, shared(out_dir), frameworks, settings, data_dir, variables)
    asked = Kubernetes(image, claim, limit_s, memory, namespace, service_account, environment)
    _print(kubernetes_manifest(work, wanted, asked), "kubectl apply -f it; KubeRay must be installed in that cluster")


@recipes.command()
def local(
    plan: Plan,
    out_dir: Annotated[
        Path,
        typer.Option(
            "--out", metavar="PATH", parser=path_at("--out"), help="Folder in which the study's folder is made."
        ),
    ] = Path("results"),
    name: Name = None,
    nodes: Count = 2,
    cpus: Annotated[int, typer.Option(min=1, help="Of a node.")] = 1,
    environment: Environment = HERE,
    frameworks: Frameworks = None,
    settings: Settings = None,
    data_dir: DataDir = None,
    variables: Variables = None,
) -> None:
    """A shell script: a Ray cluster of several nodes on this machine, the study on it; run again, it resumes."""
    from study.cluster.recipes.local import local_script
    from study.cluster.recipes.work import Nodes
    from trainables.common.machine import cpus as usable_cpus

    wanted = Nodes(nodes, cpus)
    work = _work(wanted, plan, name, out_dir.absolute(), frameworks, settings, data_dir, variables)
    ours = usable_cpus().usable
    crowded = f"; {nodes} nodes of {cpus} CPUs share this machine's {ours}" if nodes * cpus > ours else ""
    _print(local_script(work, wanted, environment.absolute()), f"bash it, and again to go on{crowded}")


def _work(
    nodes: Nodes,
    plan: str,
    name: str | None,
    out: Path,
    frameworks: str | None,
    settings: list[str] | None,
    data_dir: Path | None,
    variables: list[str] | None,
) -> Work:
    from study.cluster.recipes import work

    asked = work.Work(
        plan=plan,
        name=str(path_at("--name")(name or Path(plan).stem)),
        out=out,
        frameworks=frameworks,
        settings=tuple(settings or ()),
        data_dir=data_dir,
        environment=work.variables(variables or []),
    )
    return work.work_for(nodes, asked)


def _print(text: str, note: str) -> None:
    """The file on stdout, and nothing else there; in UTF-8 whatever the locale, since it is read elsewhere."""
    sys.stdout.flush()
    try:
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()
    except OSError as error:
        fail(f"cannot print the file ({error.strerror})", 1)
    complain(note)
