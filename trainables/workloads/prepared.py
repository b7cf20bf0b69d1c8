"""A data set as trainings read it: split, scaled and stored, in the cache once and in every study.

What that must be, bit for bit, is known beforehand: `Dataset.arrays`, the name of the folder, is the hash of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from trainables.common.errors import DatasetError
from trainables.contract import LabelledImages, Split
from trainables.workloads import store
from trainables.workloads.datasets import Dataset, arrays_folder, dataset, published
from trainables.workloads.splits import SPLITS, split_and_scale

_LEFT_BEHIND_S = 3600.0  # by then a writer has ended, on whatever host


def load(name: str, stored: Path | None = None) -> dict[Split, LabelledImages]:
    """A data set as trainings get it, memory-mapped; see `trainables.workloads.splits` for what that is.

    Parameters
    ----------
    stored
        A folder that holds it, as `store_in` made it. None for the cache's own, made where it is missing or damaged;
        where the cache cannot be written, the arrays are made in memory.

    Returns
    -------
    Images scaled to [0, 1] and labels, by split; see `LabelledImages` for shapes and types. They cannot be written.

    Raises
    ------
    DatasetError
        As `prepare`; when the folder is damaged.
    """
    wanted = dataset(name)
    if stored is None:
        arrays = _from_cache(wanted)
    else:
        try:
            arrays = store.read(stored)
        except store.Damaged as damage:
            raise DatasetError(f"{damage}; `tuneoff resume` makes it again") from None
    return {split: LabelledImages(arrays[split]["images"], arrays[split]["labels"]) for split in SPLITS}


def is_stored_in(parent: Path, name: str) -> bool:
    """Whether a folder seems to hold what `store_in` makes."""
    return store.seems_whole(parent / dataset(name).arrays)


def store_in(parent: Path, name: str, *, say: Callable[[str], None]) -> Path:
    """Make sure that a folder holds the data set as trainings read it, every byte checked.

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
        As `prepare`.
    OSError
        When the folder cannot be written.
    """
    wanted = dataset(name)
    there = parent / wanted.arrays
    store.remove_leftovers(parent)
    problem = store.problem(there)
    if problem is None:
        return there
    if parent.exists():
        say(f"{problem}; the data set is made again")
    try:
        if (made := store.problem(store.copy(_stored(wanted), parent))) is not None:  # the cache's own is damaged
            say(f"{made}; the data set is made again")
            store.copy(_make(wanted, arrays_folder(wanted).parent), parent)
    except (OSError, store.Damaged):  # the cache cannot be written, or keeps nothing
        _make(wanted, parent)
    if (problem := store.problem(there)) is not None:
        raise DatasetError(f"{problem}, although it was written just now; see to the storage")
    return there


def _stored(wanted: Dataset) -> Path:
    """That folder, made where it is missing or obviously damaged; OSError where it cannot be."""
    there = arrays_folder(wanted)
    if not store.seems_whole(there):
        with store.alone(there.parent):
            if not store.seems_whole(there):
                store.remove_leftovers(there.parent, older_than_s=_LEFT_BEHIND_S)
                _make(wanted, there.parent)
    return there


def _from_cache(wanted: Dataset) -> store.Arrays:
    try:
        try:
            return store.read(_stored(wanted))
        except store.Damaged:
            return store.read(_make(wanted, arrays_folder(wanted).parent))
    except (OSError, store.Damaged):
        return _prepared(wanted)


def _make(wanted: Dataset, parent: Path) -> Path:
    """Store the data set as trainings read it below a folder."""
    made = store.write(parent, _prepared(wanted))
    if made.name != wanted.arrays:
        raise DatasetError(
            f"{wanted.title} became other arrays here than it must ({made.name}, not {wanted.arrays}): NumPy "
            f"{np.__version__} does not compute as it should; install another"
        )
    return made


def _prepared(wanted: Dataset) -> store.Arrays:
    arrays = published(wanted)
    return {
        split: {"images": part.images, "labels": part.labels}
        for split, part in split_and_scale(arrays, brightest=wanted.brightest).items()
    }
