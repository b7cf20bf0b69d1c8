"""``tuneoff cluster``: prints files that run a study on a cluster, and starts nothing itself."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.cli.groups import grouped
from study.cli.help import SETTINGS, Command, Group, examples
from study.cli.options import RESULTS, Frameworks, Name, OutDir, PlanArgument, Settings, default_name, study_path
from study.cli.output import with_volume
from study.console import complain
from study.volume import volume
from trainables.common.errors import UserError
from trainables.common.places import path_at

if TYPE_CHECKING:
    from study.cluster.recipes.work import Nodes, Work

SHORTEST_S = 600  # of time limits

recipes = typer.Typer(
    help="Print a file that runs a study on a cluster: to stdout, for you to read and keep.",
    cls=Group,
    context_settings=SETTINGS,
    add_completion=False,
    rich_markup_mode=None,
)

SharedOut = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="PATH",
        parser=path_at("--out"),
        help="Folder of studies that every node sees, as a whole path.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        parser=path_at("--data-dir"),
        help="Folder with the data set's IDX files, where the study's command runs.",
        show_default="as for tuneoff launch",
    ),
]
Variables = Annotated[
    list[str] | None,
    typer.Option("--env", metavar="NAME=VALUE", help="A variable that every node gets; give it again for others."),
]
Count = Annotated[int, typer.Option("--nodes", min=1, metavar="N", help="How many nodes there are.")]
Gpus = Annotated[int, typer.Option(min=0, metavar="N", help="GPUs of a node.")]
Time = Annotated[
    str, typer.Option("--time", metavar="TIME", help="Time limit: minutes, or [days-]hours:minutes:seconds.")
]
Environment = Annotated[
    Path,
    typer.Option(
        "--environment",
        metavar="PATH",
        parser=path_at("--environment"),
        help="Folder of the Python environment that has tuneoff.",
        show_default="this one",
    ),
]
HERE = Path(sys.prefix)


@dataclass(frozen=True)
class Launched:
    """What the study's command is given there, and its environment."""

    frameworks: Frameworks = None
    settings: Settings = None
    data_dir: DataDir = None
    variables: Variables = None


@recipes.command(
    cls=Command,
    epilog=examples(
        "tuneoff cluster slurm mnist-resnet18 --out /shared/results --gpus 1 \\",
        "    --cpus 4 > study.sbatch",
        "sbatch study.sbatch",
    ),
)
@with_volume
@grouped
def slurm(
    plan: PlanArgument,
    out_dir: SharedOut,
    name: Name = None,
    nodes: Count = 2,
    cpus: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="CPUs of a node.", show_default="all that it has")
    ] = None,
    gpus: Gpus = 0,
    time: Time = "12:00:00",
    partition: Annotated[
        str | None, typer.Option(metavar="NAME", help="Slurm's partition.", show_default="Slurm's own")
    ] = None,
    account: Annotated[
        str | None, typer.Option(metavar="NAME", help="Slurm's account.", show_default="Slurm's own")
    ] = None,
    environment: Environment = HERE,
    *,
    launched: Launched,
) -> None:
    """Print an sbatch script: Ray on every node of a job, the study on the first; submitted again, it resumes."""
    from study.cluster.recipes.limits import seconds
    from study.cluster.recipes.slurm import Slurm, slurm_script
    from study.cluster.recipes.work import Nodes, shared

    wanted = Nodes(nodes, cpus, gpus)
    limit_s = seconds(time, least_s=SHORTEST_S)
    work = _work(wanted, plan, name, shared(out_dir), launched)
    text = slurm_script(work, wanted, Slurm(environment.absolute(), limit_s, partition, account))
    _print(text, f"every node needs {environment.absolute()} and {out_dir}; sbatch it, and again to go on")


@recipes.command(
    cls=Command,
    epilog=examples(
        "tuneoff cluster kubernetes quickstart --out /results --image me/tuneoff \\",
        "    --claim studies > study.yaml",
        "kubectl apply -f study.yaml",
    ),
)
@with_volume
@grouped
def kubernetes(
    plan: PlanArgument,
    out_dir: SharedOut,
    image: Annotated[
        str, typer.Option(metavar="IMAGE", help="Image of every pod, with tuneoff and ray[default] in it.")
    ],
    claim: Annotated[
        str, typer.Option(metavar="NAME", help="Claim of a volume that many pods may write; it is mounted at --out.")
    ],
    name: Name = None,
    nodes: Count = 2,
    cpus: Annotated[int, typer.Option(min=1, metavar="N", help="CPUs of a node.")] = 4,
    gpus: Gpus = 0,
    memory: Annotated[int, typer.Option(min=1, metavar="GIB", help="Memory of a node.")] = 16,
    time: Time = "12:00:00",
    namespace: Annotated[
        str | None, typer.Option(metavar="NAME", help="Namespace of the job.", show_default="kubectl's")
    ] = None,
    service_account: Annotated[
        str | None, typer.Option(metavar="NAME", help="Service account of the pods.", show_default="the namespace's")
    ] = None,
    environment: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Folder of the Python environment in the image.", show_default="the image's PATH"
        ),
    ] = None,
    *,
    launched: Launched,
) -> None:
    """Print a RayJob for KubeRay: a Ray cluster of pods, the study on it; applied again, it resumes."""
    from study.cluster.recipes.kubernetes import Kubernetes, kubernetes_manifest
    from study.cluster.recipes.limits import seconds
    from study.cluster.recipes.work import Nodes, shared

    wanted = Nodes(nodes, cpus, gpus)
    limit_s = seconds(time, least_s=SHORTEST_S)
    work = _work(wanted, plan, name, shared(out_dir), launched)
    asked = Kubernetes(image, claim, limit_s, memory, namespace, service_account, environment)
    _print(kubernetes_manifest(work, wanted, asked), "kubectl apply -f it; KubeRay must be installed in that cluster")


@recipes.command(cls=Command, epilog=examples("tuneoff cluster local quickstart > study.sh", "bash study.sh"))
@with_volume
@grouped
def local(
    plan: PlanArgument,
    out_dir: OutDir = RESULTS,
    name: Name = None,
    nodes: Count = 2,
    cpus: Annotated[int, typer.Option(min=1, metavar="N", help="CPUs of a node.")] = 1,
    environment: Environment = HERE,
    *,
    launched: Launched,
) -> None:
    """Print a shell script: a Ray cluster of several nodes on this machine, the study on it; run again, it resumes."""
    from study.cluster.recipes.local import local_script
    from study.cluster.recipes.work import Nodes
    from trainables.common.machine import cpus as usable_cpus

    if not (environment / "bin" / "tuneoff").exists():
        raise UserError(f"--environment {environment} has no bin/tuneoff; give the folder of the environment that has")
    wanted = Nodes(nodes, cpus)
    work = _work(wanted, plan, name, out_dir.absolute(), launched)
    ours = usable_cpus().usable
    crowded = f"; {nodes} nodes of {cpus} CPUs share this machine's {ours}" if nodes * cpus > ours else ""
    _print(local_script(work, wanted, environment.absolute()), f"bash it, and again to go on{crowded}")


def _work(
    nodes: Nodes,
    plan: str,
    name: str | None,
    out: Path,
    launched: Launched,
) -> Work:
    from study.cluster.recipes import work

    asked = work.Work(
        plan=plan,
        name=study_path(out, name, default_name(plan), "the plan's name").name,
        out=out,
        frameworks=launched.frameworks,
        settings=tuple(launched.settings or ()),
        data_dir=launched.data_dir,
        environment=work.variables(launched.variables or []),
    )
    return work.work_for(nodes, asked)


def _print(text: str, note: str) -> None:
    """The file on stdout, and nothing else there; in UTF-8 whatever the locale, since it is read elsewhere."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()
    if not volume.quiet:
        complain(note)
