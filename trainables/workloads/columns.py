"""The arrays of a workload as they are given: by data.py, an ``.npz`` or a folder of ``.npy``.

None is read whole where it can be helped: an array comes in pieces, whatever it lies in.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from trainables.common.errors import DatasetError
from trainables.workloads.store import PIECE_BYTES, Array, pieces

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Column:
    """One array, or those of its rows that a split has.

    Parameters
    ----------
    said
        Where it is, to begin a message with.
    read
        Its pieces, cut along the first dimension.
    chosen
        Of the rows' indices in the array, those that count; None for all.
    """

    said: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    read: Callable[[], Iterator[Array]]
    chosen: Callable[[Indices], npt.NDArray[np.bool_]] | None = None

    def rows(self) -> Iterator[tuple[Indices, Array]]:
        """Its rows, with their indices in the array that was given."""
        begin = 0
        for piece in self.read():
            indices = np.arange(begin, begin + len(piece))
            begin += len(piece)
            if self.chosen is None:
                yield indices, piece
            else:
                kept = self.chosen(indices)
                yield indices[kept], piece[kept]

    def where(self, chosen: Callable[[Indices], npt.NDArray[np.bool_]]) -> Column:
        """Some of its rows, by index."""
        if not self.shape:  # no rows, which is told elsewhere
            return self
        count = int(np.count_nonzero(chosen(np.arange(self.shape[0]))))
        return replace(self, shape=(count, *self.shape[1:]), chosen=chosen)


def column(said: str, array: Array) -> Column:
    """An array in memory, or a map of a file."""
    return Column(said, array.dtype, array.shape, lambda: pieces(array))


def of_npz(path: Path) -> dict[str, Column]:
    """The arrays of an ``.npz``, compressed or not.

    Raises
    ------
    DatasetError
        When it is none, or cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as file:
            names = [each for each in file.namelist() if each.endswith(".npy")]
            return {name.removesuffix(".npy"): _member(path, file, name) for name in names}
    except zipfile.BadZipFile:
        what = "is a torn .npz" if _begins_as_zip(path) else "is no .npz"
        raise DatasetError(f"{path} {what}; numpy.savez(path, train_features=..., ...) writes one") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror or error})") from None


def of_folder(path: Path) -> dict[str, Column]:
    """The arrays of a folder's ``.npy`` files, mapped into memory.

    Raises
    ------
    DatasetError
        When one is none, or cannot be read.
    """
    return {each.stem: _mapped(each) for each in sorted(path.glob("*.npy"))}


def _begins_as_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\3\4"


def _mapped(path: Path) -> Column:
    try:
        with path.open("rb") as file:
            dtype, shape, _ = _header(file, str(path))
        if not _holds_numbers(dtype) or not prod(shape):  # nothing to map, and a message of its own elsewhere
            return Column(str(path), dtype, shape, lambda: iter(()))
        return column(str(path), np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise DatasetError(f"{path} is damaged ({error}); write it again with numpy.save") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror or error})") from None


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> Column:
    said = f"{path}: {name.removesuffix('.npy')}"
    try:
        with archive.open(name) as file:
            dtype, shape, fortran = _header(file, said)
    except (ValueError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError) as error:
        raise DatasetError(f"{said} is damaged ({error}); write it again with numpy.savez") from None
    return Column(said, dtype, shape, lambda: _unpacked(path, name, said, fortran=fortran))


def _header(file: IO[bytes], said: str) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Type and shape of an array, and whether it lies there in Fortran's order."""
    version = np.lib.format.read_magic(file)
    if version > (2, 0):
        raise DatasetError(f"{said} has named fields; give plain numbers")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    return dtype, shape, fortran


def _unpacked(path: Path, name: str, said: str, *, fortran: bool) -> Iterator[Array]:
    """An array of an ``.npz``, read from its file as it is asked for; one in Fortran's order is read whole."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            dtype, shape, _ = _header(file, said)
            if not prod(shape):
                return
            row_bytes = dtype.itemsize * prod(shape[1:])
            rows = shape[0] if fortran else max(1, PIECE_BYTES // row_bytes)
            for begin in range(0, shape[0], rows):
                count = min(rows, shape[0] - begin)
                raw = file.read(count * row_bytes)
                if len(raw) != count * row_bytes:
                    raise EOFError("it ends early")
                yield np.frombuffer(raw, dtype).reshape((count, *shape[1:]), order="F" if fortran else "C")
    except (EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DatasetError(f"{said} is damaged ({error}); write it again with numpy.savez") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror or error})") from None


def _holds_numbers(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biuf"


Parts = Mapping[str, tuple[Column, Column]]  # features and targets by split, before a missing one is cut from train
