"""``workload.toml``: its keys, and what is wrong with one, told under its file, line and key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import fields
from keyword import iskeyword
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError

from trainables.common.errors import UserError
from trainables.common.suggest import nearest
from trainables.common.words import wrong
from trainables.contract import Hyperparameters, Loss, Option

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
NAME_RULE = "letters, digits, dots, dashes and underscores make one"

# Evaluations in a row that must meet the target, in every plan that does not say another number: one alone is a noisy
# measurement, and the first of many to pass is picked for its luck.
HOLDS = 2

# Keys of a plan's [training] that a workload may set there; the others are keys of its own.
TRAINING = (
    *("optimizer", "momentum", "weight_decay", "schedule", "warm_up"),
    *("precision", "memory_format", "data_on_device"),
)

_HYPERPARAMETERS = tuple(each.name for each in fields(Hyperparameters) if each.name != "options")
_JULIA_WORDS = re.findall(
    r"\w+",
    "baremodule begin break catch const continue do else elseif end export false finally for function global if import "
    "let local macro module quote return struct true try using while",
)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Made(_Table):
    """What the data come to, where that is known beforehand."""

    arrays: str = Field(description="name of the stored set: the hash of all its bytes")
    training_samples: int = Field(ge=1, description="of the train split")
    shape: tuple[int, ...] = Field(description="of one sample's features")
    outputs: int = Field(ge=1, description="classes, or columns of the targets")


def _as_option(value: object) -> object:
    if not isinstance(value, Option) or (isinstance(value, float) and not isfinite(value)):
        raise ValueError(f"it is {value!r}; write a number, a text, true or false")
    return value


class File(_Table):
    """The keys of ``workload.toml``; trainables/ADDING.md shows them as a table, and a test holds the two together."""

    model_config = ConfigDict(strict=True)

    name: str = Field(
        default="",
        description="in plans and records: letters, digits, dots, dashes and underscores; none of the shipped ones'",
    )
    data: str = Field(default="", description="a `.py`, an `.npz` or a folder of `.npy`, inside the folder")
    loss: Loss = Field(default="cross_entropy", description="`cross_entropy` or `mean_squared_error`")
    target: float = Field(
        description="validation accuracy to reach, above 0 and at most 1; with mean_squared_error the validation loss "
        "to come down to"
    )
    evaluate_every_samples: int = Field(
        ge=1, description="training samples between two evaluations, at every batch size"
    )
    limit_s: float = Field(gt=0, description="seconds of training after which a run is stopped, and counts as a miss")
    epochs: int = Field(
        ge=1, description="epochs after which a run is stopped, and counts as a miss; schedules end there"
    )
    holds: int = Field(default=HOLDS, ge=1, description="evaluations in a row that must meet the target")
    models: dict[Literal["python", "julia"], str] = Field(
        default={}, description="table of files inside the folder: `python`, `julia`"
    )
    options: dict[str, Annotated[Option, BeforeValidator(_as_option)]] = Field(
        default={},
        description="table of what `build` takes, with the values where nothing else is asked for: numbers, texts, "
        "true or false",
    )
    training: dict[str, Any] = Field(default={}, description=f"table: {', '.join(TRAINING)}, as in a plan")
    space: dict[str, dict[str, Any]] = Field(
        default={}, description="tables `all` and of frameworks: what is searched, as in a plan"
    )
    default: dict[str, Annotated[Option, BeforeValidator(_as_option)]] = Field(
        default={},
        description="table of a configuration that is known to train: learning_rate, batch_size, num_workers, and "
        "whatever else is searched; every search tries it first, and `tuneoff train` takes what is not said from it",
    )
    made: Annotated[Made | None, Strict(False)] = Field(
        default=None,
        description="table: `arrays`, the hash of all their bytes, `training_samples`, `shape`, `outputs`; then "
        "data.py does not run where the cache has that set, and nothing else is taken for it",
    )


def parse(text: str, path: Path) -> File:
    """What a file says.

    Raises
    ------
    UserError
        Naming the first thing that is wrong.
    """
    try:
        file = File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        raise UserError(_first_problem(error, path, text)) from None
    if problem := _problem(file):
        raise UserError(f"{path}{line_of(text, problem.key)}: {problem}")
    return file


class _Problem(str):
    """What is wrong, under a key."""

    key: tuple[str, ...]

    def __new__(cls, text: str, *key: str) -> _Problem:
        found = super().__new__(cls, text)
        found.key = key
        return found


def _problem(file: File) -> _Problem | None:
    """What no type tells."""
    if file.loss == "cross_entropy" and not 0 < file.target <= 1:
        means = f"; {file.target:g} % is {file.target / 100:g}" if 1 < file.target <= 100 else ""
        return _Problem(f"target is {file.target:g}; an accuracy is a fraction above 0, and 1 at most{means}", "target")
    if file.target <= 0:
        return _Problem(f"target is {file.target:g}; a loss to reach lies above 0", "target")
    for name in file.options:
        if problem := _option_problem(name):
            return _Problem(problem, "options", name)
    for name in file.training:
        if name in File.model_fields:
            return _Problem(f"training.{name} is a key of its own; write it above the tables", "training", name)
        if name not in TRAINING:
            return _Problem(f"unknown key training.{name}{nearest(name, TRAINING)}", "training", name)
    for name in file.space:
        if name in (*_HYPERPARAMETERS, *file.options):
            return _Problem(f"space.{name} is in no table of a framework; write it in [space.all]", "space", name)
    return None


def _option_problem(name: str) -> str | None:
    """Why both languages, or a plan, could not have an option of this name."""
    if name in _HYPERPARAMETERS:
        return f"options.{name} has the name of a hyperparameter; give the models' option another"
    if not name.isidentifier() or not name.isascii():
        return f"options.{name} is no name of an argument; letters, digits and underscores make one"
    if iskeyword(name) or name in _JULIA_WORDS:
        language = "Python" if iskeyword(name) else "Julia"
        return f"options.{name} is a word of {language}'s own; give the option another name"
    return None


def _first_problem(error: ValidationError, path: Path, text: str) -> str:
    problem = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")  # a typo explains what is missing
    loc = [str(part) for part in problem["loc"] if part != "[key]"]
    key = ".".join(loc)
    where = f"{path}{line_of(text, loc)}"
    if problem["type"] == "extra_forbidden":
        valid = list(Made.model_fields if loc[0] == "made" else File.model_fields)
        return f"{where}: unknown key {key}{nearest(loc[-1], valid)}"
    if problem["type"] == "missing":
        return f"{where}: {key} is missing"
    if problem["type"] in ("dict_type", "model_type"):
        return f"{where}: {key} is {problem['input']!r}; it must be a table, as in [{key}]"
    if problem["type"] == "value_error":
        return f"{where}: {key}: {problem['msg'].removeprefix('Value error, ')}"
    if problem["loc"][-1] == "[key]":
        valid = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
        return f"{where}: unknown key {key}{nearest(loc[-1], valid)}"
    return f"{where}: {wrong(key, problem)}"


def line_of(text: str, key: Sequence[str]) -> str:
    """Where a key stands, as in ``, line 12``; empty where it is not found.

    A key that is missing: where its table begins.
    """
    table, found = "", ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([^\]#]+?)\s*\]+", line):
            table = header[1].replace(" ", "").replace('"', "")
            name = table
        elif assigned := re.match(r"\s*([\w.\"'-]+)\s*=", line):
            name = ".".join(filter(None, [table, assigned[1].replace('"', "").replace("'", "")]))
        else:
            continue
        if name == ".".join(key):
            return f", line {number}"
        if ".".join(key).startswith(f"{name}."):
            found = f", line {number}"
    return found
