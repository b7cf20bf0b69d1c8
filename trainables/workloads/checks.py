"""What data must be, and as what they are stored: float32 features, classes or float32 targets; every number seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import isinf, isnan
from typing import Any

import numpy as np

from trainables.common.errors import DatasetError
from trainables.contract import Loss, Split
from trainables.workloads.columns import Column, Parts
from trainables.workloads.store import Array, Given, Pieces

_FLOAT32 = np.dtype(np.float32)
_MOST_DIMENSIONS = 8
_NAMED = 10  # classes, in a message

Columns = Mapping[Split, tuple[Column, Column]]


@dataclass(frozen=True)
class Numbers:
    """A column as float32, without NaN and infinity; what was uint8 lies between 0 and 1."""

    column: Column

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what comes."""
        return _FLOAT32

    @property
    def shape(self) -> tuple[int, ...]:
        """One output each, where there is no second dimension."""
        return self.column.shape if len(self.column.shape) > 1 else (*self.column.shape, 1)

    def pieces(self) -> Iterator[Array]:
        """See `trainables.workloads.store.Pieces`; `DatasetError` at the first number that is none."""
        for indices, rows in self.column.rows():
            with np.errstate(over="ignore"):  # of float64: told below
                numbers = rows.astype(np.float32)
            if rows.dtype == np.uint8:
                numbers /= np.float32(255)
            elif not np.isfinite(numbers).all():
                finite = np.isfinite(numbers).reshape(len(numbers), -1)
                row = int(np.argmin(finite.all(axis=1)))
                value = float(rows.reshape(len(rows), -1)[row][int(np.argmin(finite[row]))])
                what = "a NaN" if isnan(value) else "an infinity" if isinf(value) else "more than float32 can hold"
                told = f"sample {indices[row]}, counted from 0, has {what} in it"
                raise DatasetError(f"{self.column.said}: {told}; leave it out, or give it a number")
            yield numbers.reshape(-1, *self.shape[1:])


def check(parts: Parts, loss: Loss) -> None:
    """Look at types and shapes, as they are given; no array is read.

    Raises
    ------
    DatasetError
        Naming the array, the first thing that is wrong, and what to do.
    """
    for features, targets in parts.values():
        _check_features(features)
        _check_targets(targets, loss)
        if features.shape[0] != targets.shape[0]:
            raise DatasetError(
                f"{features.said} has {features.shape[0]} samples, and {targets.said.rpartition(': ')[2]} has "
                f"{targets.shape[0]}; give each sample one target"
            )


def as_stored(columns: Columns, loss: Loss) -> tuple[Given, int]:
    """The arrays that trainings read, and how many outputs the model must have; features are checked as they are read.

    Raises
    ------
    DatasetError
        As `check`.
    """
    _check_alike(columns)
    stored: dict[str, dict[str, Array | Pieces]] = {
        split: {"features": Numbers(columns[split][0])} for split in columns
    }
    if loss == "mean_squared_error":
        for split, (_, targets) in columns.items():
            stored[split]["targets"] = Numbers(targets)
        return stored, Numbers(columns["train"][1]).shape[1]
    classes = _classes(columns)
    for split, found in classes.items():
        stored[split]["targets"] = found
    return stored, int(classes["train"].max()) + 1


def _check_features(features: Column) -> None:
    _check_any(features)
    if features.dtype.kind != "f" and features.dtype != np.uint8:
        raise DatasetError(
            f"{features.said} is {features.dtype}; features are float32, or uint8, which becomes 0 to 1: "
            '.astype("float32") makes them so'
        )
    if len(features.shape) == 1:
        raise DatasetError(f"{features.said} has one dimension; give each sample its own: .reshape(-1, 1)")
    if not all(features.shape[1:]):
        raise DatasetError(f"{features.said} has the shape {features.shape}: samples without a number in them")


def _check_targets(targets: Column, loss: Loss) -> None:
    _check_any(targets)
    if loss == "mean_squared_error":
        if len(targets.shape) > 2 or not all(targets.shape[1:]):
            raise DatasetError(
                f"{targets.said} has the shape {targets.shape}; mean squared error takes (samples,) or (samples, "
                "outputs): reshape them"
            )
        return
    if len(targets.shape) > 1:
        way = ".argmax(axis=1)" if len(targets.shape) == 2 and targets.shape[1] > 1 else ".ravel()"
        raise DatasetError(
            f"{targets.said} has the shape {targets.shape}; cross entropy takes one class for each sample, "
            f"shape (samples,): {way} may make it so"
        )
    if targets.dtype.kind == "f":
        raise DatasetError(
            f"{targets.said} is {targets.dtype}; cross entropy takes classes, whole numbers from 0: "
            '.astype("int64") makes them so, and loss = "mean_squared_error" in workload.toml learns numbers'
        )


def _check_any(column: Column) -> None:
    kind = column.dtype.kind
    if kind not in "biuf":
        what = {"O": "Python objects", "c": "complex numbers", "U": "texts", "S": "texts", "M": "dates"}.get(kind)
        raise DatasetError(f"{column.said} holds {what or column.dtype}; give plain numbers")
    if not column.shape:
        raise DatasetError(f"{column.said} is one number; give an array with one row for each sample")
    if column.shape[0] == 0:
        raise DatasetError(f"{column.said} is empty; give it samples")
    if len(column.shape) > _MOST_DIMENSIONS:
        raise DatasetError(
            f"{column.said} has {len(column.shape)} dimensions, and {_MOST_DIMENSIONS} are the most; reshape them"
        )


def _check_alike(columns: Columns) -> None:
    """Between splits; what one model can be given."""
    for which, what in enumerate(("features", "targets")):
        first = columns["train"][which]
        for split, parts in columns.items():
            here = parts[which]
            if here.shape[1:] != first.shape[1:]:
                raise DatasetError(
                    f"{here.said} has {what} of shape {here.shape[1:]} in {split}, and of {first.shape[1:]} in train; "
                    "make them alike"
                )
            if here.shape[0] == 0:  # cut from train; what is given empty has been refused
                raise DatasetError(f"{here.said} has too few samples to cut {split} from; give more, or all splits")
            if what == "features" and (here.dtype == np.uint8) != (first.dtype == np.uint8):
                raise DatasetError(
                    f"{here.said} is {here.dtype} in {split}, and {first.dtype} in train: uint8 becomes 0 to 1, and "
                    "floats stay what they are; make them alike"
                )


def _classes(columns: Columns) -> dict[Split, Array]:
    found = {split: _whole(targets) for split, (_, targets) in columns.items()}
    for split, classes in found.items():
        said = columns[split][1].said
        if (least := int(classes.min())) < 0:
            raise DatasetError(f"{said} has the class {least}; classes are whole numbers from 0: make them so")
    _refuse_gaps(columns["train"][1], np.unique(found["train"]))
    last = int(found["train"].max())
    for split, classes in found.items():
        if int(classes.max()) > last:
            strange = sorted({int(each) for each in np.unique(classes) if each > last})
            raise DatasetError(
                f"{columns[split][1].said}: {split} has the class{'es'[: 2 * (len(strange) > 1)]} "
                f"{_listed(strange, len(strange))}, which train lacks; give train samples of every class"
            )
    return found


def _refuse_gaps(targets: Column, present: Array) -> None:
    """Refuse training targets without samples of a class, or with one class alone."""
    if targets.chosen is not None:
        given = np.unique(_whole(replace(targets, chosen=None)))
        lacking = sorted({*map(int, given)} - {*map(int, present)})
        if lacking and len(given) == int(given[-1]) + 1:
            raise DatasetError(
                f"{targets.said}: train, which is cut from it by index, lacks the classes "
                f"{_listed(lacking, len(lacking))}; shuffle the samples, once and for all, or give all splits"
            )
    last = int(present[-1])
    if len(present) != last + 1:
        missing = sorted(set(range(min(last, len(present) + _NAMED))) - set(map(int, present)))
        raise DatasetError(
            f"{targets.said}: train has classes up to {last}, and lacks {_listed(missing, last + 1 - len(present))}; "
            "number them from 0 without gaps: numpy.unique(targets, return_inverse=True)[1] does"
        )
    if last == 0:
        raise DatasetError(f"{targets.said}: every sample of train has the class 0; there is nothing to learn")


def _listed(numbers: list[int], count: int) -> str:
    shown = ", ".join(map(str, numbers[:_NAMED]))
    return shown if count <= _NAMED else f"{shown}, ... ({count} in all)"


def _whole(targets: Column) -> Array:
    return np.concatenate([rows for _, rows in targets.rows()]).astype(np.int64)
