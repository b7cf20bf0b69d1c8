"""``tuneoff new``: a workload to begin with, which runs as it is."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Annotated

import typer

from study.cli.output import results
from study.plan.shelf import shipped_plans
from trainables.common.errors import UserError
from trainables.common.places import path_at
from trainables.workloads.toml import NAME, NAME_RULE
from trainables.workloads.workload import TEMPLATE, shipped


def new(
    name: Annotated[
        Path,
        typer.Argument(
            metavar="NAME", parser=path_at("NAME"), help="Its folder, which is made; its name is the workload's."
        ),
    ],
) -> None:
    """Write a workload's folder that runs as it is: data, a model in both frameworks, what is searched.

    A small network on made-up points, to be changed into your own: every file says what is expected of it.
    """
    folder = name.expanduser()
    _check(folder)
    whole = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(whole, ignore_errors=True)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(TEMPLATE, whole, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("__pycache__"))
        whole.rename(folder)
    except OSError as error:
        raise UserError(f"cannot write {folder} ({error.strerror or error})") from None
    finally:
        shutil.rmtree(whole, ignore_errors=True)
    written = ", ".join(sorted(path.name for path in folder.iterdir()))
    results.print(f"{folder} has a workload that runs as it is: {written}", highlight=False)
    told = shlex.quote(str(name))
    commands = {
        f"tuneoff verify {told}": "proves that both models are the same",
        f"tuneoff launch {told}": "says which trains faster at its best",
    }
    width = max(map(len, commands))
    for command, what in commands.items():
        results.print(f"  {command.ljust(width)}  {what}", highlight=False)


def _check(folder: Path) -> None:
    """Refuse what is there, and names that a workload cannot have, or that mean something else."""
    if folder.is_symlink() or folder.exists():
        raise UserError(f"{folder} is there already, and nothing is overwritten; give another name")
    if not NAME.fullmatch(folder.name):
        raise UserError(f"'{folder.name}' is no name of a workload; {NAME_RULE}")
    if folder.name in (*shipped_plans(), *shipped()):
        raise UserError(f"{folder.name} comes with tuneoff; give another name")
