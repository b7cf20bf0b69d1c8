"""A workload: a folder that says what is trained, and when it counts as trained. Those that come with tuneoff are such
folders, too (trainables/workloads/shipped).

``workload.toml`` names the rest: the data (a Python file, an ``.npz`` or a folder of ``.npy``) and a model file for
every framework that shall train it. Nothing of it is run here.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainables.common.errors import UserError
from trainables.common.suggest import nearest
from trainables.contract import Loss, Option

FILE = "workload.toml"
SHIPPED = Path(__file__).parent / "shipped"
MODEL_FILES: Mapping[str, str] = MappingProxyType({"python": "model.py", "julia": "model.jl"})  # if none is named
DATA_FILES = ("data.py", "data.npz", "data")

# Evaluations in a row that must meet the target, in every plan that does not say another number: one alone is a noisy
# measurement, and the first of many to pass is picked for its luck.
HOLDS = 2

_LEFT_OUT = ("__pycache__", ".git", ".ipynb_checkpoints")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Made(_Table):
    """What the data come to, where that is known beforehand."""

    arrays: str = Field(description="name of the stored set: the hash of all its bytes")
    training_samples: int = Field(ge=1, description="of the train split")
    shape: tuple[int, ...] = Field(description="of one sample's features")
    outputs: int = Field(ge=1, description="classes, or columns of the targets")


class _File(_Table):
    """The keys of ``workload.toml``."""

    name: str = Field(default="", description="in plans and records; the folder's name, where there is none")
    data: str = Field(default="", description="data.py, an .npz, or a folder of .npy; data.py where none is named")
    loss: Loss = Field(default="cross_entropy", description="cross_entropy or mean_squared_error")
    target: float = Field(description="validation accuracy at least; with mean_squared_error, validation loss at most")
    evaluate_every_samples: int = Field(ge=1, description="training samples between two evaluations")
    limit_s: float = Field(gt=0, description="seconds of training after which a run is censored")
    epochs: int = Field(ge=1, description="epochs after which a run is censored")
    holds: int = Field(default=HOLDS, ge=1, description="evaluations in a row that must meet the target")
    models: dict[Literal["python", "julia"], str] = Field(default={}, description="files, if not model.py and model.jl")
    options: dict[str, Option] = Field(default={}, description="what build takes, with values where none is searched")
    training: dict[str, Any] = Field(default={}, description="keys of a plan's [training], where a plan says nothing")
    space: dict[str, dict[str, Any]] = Field(default={}, description="what is searched, as in a plan")
    made: Made | None = Field(default=None, description="what the data come to, where that is known")


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
    made: Made | None

    @property
    def metric(self) -> Literal["accuracy", "loss"]:
        """What the target is about."""
        return "accuracy" if self.loss == "cross_entropy" else "loss"

    def files(self) -> Iterator[Path]:
        """All that belongs to it, in a fixed order."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and not any(part in _LEFT_OUT for part in path.relative_to(self.folder).parts):
                yield path

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
        When there is none; the message names the nearest.
    """
    if given in shipped():
        return read(SHIPPED / given)
    folder = Path(given).expanduser()
    if folder.is_dir():
        return read(folder.resolve())
    if "/" in given:
        raise UserError(f"there is no folder {given}; `tuneoff new NAME` writes a workload to begin with")
    raise UserError(f"unknown workload '{given}', and no folder of that name{nearest(given, shipped())}")


def read(folder: Path) -> Workload:
    """The workload in a folder.

    Raises
    ------
    UserError
        Naming file and key of the first thing that is wrong.
    """
    path = folder / FILE
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{folder} is no workload: it has no {FILE}; `tuneoff new NAME` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not TOML: {error}") from None
    try:
        file = _File.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {_first_problem(error)}") from None
    name = file.name or folder.name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UserError(f"{path}: name is '{name}'; letters, digits, dots, dashes and underscores make one")
    return Workload(
        name=name,
        folder=folder,
        data=_data(folder, file.data, path),
        models=_models(folder, file.models, path),
        loss=file.loss,
        target=file.target,
        evaluate_every_samples=file.evaluate_every_samples,
        limit_s=file.limit_s,
        epochs=file.epochs,
        holds=file.holds,
        options=MappingProxyType(file.options),
        training=MappingProxyType(file.training),
        space=MappingProxyType(file.space),
        made=file.made,
    )


def _data(folder: Path, named: str, where: Path) -> Path:
    if named:
        return _inside(folder, named, where, "data")
    found = [folder / each for each in DATA_FILES if (folder / each).exists()]
    if not found:
        raise UserError(f"{folder} has no data: write data.py with a function load(), or a data.npz, or a folder data")
    return found[0]


def _models(folder: Path, named: Mapping[Any, str], where: Path) -> Mapping[str, Path]:
    found = {each: folder / file for each, file in MODEL_FILES.items() if (folder / file).is_file()}
    found |= {each: _inside(folder, file, where, f"models.{each}") for each, file in named.items()}
    if not found:
        raise UserError(f"{folder} has no model: write {' or '.join(MODEL_FILES.values())} with a function build")
    return MappingProxyType(found)


def _inside(folder: Path, named: str, where: Path, key: str) -> Path:
    """A path of the workload's; what lies elsewhere would not travel with a study."""
    path = (folder / named).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise UserError(f"{where}: {key} is {named}, outside of {folder}; put it, or a link's target, inside")
    if not path.exists():
        raise UserError(f"{where}: {key} is {named}, and there is no such file")
    return path


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        valid = Made.model_fields if problem["loc"][0] == "made" else _File.model_fields
        return f"unknown key {key}{nearest(str(problem['loc'][-1]), valid)}"
    if problem["type"] == "missing":
        return f"{key} is missing"
    return f"{key} is {problem['input']!r}: {problem['msg'].lower()}"
