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


def read(path: Path) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzipped or not.

    Returns
    -------
    uint8, with the shape that the header states.

    Raises
    ------
    DatasetError
        When the file cannot be unpacked or is not IDX of unsigned bytes of the stated size.
    """
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        zero, kind, dimensions = struct.unpack(">HBB", raw[:4])
        shape = struct.unpack(f">{dimensions}I", raw[4 : 4 + 4 * dimensions])
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DatasetError(f"{path} is damaged ({error}); delete it and fetch it again") from None
    values = np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * dimensions)
    if zero != 0 or kind != _UNSIGNED_BYTE or len(values) != prod(shape):
        raise DatasetError(f"{path} is damaged (not an IDX file of unsigned bytes); delete it and fetch it again")
    return values.reshape(shape)


def md5(array: npt.NDArray[np.uint8]) -> str:
    """MD5 of the array as an uncompressed IDX file, the form in which checksums of MNIST are published."""
    header = struct.pack(f">HBB{array.ndim}I", 0, _UNSIGNED_BYTE, array.ndim, *array.shape)
    digest = hashlib.md5(header, usedforsecurity=False)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
