"""What a cluster's file runs: one study, launched where there is none yet, else gone on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from study.plan.files import load_plan
from study.plan.shelf import shipped_plans
from trainables.common.errors import UserError


@dataclass(frozen=True)
class Work:
    """A study as it is asked for on the command line.

    Parameters
    ----------
    plan
        A shipped plan's name or the path of a TOML file.
    out
        Folder of the study's folder, as an absolute path.
    frameworks, settings, data_dir
        As for ``tuneoff launch``.
    environment
        Variables that every node gets.
    """

    plan: str
    name: str
    out: Path
    frameworks: str | None = None
    settings: tuple[str, ...] = ()
    data_dir: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The study's."""
        return self.out / self.name

    @property
    def launch(self) -> list[str]:
        """The words of the command that begins it, without an address."""
        words = ["tuneoff", "launch", self.plan, "--name", self.name, "--out", str(self.out)]
        words += ["--frameworks", self.frameworks] if self.frameworks else []
        words += [word for setting in self.settings for word in ("--set", setting)]
        return words + self._data

    @property
    def resume(self) -> list[str]:
        """The words of the command that goes on with it, without an address."""
        return ["tuneoff", "resume", str(self.folder), *self._data]

    @property
    def _data(self) -> list[str]:
        return ["--data-dir", str(self.data_dir)] if self.data_dir else []


@dataclass(frozen=True)
class Nodes:
    """How many there are, and what each of them has; without a number of CPUs, all that it has."""

    count: int
    cpus: int | None
    gpus: int = 0


def work_for(nodes: Nodes, work: Work) -> Work:
    """The same with its plan read and completed here, so that a mistake in it is told before it has waited in a queue.

    Raises
    ------
    UserError
        When the plan is wrong, or no node could hold one of its trials.
    """
    frameworks = [each.strip() for each in work.frameworks.split(",")] if work.frameworks else None
    wanted = load_plan(work.plan, settings=list(work.settings), frameworks=frameworks).slice
    if nodes.cpus is not None and wanted.cpus > nodes.cpus:
        raise UserError(
            f"slice.cpus is {wanted.cpus}, but --cpus {nodes.cpus}: no node could hold a trial; "
            f"--cpus {wanted.cpus}, or --set slice.cpus={nodes.cpus}"
        )
    if wanted.gpus > nodes.gpus:
        raise UserError(
            f"slice.gpus is {wanted.gpus}, but the nodes have {nodes.gpus} each: none could hold a trial; "
            f"ask for nodes with more, or --set slice.gpus={nodes.gpus}"
        )
    return work if work.plan in shipped_plans() else replace(work, plan=str(Path(work.plan).absolute()))


def shared(folder: Path) -> Path:
    """A folder that several machines see.

    Raises
    ------
    UserError
        When its path is relative, and so would mean another folder on each of them.
    """
    if not folder.is_absolute():
        raise UserError(f"--out {folder} is relative; nodes share a folder by its whole path: --out /shared/results")
    return folder


def variables(texts: list[str]) -> dict[str, str]:
    """``NAME=VALUE`` as names and values.

    Raises
    ------
    UserError
        When one is not that.
    """
    found = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.isidentifier() or not name.isascii():
            raise UserError(f"--env {text}: write NAME=VALUE, as in --env TUNEOFF_CACHE=/shared/cache")
        found[name] = value
    return found
