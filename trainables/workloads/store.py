"""Arrays on disk as trainings read them: one ``.npy`` file each, memory-mapped, checked once on every machine.

A stored set is a folder ``HASH`` with a file ``SPLIT.NAME.npy`` for every array and `MANIFEST`, which says what each
must be: type, shape and SHA-256 of its bytes. ``HASH`` is that of the manifest, so that a folder's name says what is in
it, wherever it lies. Nothing here knows what the arrays mean, and none has to fit into memory: one that comes in pieces
(`Pieces`) is written piece by piece.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from trainables.common.machine import memory

Array = npt.NDArray[Any]


class Pieces(Protocol):
    """An array of any size that is read in pieces."""

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def pieces(self) -> Iterator[Array]:
        """The array, cut along its first dimension; may be asked for more than once."""


Arrays = Mapping[str, Mapping[str, Array]]  # by split, by name
Given = Mapping[str, Mapping[str, Array | Pieces]]

MANIFEST = "manifest.json"
_VERSION = 1
_HASH_LETTERS = 32
_PAGE_BYTES = 4096
PIECE_BYTES = 2**24
_PATIENCE_S = 120.0  # for another process to finish
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)


class Damaged(Exception):
    """A stored set is not what its name says; the message says how."""


@dataclass(frozen=True)
class _Entry:
    """What one array must be."""

    split: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def file(self) -> str:
        return _file(self.split, self.name)


def content_hash(arrays: Given) -> str:
    """The name of the folder in which these arrays are stored."""
    return _hash([_written(split, name, array, None) for split, name, array in _each(arrays)])


def write(parent: Path, arrays: Given) -> Path:
    """Store arrays, in one step: a reader sees all of them or none. Those that are there already are replaced.

    Parameters
    ----------
    parent
        Where the set's folder is made; it is made, too.

    Raises
    ------
    OSError
        When it cannot be written.
    """

    def fill(folder: Path) -> list[_Entry]:
        entries = []
        for split, name, array in _each(arrays):
            with (folder / _file(split, name)).open("wb") as file:
                entries.append(_written(split, name, array, file))
        return entries

    return _publish(parent, fill)


def copy(stored: Path, parent: Path) -> Path:
    """The same set below another parent: hard links where both lie on one file system, which take no room, else copies.

    Raises
    ------
    Damaged
        When the set's manifest is.
    OSError
        When it cannot be read or written.
    """

    def fill(folder: Path) -> list[_Entry]:
        entries = _read_manifest(stored)
        for entry in entries:
            try:
                (folder / entry.file).hardlink_to(stored / entry.file)
            except OSError:
                shutil.copyfile(stored / entry.file, folder / entry.file)
        return entries

    return _publish(parent, fill)


def problem(stored: Path) -> str | None:
    """What is wrong with a set, every byte of it read; None where it is whole."""
    try:
        _check_whole(stored, _read_manifest(stored))
        _note_checked(stored)
    except Damaged as damage:
        return str(damage)
    return None


def seems_whole(stored: Path) -> bool:
    """Whether a set is there, complete by the sizes of its files; the bytes are checked by who reads them."""
    try:
        for entry in _read_manifest(stored):
            _mapped(stored, entry)
    except Damaged:
        return False
    return True


def read(stored: Path) -> dict[str, dict[str, Array]]:
    """The arrays of a set, by split and name: views of the files that cannot be written, shared by all who read them.

    The first reader on a machine checks every byte, and those that come meanwhile wait for it; later ones ask no more
    than whether the files are still the same. All pages are in memory when this returns, so that no training waits for
    them on its clock; where there is no room for all, they come as they are asked for. On a file system without memory
    maps the arrays are read into memory.

    Raises
    ------
    Damaged
        When the set is missing or not what its name says.
    """
    entries = _read_manifest(stored)
    _check_once(stored, entries)
    found: dict[str, dict[str, Array]] = {}
    for entry in entries:
        found.setdefault(entry.split, {})[entry.name] = _mapped(stored, entry)
    arrays = [array for named in found.values() for array in named.values()]
    if sum(array.nbytes for array in arrays) < memory().available_bytes:  # else the last would drive the first out
        for array in arrays:
            _touch(array)
    return found


def remove_leftovers(parent: Path, *, older_than_s: float = 0.0) -> None:
    """Delete what killed writers left below a parent, but for what may be a living one's."""
    for left in parent.glob(".*.tmp"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime >= older_than_s:
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def alone(parent: Path) -> Iterator[None]:
    """One process at a time; where a file system has no locks, all at once, which is safe and slower."""
    lock = FileLock(parent / ".lock")
    with suppress(OSError, NotImplementedError):
        parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_PATIENCE_S)
    try:
        yield
    finally:
        lock.release()


def pieces(array: Array) -> Iterator[Array]:
    """An array, or a map of a file, in pieces that fit into memory, each in C order."""
    if array.ndim == 0 or array.nbytes <= PIECE_BYTES:
        yield np.asarray(array, order="C")
        return
    rows = max(1, PIECE_BYTES * len(array) // array.nbytes)
    for begin in range(0, len(array), rows):
        yield np.asarray(array[begin : begin + rows], order="C")


def _file(split: str, name: str) -> str:
    return f"{split}.{name}.npy"


def _each(arrays: Given) -> Iterator[tuple[str, str, Array | Pieces]]:
    for split, named in arrays.items():
        for name, array in named.items():
            yield split, name, array if hasattr(array, "pieces") else np.asarray(array)


def _written(split: str, name: str, array: Array | Pieces, file: IO[bytes] | None) -> _Entry:
    """What an array is, each byte of it seen and, where there is a file, written to it."""
    digest = hashlib.sha256()
    if file is not None:
        header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
        np.lib.format.write_array_header_1_0(file, header)
    for piece in pieces(array) if isinstance(array, np.ndarray) else array.pieces():
        raw = _bytes(piece)
        digest.update(raw)
        if file is not None:
            file.write(raw)
    return _Entry(split, name, array.dtype.str, array.shape, digest.hexdigest())


def _bytes(array: Array) -> memoryview:
    """The elements in C order, without a file's header, which differs between versions of NumPy."""
    return array.reshape(-1).view(np.uint8).data


def _sha256(array: Array) -> str:
    return hashlib.sha256(_bytes(array)).hexdigest()


def _hash(entries: list[_Entry]) -> str:
    return hashlib.sha256(_manifest(entries).encode()).hexdigest()[:_HASH_LETTERS]


def _manifest(entries: list[_Entry]) -> str:
    arrays: dict[str, dict[str, Any]] = {}
    for each in entries:
        told = {"dtype": each.dtype, "shape": list(each.shape), "sha256": each.sha256}
        arrays.setdefault(each.split, {})[each.name] = told
    return json.dumps({"version": _VERSION, "arrays": arrays}, indent=2, sort_keys=True) + "\n"


def _read_manifest(stored: Path) -> list[_Entry]:
    path = stored / MANIFEST
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        entries = [
            _Entry(split, name, each["dtype"], tuple(each["shape"]), each["sha256"])
            for split, named in values["arrays"].items()
            for name, each in named.items()
        ]
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{path} is damaged ({error})") from None
    if _hash(entries) != stored.name:
        raise Damaged(f"{path} does not belong to a folder of this name")
    return entries


def _publish(parent: Path, fill: Callable[[Path], list[_Entry]]) -> Path:
    """Fill a temporary folder, flush it to the disk, and give it its name."""
    parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=parent, prefix=".arrays.", suffix=".tmp"))
    try:
        entries = fill(temporary)
        (temporary / MANIFEST).write_text(_manifest(entries), encoding="utf-8")
        for path in temporary.iterdir():
            with path.open("rb") as written:
                os.fsync(written.fileno())
            _permit(path, 0o444)  # a write by mistake would reach all who share the file
        _permit(temporary, 0o755)
        _rename(temporary, parent / _hash(entries))
        return parent / _hash(entries)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rename(temporary: Path, stored: Path) -> None:
    try:
        temporary.rename(stored)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        if seems_whole(stored) and problem(stored) is None:  # another writer's, at the same time
            return
        aside = Path(tempfile.mkdtemp(dir=stored.parent, prefix=".damaged.", suffix=".tmp"))
        stored.rename(aside / stored.name)  # not deleted in place: a training may be reading it
        temporary.rename(stored)
        shutil.rmtree(aside, ignore_errors=True)


def _permit(path: Path, mode: int) -> None:
    with suppress(OSError):  # FAT and its like have no modes and refuse to change them
        path.chmod(mode)


def _mapped(stored: Path, entry: _Entry) -> Array:
    path = stored / entry.file
    try:
        array = _open(path)
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror or error})") from None
    except (ValueError, EOFError) as error:
        raise Damaged(f"{path} is damaged ({error})") from None
    if (array.dtype.str, array.shape) != (entry.dtype, entry.shape):
        raise Damaged(f"{path} is damaged (it holds {array.dtype} of shape {array.shape})")
    return array


def _open(path: Path) -> Array:
    try:
        found: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        if not path.is_file() or error.errno == errno.EACCES:
            raise
        found = np.load(path, allow_pickle=False)  # this file system maps nothing
        found.flags.writeable = False
    return np.asarray(found)


def _touch(array: Array) -> None:
    """Bring all its pages into memory, and into this process's tables."""
    array.reshape(-1).view(np.uint8)[::_PAGE_BYTES].max(initial=0)


def _check_whole(stored: Path, entries: list[_Entry]) -> None:
    for entry in entries:
        if _sha256(_mapped(stored, entry)) != entry.sha256:
            raise Damaged(f"{stored / entry.file} is damaged (its SHA-256 is not that of {MANIFEST})")


def _check_once(stored: Path, entries: list[_Entry]) -> None:
    """Check every byte unless somebody of this machine has, of these very files."""
    mark = _mark(stored)
    if mark is None:
        _check_whole(stored, entries)
        return
    if mark.exists():
        return
    with alone(mark.parent):
        if not mark.exists():
            _check_whole(stored, entries)
            _note_checked(stored)


def _note_checked(stored: Path) -> None:
    if (mark := _mark(stored)) is not None:
        with suppress(OSError):
            mark.touch()


def _mark(stored: Path) -> Path | None:
    """The empty file by which this machine knows that it has checked a set; None where none can be kept.

    Its name changes whenever one of the files does.
    """
    try:
        states = [path.stat() for path in sorted(stored.iterdir())]
        found = [(each.st_ino, each.st_size, each.st_mtime_ns) for each in states]
        seen = hashlib.sha256(repr(found).encode()).hexdigest()
        folder = Path(tempfile.gettempdir(), f"tuneoff-{os.getuid()}")
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():  # somebody else's word is not taken for it
            return None
        (folder / "checked").mkdir(exist_ok=True)
    except OSError:
        return None
    return folder / "checked" / f"{stored.name}-{seen[:16]}"
