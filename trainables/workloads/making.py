"""From a workload's data to what trainings read; run as a process of its own.

``python -m trainables.workloads.making REQUEST``. data.py is a user's code: it may print, hold gigabytes or die, and
none of that may reach a driver or a training. What it prints goes to stderr; stdout has the answer, a line of JSON.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import numpy as np

from trainables.common.errors import DatasetError, UserError
from trainables.common.suggest import nearest
from trainables.common.user_code import told
from trainables.workloads import checks, columns, store
from trainables.workloads.columns import Parts
from trainables.workloads.splits import SPLITS, complete
from trainables.workloads.workload import Made, Workload, read

_ROLES = ("features", "targets")
_LOOK_EVERY_S = 2.0


@dataclass(frozen=True)
class Request:
    """What to make.

    Parameters
    ----------
    folder
        The workload's.
    parent
        Where the set's folder is made.
    data_dir
        What ``load`` is called with; None: with nothing.
    anew
        Write it whatever lies there.
    """

    folder: str
    parent: str
    data_dir: str | None = None
    anew: bool = False


@dataclass(frozen=True)
class Answer:
    """What became of it.

    Parameters
    ----------
    made
        What the data come to; None where they are bad.
    problem
        Then why, in one line.
    trace
        And what led to it, in many, for those who want it.
    unwritten
        Why the set could not be written, where it could not.
    """

    made: dict[str, Any] | None = None
    problem: str = ""
    trace: str = ""
    unwritten: str = ""


def make(request: Request) -> Answer:
    """Read the data, check every number, and store them where that was not done."""
    workload = read(Path(request.folder))
    parts = given(workload, request.data_dir)
    checks.check(parts, workload.loss)
    arrays, outputs = checks.as_stored(complete(parts, str(workload.data)), workload.loss)
    name = store.content_hash(arrays)
    features = arrays["train"]["features"]
    made = Made(arrays=name, training_samples=features.shape[0], shape=features.shape[1:], outputs=outputs)
    try:
        if request.anew or not store.seems_whole(Path(request.parent, name)):
            store.write(Path(request.parent), arrays)
    except OSError as error:
        return Answer(made.model_dump(), unwritten=f"cannot write below {request.parent} ({error.strerror or error})")
    return Answer(made.model_dump())


def given(workload: Workload, data_dir: str | None) -> Parts:
    """Features and targets by the splits that the data name.

    Raises
    ------
    DatasetError
        When there are no such arrays.
    """
    data = workload.data
    if data.suffix == ".py":
        return _of_code(data, data_dir)
    if data_dir is not None:
        raise DatasetError(f"--data-dir has nothing to give {workload.name}: its data are in {data}")
    if data.is_dir():
        found = columns.of_folder(data)
    elif data.suffix == ".npz":
        found = columns.of_npz(data)
    else:
        raise DatasetError(f"{data} is neither a .py, nor an .npz, nor a folder of .npy; make it one of them")
    return _by_split(found, str(data))


def _by_split(found: Mapping[str, columns.Column], said: str) -> Parts:
    """From the arrays' names to the splits."""
    names = {f"{split}_{role}": (split, role) for split in SPLITS for role in _ROLES}
    if set(_ROLES) & set(found):
        names = {role: ("train", role) for role in _ROLES}
    for name in found:
        if name not in names:
            raise DatasetError(f"{said} has an array '{name}'{nearest(name, names)}")
    if not found:
        raise DatasetError(f"{said} has no arrays; it needs train_features, train_targets, test_features, ...")
    splits: dict[str, dict[str, columns.Column]] = {}
    for name, array in found.items():
        split, role = names[name]
        splits.setdefault(split, {})[role] = array
    for name, (split, role) in names.items():
        if split in splits and role not in splits[split]:
            raise DatasetError(f"{said} has no array '{name}'; each split needs features and targets")
    return {split: (roles["features"], roles["targets"]) for split, roles in splits.items()}


def _of_code(data: Path, data_dir: str | None) -> Parts:
    load = getattr(_imported(data), "load", None)
    if not callable(load):
        raise DatasetError(f"{data} has no function load(); write one that returns arrays by split")
    returned = _called(data, load, data_dir)
    shape = '{"train": (features, targets), "test": (features, targets)}'
    if not isinstance(returned, Mapping):
        raise DatasetError(f"{data}: load() returns {_kind(returned)}; return a dict like {shape}")
    if not returned:
        raise DatasetError(f"{data}: load() returns nothing; return a dict like {shape}")
    parts = {}
    for split, pair in returned.items():
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise DatasetError(f"{data}: load() returns {_kind(pair)} for {split}; return a dict like {shape}")
        features, targets = (_array(data, f"{split} {role}", each) for role, each in zip(_ROLES, pair, strict=True))
        parts[str(split)] = (features, targets)
    return parts


def _array(data: Path, name: str, value: Any) -> columns.Column:
    said = f"{data}: {name}"
    try:
        return columns.column(said, np.asarray(value))
    except Exception as error:  # whatever an array-like raises
        raise DatasetError(f"{said} cannot be made an array ({_line(error)}); return NumPy's") from None


def _called(data: Path, load: Callable[..., Any], data_dir: str | None) -> Any:
    known = inspect.signature(load).parameters
    takes = "data_dir" in known or any(each.kind is each.VAR_KEYWORD for each in known.values())
    if data_dir is not None and not takes:
        raise DatasetError(
            f"{data}: load() takes no data_dir, so --data-dir is of no use; def load(data_dir=None) does"
        )
    if data_dir is None and "data_dir" in known and known["data_dir"].default is inspect.Parameter.empty:
        raise DatasetError(f"{data}: load() needs a data_dir; pass --data-dir FOLDER")
    with _telling_where(data):
        return load() if data_dir is None else load(data_dir=Path(data_dir))


def _imported(data: Path) -> ModuleType:
    sys.dont_write_bytecode = True
    os.chdir(data.parent)  # a path in it means the same wherever the command stands
    sys.path.insert(0, str(data.parent))
    spec = importlib.util.spec_from_file_location(data.stem, data)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(data.stem, module)  # what unpickles its functions looks there
    with _telling_where(data):
        spec.loader.exec_module(module)
    return module


class _telling_where:  # noqa: N801 - reads as a statement
    """Turn what a user's file raises into one line with file and line."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, UserError | KeyboardInterrupt):  # ours: the shipped data.py's
            return
        raise DatasetError(told(error, self.file.parent) or f"{self.file}: {_line(error)}") from error


def _line(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return " ".join(f"{type(error).__name__}: {text}".split()).removesuffix(":")


def _kind(value: Any) -> str:
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _end_with(asking: int) -> None:
    """Nobody waits for a loader whose asker was killed, and it may take hours."""
    while os.getppid() == asking:
        time.sleep(_LOOK_EVERY_S)
    os._exit(1)


def main() -> None:
    """Do what the argument asks for, and print the answer."""
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    request = Request(**json.loads(sys.argv[1]))
    answering = os.dup(1)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        answer = make(request)
    except UserError as problem:
        answer = Answer(problem=str(problem), trace="".join(traceback.format_exception(problem)))
    with os.fdopen(answering, "w", encoding="utf-8") as out:
        out.write(json.dumps(asdict(answer)) + "\n")


if __name__ == "__main__":
    main()
