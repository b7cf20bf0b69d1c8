"""A workload's data as trainings read them: split, checked and stored, in the cache once and in every study.

The folder's name is the hash of all bytes, so nobody trains on others. A workload may say beforehand which they must be
(``[made]``), as all do that come with tuneoff.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from trainables.common.errors import DatasetError
from trainables.common.files import write_text
from trainables.common.helpers import ask
from trainables.common.house import python
from trainables.contract import Loss, Samples, Split
from trainables.workloads import store
from trainables.workloads.datasets import cache_folder
from trainables.workloads.folders import check_folder
from trainables.workloads.making import Answer, Request
from trainables.workloads.splits import SPLITS
from trainables.workloads.workload import FILE, Made, Workload

_LEFT_BEHIND_S = 3600.0  # by then a writer has ended, on whatever host
_WHY = "; it may have had too little memory, of which an .npz and .npy files take little"
_SHOWN_LINES = 20  # of what was printed before it failed
_RULES = 1  # changes with what is made of the same files

# What this process knows, by `_key`; and what it knows that the cache does not take.
_found: dict[str, Made] = {}
_unkept: set[str] = set()


def load(workload: Workload, stored: Path | None = None) -> dict[Split, Samples]:
    """A workload's data as trainings get them, memory-mapped.

    Parameters
    ----------
    stored
        A folder that holds them, as `store_in` made it. None for the cache's own, made where it is missing or damaged;
        where the cache cannot be written, they are made for this process alone.

    Returns
    -------
    Features and targets by split; see `Samples` for shapes and types. They cannot be written.

    Raises
    ------
    DatasetError
        As `prepare`; when the folder is damaged.
    """
    if stored is None:
        arrays = _from_cache(workload)
    else:
        try:
            arrays = store.read(stored)
        except store.Damaged as damage:
            raise DatasetError(f"{damage}; `tuneoff resume` makes it again") from None
    return {split: Samples(arrays[split]["features"], arrays[split]["targets"]) for split in SPLITS}


def outputs_of(samples: Samples, loss: Loss) -> int:
    """How many numbers a model gives a sample, from the training split: classes, or columns of the targets."""
    return int(samples.targets.max()) + 1 if loss == "cross_entropy" else samples.targets.shape[1]


def prepare(workload: Workload, *, data_dir: Path | None = None, hear: Callable[[str], None] = lambda _: None) -> Made:
    """Make sure that the data are there and good, in the cache where that can be written.

    data.py runs at most once in a process's life, unless a folder is given; not at all where `Workload.made` says what
    must come and the cache has it. Arrays in files are read again when a file has changed.

    Parameters
    ----------
    data_dir
        What the function ``load`` of data.py is called with, for example a folder with downloaded files.
    hear
        Told what data.py printed, if it did.

    Raises
    ------
    DatasetError
        When they are missing or not what they must be: one line, with what the code of a user printed as its note.
    """
    if data_dir is not None:
        data_dir = check_folder(data_dir).resolve()
    elif (made := _at_hand(workload)) is not None:
        return made
    with store.alone(_cached_arrays()):
        made = _at_hand(workload) if data_dir is None else None  # another process's, meanwhile
        return made or _make(workload, data_dir, hear=hear)


def facts(workload: Workload) -> Made:
    """What the data come to; they are made where that is not known.

    Raises
    ------
    DatasetError
        As `prepare`.
    """
    return _remembered(workload) or prepare(workload)


def is_stored_in(parent: Path, workload: Workload) -> bool:
    """Whether a study's folder seems to hold what `store_in` makes."""
    made = _remembered(workload)
    return made is not None and store.seems_whole(parent / made.arrays)


def store_in(parent: Path, workload: Workload, *, say: Callable[[str], None]) -> Path:
    """Make sure that a folder holds the data as trainings read them, every byte checked.

    Parameters
    ----------
    parent
        The folder, to which no other process writes now.
    say
        Told of what is damaged or missing there, and made again.

    Returns
    -------
    Path of what `load` takes.

    Raises
    ------
    DatasetError
        As `prepare`; when what is damaged cannot be made again, since the data are others now.
    OSError
        When the folder cannot be written.
    """
    store.remove_leftovers(parent)
    there = parent / facts(workload).arrays
    if (problem := store.problem(there)) is None:
        return there
    if parent.exists():
        say(f"{problem}; the data are made again")
    _fill(there, workload, say)
    if (problem := store.problem(there)) is not None:
        raise DatasetError(f"{problem}, although it was written just now; see to the storage")
    return there


def _fill(there: Path, workload: Workload, say: Callable[[str], None]) -> None:
    """From the cache, where that has them or can be made to, else from the data."""
    _check_same(there, workload, prepare(workload))
    try:
        if (problem := store.problem(store.copy(_cached_arrays() / there.name, there.parent))) is None:
            return
        say(f"{problem}; the data are made again")  # the cache's own is damaged, and shared
        _check_same(there, workload, _make(workload, anew=True))
        store.copy(_cached_arrays() / there.name, there.parent)
    except (OSError, store.Damaged):  # the cache cannot be written, or keeps nothing
        made = _run(workload, there.parent, anew=True)
        _check_same(there, workload, made)


def _check_same(there: Path, workload: Workload, made: Made) -> None:
    if made.arrays != there.name:
        raise DatasetError(
            f"the data of {workload.name} are others each time they are read; in {workload.data}, seed what draws "
            "random numbers"
        )


def _from_cache(workload: Workload) -> store.Arrays:
    made = prepare(workload)
    if store.seems_whole(_in_cache(made)):
        try:
            return store.read(_in_cache(made))
        except store.Damaged:
            made = _make(workload, anew=True)
        with suppress(store.Damaged):
            return store.read(_in_cache(made))
    try:
        with tempfile.TemporaryDirectory(prefix="tuneoff-") as folder:  # what is mapped stays when the files are gone
            return store.read(Path(folder) / _run(workload, Path(folder)).arrays)
    except (OSError, store.Damaged) as error:
        raise DatasetError(
            f"no room for the data of {workload.name}, neither in the cache nor in a temporary folder ({error}); set "
            "TUNEOFF_CACHE to a folder that has some"
        ) from None


def _cached_arrays() -> Path:
    return cache_folder() / "arrays"


def _in_cache(made: Made) -> Path:
    return _cached_arrays() / made.arrays


def _make(
    workload: Workload,
    data_dir: Path | None = None,
    *,
    anew: bool = False,
    hear: Callable[[str], None] = lambda _: None,
) -> Made:
    """Store the data in the cache, or see what they come to where it cannot be written, and remember it."""
    store.remove_leftovers(_cached_arrays(), older_than_s=_LEFT_BEHIND_S)
    key = _key(workload)  # before the files are read
    try:
        made = _run(workload, _cached_arrays(), data_dir, anew=anew, hear=hear)
    except _Unwritten as told:
        if data_dir is not None:  # they would be lost with this process, and what comes next is not given that folder
            raise DatasetError(f"{told}; set TUNEOFF_CACHE to a folder you can write") from None
        made = told.made
        _unkept.add(key)
    _found[key] = made
    if workload.data.suffix != ".py":
        _note(key, made)
    return made


class _Traced(Exception):
    """What led to a problem in the other process; shown where more than a line is wanted."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class _Unwritten(OSError):
    """The data are good, and could not be stored."""

    def __init__(self, why: str, made: Made) -> None:
        super().__init__(why)
        self.made = made


def _run(
    workload: Workload,
    parent: Path,
    data_dir: Path | None = None,
    *,
    anew: bool = False,
    hear: Callable[[str], None] = lambda _: None,
) -> Made:
    """Have a process of its own read, check and store the data below a folder."""
    request = Request(str(workload.folder), str(parent), str(data_dir) if data_dir else None, anew)
    asked = ask(python("trainables.workloads.making", json.dumps(asdict(request))), timeout_s=math.inf)
    try:
        answer = Answer(**json.loads(asked.out))
    except (ValueError, TypeError):
        answer = Answer(
            problem=f"{workload.data} cannot be read: the process that does {asked.problem or 'ended'}{_WHY}"
        )
    if answer.made is None:
        problem = DatasetError(answer.problem)
        if asked.err.strip():
            problem.add_note("\n".join(asked.err.rstrip().splitlines()[-_SHOWN_LINES:]))
        raise problem from _Traced(answer.trace)
    if asked.err.strip():
        hear(asked.err.rstrip())
    made = Made(**answer.made)
    if workload.made is not None and made != workload.made:
        raise DatasetError(_others(workload, workload.made, made))
    if answer.unwritten:
        raise _Unwritten(answer.unwritten, made)
    return made


def _others(workload: Workload, must: Made, made: Made) -> str:
    """What is wrong when the data are not those that the workload says they are."""
    if made.arrays != must.arrays:
        return (
            f"the data of {workload.name} became other arrays than they must ({made.arrays}, not {must.arrays}): they "
            f"have changed since that was written down, or NumPy {np.__version__} computes them differently; bring the "
            f"old ones back, or begin anew, without [made] in {workload.folder / FILE}"
        )
    told = ", ".join(f"{name} = {value}" for name, value in made if value != getattr(must, name))
    return f"{workload.folder / FILE}: in [made], {told} would be right; mend it, or take [made] out"


def _at_hand(workload: Workload) -> Made | None:
    """What the data come to, where nothing is left to do about them, or to be done."""
    made = _remembered(workload)
    if made is None or store.seems_whole(_in_cache(made)) or _key(workload) in _unkept:
        return made
    return None


def _remembered(workload: Workload) -> Made | None:
    """What the data come to, as far as it is known without reading them."""
    if workload.made is not None:
        return workload.made
    try:
        key = _key(workload)
        if key not in _found and workload.data.suffix != ".py":
            _found[key] = Made.model_validate_json(_notes(key).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
    return _found.get(key)


def _note(key: str, made: Made) -> None:
    """Spare the next process the reading."""
    path = _notes(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, made.model_dump_json())
    except OSError:
        return


def _notes(key: str) -> Path:
    return cache_folder() / "known" / f"{key}.json"


def _key(workload: Workload) -> str:
    """Of the files that the data lie in, as they are now, and of what is made of them."""
    data = workload.data
    files = sorted(data.glob("*.npy")) if data.is_dir() else [data]
    try:
        states = [(str(each), each.stat().st_size, each.stat().st_mtime_ns) for each in files]
    except OSError as error:
        raise DatasetError(f"{data} cannot be read ({error.strerror})") from None
    told = repr((_RULES, workload.loss, str(data), states, sys.byteorder))
    return hashlib.sha256(told.encode()).hexdigest()[:32]
