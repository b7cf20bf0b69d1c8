from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from trainables.common.errors import DatasetError
from trainables.workloads import idx


@given(array=arrays(np.uint8, array_shapes(max_dims=3)), packed=st.booleans())
def test_round_trip_and_checksum(array: np.ndarray, packed: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    raw = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(gzip.compress(raw) if packed else raw)
    assert np.array_equal(idx.read(path), array)
    assert idx.md5(array) == hashlib.md5(raw).hexdigest()


def test_a_file_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "page"
    path.write_text("<html>not found</html>")
    with pytest.raises(DatasetError, match="it is a web page"):
        idx.read(path)
