"""A workload: a folder that says what is trained, and when it counts as trained. Those that come with tuneoff are such
folders, too (trainables/workloads/shipped).

``workload.toml`` names the rest: the data (a Python file, an ``.npz`` or a folder of ``.npy``) and a model file for
every framework that shall train it. Nothing of it is run here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from trainables.common.errors import UserError
from trainables.common.places import local_path
from trainables.common.suggest import nearest
from trainables.contract import Loss, Option
from trainables.workloads.toml import HOLDS, NAME, NAME_RULE, Made, line_of, parse

__all__ = ["FILE", "HOLDS", "MODEL_FILES", "SHIPPED", "TEMPLATE", "Made", "Workload", "find", "read", "shipped"]

FILE = "workload.toml"
SHIPPED = Path(__file__).parent / "shipped"
TEMPLATE = Path(__file__).parent / "template"  # of ``tuneoff new``
MODEL_FILES: Mapping[str, str] = MappingProxyType({"python": "model.py", "julia": "model.jl"})  # if none is named
DATA_FILES = ("data.py", "data.npz", "data")

_LEFT_OUT = ("__pycache__", "results")  # and what begins with a dot
_STUDY = "plan.toml"  # a folder with such a file is a study's


@dataclass(frozen=True)
class Workload:
    """What is trained, and when it counts as trained; paths are absolute.

    Parameters
    ----------
    models
        Files by language, ``python`` and ``julia``; one may be missing.
    options
        Of the models' ``build``, with the values that they have where nothing else is asked for.
    training, space
        What a plan's ``[training]`` and ``[space]`` say where the plan says nothing; as in TOML, not checked here.
    default
        A configuration that is known to train, by hyperparameter and option; may be empty, and is not checked here.
    """

    name: str
    folder: Path
    data: Path
    models: Mapping[str, Path]
    loss: Loss
    target: float
    evaluate_every_samples: int
    limit_s: float
    epochs: int
    holds: int
    options: Mapping[str, Option]
    training: Mapping[str, Any]
    space: Mapping[str, Any]
    default: Mapping[str, Option]
    made: Made | None

    @property
    def metric(self) -> Literal["accuracy", "loss"]:
        """What the target is about."""
        return "accuracy" if self.loss == "cross_entropy" else "loss"

    def files(self) -> Iterator[Path]:
        """All that belongs to it, in a fixed order; hidden files and studies do not."""
        for at, folders, names in os.walk(self.folder):
            folders[:] = sorted(each for each in folders if not _left_out(Path(at, each)))
            yield from (Path(at, each) for each in sorted(names) if not each.startswith("."))

    def digest(self) -> str:
        """SHA-256 over names and bytes of its files."""
        digest = hashlib.sha256()
        for path in self.files():
            name = path.relative_to(self.folder).as_posix()
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def copy_to(self, folder: Path) -> Workload:
        """The same one in another folder, which must not be there yet, and should have its name."""
        for path in self.files():
            there = folder / path.relative_to(self.folder)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, there)
        return read(folder)


def _left_out(folder: Path) -> bool:
    return folder.name in _LEFT_OUT or folder.name.startswith(".") or (folder / _STUDY).exists()


@cache
def shipped() -> tuple[str, ...]:
    """Names of the workloads that come with tuneoff, the quickest first."""
    names = sorted(path.parent.name for path in SHIPPED.glob(f"*/{FILE}"))
    return tuple(sorted(names, key=lambda name: ("resnet" in name, not name.startswith("digits"), name)))


def find(given: str) -> Workload:
    """The workload of a name that comes with tuneoff, or the one in a folder.

    Raises
    ------
    UserError
        When there is none; the message names the nearest. When a folder is called as one that comes with tuneoff:
        pages and records would take one for the other.
    """
    if given in shipped():
        return read(SHIPPED / given)
    folder = local_path(given, "the workload")
    with suppress(RuntimeError):  # in the home of a user that is not here
        folder = folder.expanduser()
    if folder.is_dir():
        found = read(folder.resolve())
        if found.name in shipped() and found.folder != SHIPPED / found.name:
            raise UserError(f"{folder} is called as one that comes with tuneoff; give it a name of its own in {FILE}")
        return found
    if "/" in given:
        raise UserError(f"there is no folder {given}; `tuneoff new NAME` writes a workload to begin with")
    raise UserError(f"unknown workload '{given}', and no folder of that name{nearest(given, shipped())}")


def at(place: str) -> Workload:
    """The workload of a shipped one's name, or in a folder whatever that is called: a study's own copy."""
    return find(place) if place in shipped() else read(Path(place))


def read(folder: Path) -> Workload:
    """The workload in a folder.

    Raises
    ------
    UserError
        Naming file and key of the first thing that is wrong.
    """
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{folder} is no workload: it has no {FILE}; `tuneoff new NAME` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} ({error})") from None
    file = parse(text, path)
    name = file.name or folder.name
    if not file.name and not NAME.fullmatch(name):
        raise UserError(
            f'{path}: the folder\'s name, {name}, is none for a plan; write another, as in name = "mine": {NAME_RULE}'
        )
    if not NAME.fullmatch(name):
        raise UserError(f"{path}{line_of(text, ['name'])}: name is '{name}'; {NAME_RULE}")
    return Workload(
        name=name,
        folder=folder,
        data=_data(folder, file.data, f"{path}{line_of(text, ['data'])}"),
        models=_models(folder, file.models, f"{path}{line_of(text, ['models'])}"),
        loss=file.loss,
        target=file.target,
        evaluate_every_samples=file.evaluate_every_samples,
        limit_s=file.limit_s,
        epochs=file.epochs,
        holds=file.holds,
        options=MappingProxyType(file.options),
        training=MappingProxyType(file.training),
        space=MappingProxyType(file.space),
        default=MappingProxyType(file.default),
        made=file.made,
    )


def _data(folder: Path, named: str, where: str) -> Path:
    if named:
        found = _inside(folder, named, where, "data")
        if not found.is_dir() and found.suffix not in (".py", ".npz"):
            raise UserError(f"{where}: data is {named}; name a .py, an .npz or a folder of .npy")
        return found
    there = [folder / each for each in DATA_FILES if (folder / each).exists()]
    if not there:
        raise UserError(f"{folder} has no data: write data.py with a function load(), or a data.npz, or a folder data")
    return _inside(folder, there[0].name, where, "data")


def _models(folder: Path, named: Mapping[Any, str], where: str) -> Mapping[str, Path]:
    found = {each: folder / file for each, file in MODEL_FILES.items() if (folder / file).is_file()}
    for each, file in named.items():
        found[each] = _inside(folder, file, where, f"models.{each}")
        if found[each].suffix != (ending := Path(MODEL_FILES[each]).suffix):
            raise UserError(f"{where}: models.{each} is {file}; its name must end in {ending}")
    if not found:
        raise UserError(f"{folder} has no model: write {' or '.join(MODEL_FILES.values())} with a function build")
    return MappingProxyType(found)


def _inside(folder: Path, named: str, where: str, key: str) -> Path:
    """A path of the workload's; what lies elsewhere would not travel with a study."""
    path = Path(os.path.normpath(folder / named))
    leads_out = path.is_dir() and not path.resolve().is_relative_to(folder.resolve())  # a file's link is followed
    if leads_out or not path.is_relative_to(folder):
        raise UserError(f"{where}: {key} is {named}, outside of {folder}; put it, or a link's target, inside")
    if not path.exists():
        raise UserError(f"{where}: {key} is {named}, and there is no such file")
    return path
