"""Options and arguments that several commands share, and what a shell completes them to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from study.plan.names import check_name
from study.plan.shelf import shipped_plans, told
from trainables.common.places import path_at
from trainables.frameworks import FRAMEWORKS
from trainables.workloads.workload import FILE, shipped

RESULTS = Path("results")
REAL = [each.name for each in FRAMEWORKS.values() if each.real]


def plan_names(incomplete: str) -> list[tuple[str, str]]:
    """The shipped plans that begin so, each with what it is."""
    return [(name, told(name)) for name in shipped_plans() if name.startswith(incomplete)]


def _studies(incomplete: str) -> list[str]:
    start = incomplete or f"{RESULTS}/"
    return [str(each.parent) for each in sorted(Path().glob(f"{start}*/plan.toml"))] if start[0] not in "/~" else []


def _folders(incomplete: str) -> list[str]:
    """Folders with a workload that begin so, and are named as they were."""
    if incomplete.startswith("~"):
        return []
    where, _, start = incomplete.rpartition("/")
    inside = Path(f"{where}/") if where or incomplete.startswith("/") else Path()
    names = sorted(each.parent.name for each in inside.glob(f"*/{FILE}") if each.parent.name.startswith(start))
    return [f"{where}/{name}" if "/" in incomplete else name for name in names]


def plans(incomplete: str) -> list[tuple[str, str]]:
    """The shipped plans that begin so, each with what it is, and folders with a workload."""
    return [*plan_names(incomplete), *((each, "a workload's folder") for each in _folders(incomplete))]


def tables(incomplete: str) -> list[str]:
    """The recorded tables that come with the package and begin so, and studies."""
    from study.replay.shelf import shipped_tables

    return [*(name for name in shipped_tables() if name.startswith(incomplete)), *_studies(incomplete)]


def workloads(incomplete: str) -> list[str]:
    """The shipped workloads that begin so, and folders with one."""
    return [*(name for name in shipped() if name.startswith(incomplete)), *_folders(incomplete)]


def _frameworks(incomplete: str) -> list[str]:
    before, comma, _ = incomplete.rpartition(",")
    names = REAL if comma else ["available", *REAL]
    return [f"{before}{comma}{name}" for name in names if name not in before.split(",")]


def _real(incomplete: str) -> list[str]:
    return [name for name in REAL if name.startswith(incomplete)]


def _keys(incomplete: str) -> list[tuple[str, str]]:
    """The keys of a plan that begin so, each with what it means; a sweep's are options of their own."""
    from search_spaces.names import HYPERPARAMETERS
    from study.plan.keys import meanings

    known = {key: each for key, each in meanings().items() if not key.startswith("sweep.")}
    known |= {f"space.all.{name}": "{ low, high, log }, { choices } or a number" for name in HYPERPARAMETERS}
    return [(f"{key}=", meaning) for key, meaning in known.items() if key.startswith(incomplete)]


def _sweep_keys(incomplete: str) -> list[tuple[str, str]]:
    return [found for found in _keys(incomplete) if found[0].startswith(("slice.", "training."))]


def changeable(incomplete: str) -> list[str]:
    """The keys that may change when a study has begun."""
    from study.store.manifest import MAY_CHANGE

    return [f"{key}=" for key in MAY_CHANGE if key.startswith(incomplete)]


def varied(incomplete: str) -> list[str]:
    """What a sweep may vary."""
    from search_spaces.names import HYPERPARAMETERS

    return [f"{name}=" for name in HYPERPARAMETERS if name.startswith(incomplete)]


def _name_option(default: str) -> Any:
    return typer.Option(metavar="NAME", help="The study's name, which is its folder's.", show_default=default)


def _frameworks_option(default: str) -> Any:
    return typer.Option(
        metavar="NAMES",
        help="Frameworks, comma-separated: pytorch, flux, or `available` for all that can run.",
        show_default=default,
        autocompletion=_frameworks,
    )


_WORKLOAD: Any = {
    "metavar": "WORKLOAD",
    "help": "A folder with data and models, or digits-lenet, {mnist,fashion}-{lenet,resnet18}.",
    "autocompletion": workloads,
}
PlanArgument = Annotated[
    str,
    typer.Argument(
        metavar="PLAN",
        help="A shipped plan's name (`tuneoff plan` lists them), a TOML file, a workload's folder or name.",
        autocompletion=plans,
    ),
]
StudyDir = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        parser=path_at("DIR"),
        help="A study's folder, as `tuneoff launch` or `tuneoff sweep` made it: results/NAME.",
        autocompletion=_studies,
    ),
]
StudyDirs = Annotated[
    list[Path],
    typer.Argument(
        metavar="DIR...", parser=path_at("DIR"), help="Two or more studies' folders.", autocompletion=_studies
    ),
]
WorkloadArgument = Annotated[str, typer.Argument(**_WORKLOAD)]
FrameworkOption = Annotated[
    str, typer.Option(metavar="NAME", help=f"The framework: {' or '.join(REAL)}.", autocompletion=_real)
]
WorkloadOption = Annotated[str, typer.Option(**_WORKLOAD)]
WorkloadArguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[WORKLOAD]...",
        help="The workloads to verify: shipped ones, or folders.",
        show_default="every shipped one",
        autocompletion=workloads,
    ),
]
WorkloadOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--workload",
        metavar="WORKLOAD",
        help="The same as an argument.",
        show_default="none",
        hidden=True,
        autocompletion=workloads,
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
WarmStart = Annotated[
    Path | None,
    typer.Option(
        "--warm-start",
        metavar="DIR",
        parser=path_at("--warm-start"),
        help="A study, of any workload, whose best configurations each search tries first.",
        autocompletion=_studies,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the plan, as in search.trials=50; give it again for others.",
        autocompletion=_keys,
    ),
]
SweepSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of slice or training, as in training.epochs=5; give it again for others.",
        autocompletion=_sweep_keys,
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
NodesAddress = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="A running Ray cluster, whose nodes are asked; `auto` finds one.",
        show_default="look at this machine",
    ),
]
ExcludeNode = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude-node",
        metavar="ADDRESS",
        help="A node that gets no trial, by address or host name; give it again for others.",
    ),
]
AllowMixed = Annotated[
    bool, typer.Option("--allow-mixed", help="Use nodes that differ, and go on without those that lack something.")
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        parser=path_at("--data-dir"),
        help="Folder that data.py reads; of MNIST the one with its IDX files, gzipped or not.",
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
    typer.Option(
        metavar="PRICE", help="What a GPU costs for an hour, in any currency; kept with the study, 0 forgets it."
    ),
]
CpuHour = Annotated[
    float | None,
    typer.Option(
        metavar="PRICE", help="What a CPU costs for an hour, in any currency; kept with the study, 0 forgets it."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def default_name(source: str) -> str:
    """What a study of a plan, or of a workload, is called where nothing was said: after its file or folder."""
    if Path(source).is_dir():
        return os.path.basename(os.path.abspath(source))  # noqa: PTH100, PTH119 - a study is never called `..`
    return Path(source).stem


def named(text: str) -> list[str]:
    """Names that were typed with commas between them."""
    return [each.strip() for each in text.split(",") if each.strip()]


def value_of(text: str) -> bool | int | float | str:
    """A value as it was typed: true, false, a number, or else a text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number
    return text


def study_path(out_dir: Path, name: str | None, default: str, source: str) -> Path:
    """The folder of a study that is begun.

    Parameters
    ----------
    name, default
        As it was given, or where it was not; ``source`` says where the default comes from.
    """
    return out_dir / (check_name(default, source) if name is None else check_name(name))
