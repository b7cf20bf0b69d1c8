"""Options and arguments that several commands share, and what a shell completes them to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from study.plan.names import check_name
from study.plan.shelf import shipped_plans, told
from trainables.common.errors import UserError
from trainables.common.places import path_at
from trainables.frameworks import FRAMEWORKS

if TYPE_CHECKING:
    from study.cluster.choice import NodeChoice

RESULTS = Path("results")
REAL = [each.name for each in FRAMEWORKS.values() if each.real]


def plan_names(incomplete: str) -> list[tuple[str, str]]:
    """The shipped plans that begin so, each with what it is."""
    return [(name, told(name)) for name in shipped_plans() if name.startswith(incomplete)]


def _studies(incomplete: str) -> list[str]:
    start = incomplete or f"{RESULTS}/"
    return [str(each.parent) for each in sorted(Path().glob(f"{start}*/plan.toml"))] if start[0] not in "/~" else []


def _workloads(incomplete: str) -> list[str]:
    from trainables.workloads.shipped import WORKLOADS

    return [name for name in WORKLOADS if name.startswith(incomplete)]


def _frameworks(incomplete: str) -> list[str]:
    before, comma, _ = incomplete.rpartition(",")
    names = REAL if comma else ["available", *REAL]
    return [f"{before}{comma}{name}" for name in names if name not in before.split(",")]


def _real(incomplete: str) -> list[str]:
    return [name for name in REAL if name.startswith(incomplete)]


def _name_option(default: str) -> Any:
    return typer.Option(metavar="NAME", help="The study's name, which is its folder's.", show_default=default)


def _frameworks_option(default: str) -> Any:
    return typer.Option(
        metavar="NAMES",
        help="Frameworks, comma-separated: pytorch, flux, or `available` for all that can run.",
        show_default=default,
        autocompletion=_frameworks,
    )


PlanArgument = Annotated[
    str,
    typer.Argument(
        metavar="PLAN",
        help="A shipped plan's name (`tuneoff plan` lists them), or the path of a TOML file.",
        autocompletion=plan_names,
    ),
]
StudyDir = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        parser=path_at("DIR"),
        help="A study's folder, as `tuneoff launch` made it: results/NAME.",
        autocompletion=_studies,
    ),
]
StudyDirs = Annotated[
    list[Path],
    typer.Argument(
        metavar="DIR...", parser=path_at("DIR"), help="Two or more studies' folders.", autocompletion=_studies
    ),
]
WorkloadArgument = Annotated[
    str,
    typer.Argument(
        metavar="WORKLOAD",
        help="Data set and model: digits-lenet, or {mnist,fashion}-{lenet,resnet18}.",
        autocompletion=_workloads,
    ),
]
FrameworkOption = Annotated[
    str, typer.Option(metavar="NAME", help=f"The framework: {' or '.join(REAL)}.", autocompletion=_real)
]
WorkloadOption = Annotated[
    str,
    typer.Option(
        metavar="WORKLOAD",
        help="Data set and model: digits-lenet, or {mnist,fashion}-{lenet,resnet18}.",
        autocompletion=_workloads,
    ),
]
WorkloadOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--workload",
        metavar="WORKLOAD",
        help="The workload to verify; give it again for another.",
        show_default="every shipped one",
        autocompletion=_workloads,
    ),
]
Name = Annotated[str | None, _name_option("the plan's")]
SweepName = Annotated[str | None, _name_option("sweep-WORKLOAD")]
OutDir = Annotated[
    Path,
    typer.Option("--out", metavar="PATH", parser=path_at("--out"), help="Folder in which the study's folder is made."),
]
Frameworks = Annotated[str | None, _frameworks_option("the plan's")]
SweptFrameworks = Annotated[str | None, _frameworks_option("available")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a key of the plan, as in search.trials=50; give it again for others."
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="A running Ray cluster; `auto` finds one, `local` starts a Ray of the study's own.",
        show_default="RAY_ADDRESS, else local",
    ),
]
ExcludeNode = Annotated[
    list[str] | None,
    typer.Option("--exclude-node", metavar="ADDRESS", help="A node that gets no trial; give it again for others."),
]
AllowMixed = Annotated[
    bool, typer.Option("--allow-mixed", help="Use nodes that differ, and go on without those that lack something.")
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        parser=path_at("--data-dir"),
        help="Folder with the data set's IDX files, gzipped or not.",
        show_default="the cache, Debian's package, else a download",
    ),
]
SharedGpu = Annotated[
    bool,
    typer.Option(
        "--allow-shared-gpu", help="Let slice.gpus be a part of one: times then say little, and are marked so."
    ),
]
GpuHour = Annotated[
    float | None,
    typer.Option(metavar="PRICE", help="What a GPU costs for an hour; kept with the study, 0 forgets it."),
]
CpuHour = Annotated[
    float | None,
    typer.Option(metavar="PRICE", help="What a CPU costs for an hour; kept with the study, 0 forgets it."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def study_path(out_dir: Path, name: str | None, default: str, source: str) -> Path:
    """The folder of a study that is begun.

    Parameters
    ----------
    name, default
        As it was given, or where it was not; ``source`` says where the default comes from.
    """
    return out_dir / (check_name(default, source) if name is None else check_name(name))


def named(frameworks: str | None) -> list[str] | None:
    """Frameworks as they were given, comma-separated."""
    if frameworks is None:
        return None
    names = [each.strip() for each in frameworks.split(",") if each.strip()]
    if not names:
        raise UserError(f"--frameworks names none; give {', '.join(REAL)} or available")
    return names


def with_sharing(settings: list[str] | None, allowed: bool) -> list[str]:
    """Settings of a plan, and the one that --allow-shared-gpu stands for."""
    return [*(settings or []), *["slice.allow_shared_gpu=true"] * allowed]


def choice(exclude: list[str] | None, allow_mixed: bool) -> NodeChoice:
    """What is wanted of a cluster's nodes."""
    from study.cluster.choice import NodeChoice

    return NodeChoice(tuple(exclude or ()), allow_mixed)
