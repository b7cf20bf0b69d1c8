"""Reading IDX, the format of MNIST and its kin (http://yann.lecun.com/exdb/mnist, "FILE FORMATS")."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.common.errors import DatasetError

_UNSIGNED_BYTE = 0x08
_KINDS = {  # of IDX files, other than unsigned bytes
    0x09: "signed bytes",
    0x0B: "2-byte integers",
    0x0C: "4-byte integers",
    0x0D: "4-byte floats",
    0x0E: "8-byte floats",
}
_OTHERS = {
    b"PK": "a ZIP archive, which must be unpacked",
    b"BZh": "packed by bzip2, which must be unpacked",
    b"\xfd7zXZ": "packed by xz, which must be unpacked",
    b"\x93NUMPY": "a NumPy array",
    b"\x89PNG": "a PNG picture",
    b"version https://git-lfs": "the pointer that Git LFS leaves in a file's place",
}


def read(path: Path, dimensions: int | None = None) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzipped or not.

    Parameters
    ----------
    dimensions
        That it should have, for messages; None where that is not known.

    Returns
    -------
    uint8, with the shape that the header states.

    Raises
    ------
    DatasetError
        When the file cannot be unpacked or is not IDX of unsigned bytes of the stated size; the message says what it
        is instead.
    """
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror})") from None
    try:
        raw = gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} is damaged (cut short or changed: {error}); fetch it again") from None
    if len(raw) < 4:
        what = f"it has {len(raw)} bytes" if raw else "it is empty"
        raise DatasetError(f"{path} is damaged ({what}); fetch it again")
    zero, kind, found = struct.unpack(">HBB", raw[:4])
    if zero != 0 or kind != _UNSIGNED_BYTE:
        expected = f"0x0000080{'N, N being its dimensions,' if dimensions is None else dimensions}"
        raise DatasetError(
            f"{path} is no IDX file of unsigned bytes: it is {_kind(raw)}; "
            f"its magic number is 0x{raw[:4].hex()}, where {expected} is expected; fetch it again"
        )
    header = 4 + 4 * found
    if len(raw) < header:
        raise DatasetError(
            f"{path} is damaged (it has {len(raw)} bytes, where its header alone, of {found} dimensions, "
            f"takes {header}); fetch it again"
        )
    shape = struct.unpack(f">{found}I", raw[4:header])
    if len(raw) != header + prod(shape):
        raise DatasetError(
            f"{path} is damaged (it has {len(raw)} bytes, its header announces {header + prod(shape)}: "
            f"{spelled(shape)} and {header} of its own); fetch it again"
        )
    return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape)


def spelled(shape: tuple[int, ...]) -> str:
    """A shape in words: 60000 x 28 x 28."""
    return " x ".join(map(str, shape)) or "nothing"


def _kind(raw: bytes) -> str:
    """What a file that is not IDX seems to be."""
    start = raw[:1000].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, perhaps an error or a login"
    for magic, kind in _OTHERS.items():
        if raw.startswith(magic):
            return kind
    if raw[:2] == b"\0\0" and raw[2] in _KINDS:
        return f"one of {_KINDS[raw[2]]}"
    return f"something that begins with {raw[:8]!r}"


def md5(array: npt.NDArray[np.uint8]) -> str:
    """MD5 of the array as an uncompressed IDX file, the form in which checksums of MNIST are published."""
    header = struct.pack(f">HBB{array.ndim}I", 0, _UNSIGNED_BYTE, array.ndim, *array.shape)
    digest = hashlib.md5(header, usedforsecurity=False)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
