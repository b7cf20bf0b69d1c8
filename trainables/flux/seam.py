"""The C functions of FluxTrainer (julia/src/seam.jl): numbers, strings and addresses go over, and nothing of Python's.

So Julia has nothing to compile for types of ours at the first call, and no call holds the GIL. Arrays are lent, not
copied: a C-order (N, 1, 28, 28) is Julia's (28, 28, 1, N), in the same memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Array,
    Structure,
    c_char_p,
    c_double,
    c_int32,
    c_int64,
    c_void_p,
)
from typing import Any

import numpy as np
import numpy.typing as npt

MESSAGE_CHARACTERS = 1000  # Julia spells out types, which for a ResNet takes pages
_TYPES = [np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64)]


class Lent(Structure):
    """An array: `Lent` of seam.jl."""

    _fields_ = (
        ("name", c_char_p),
        ("address", c_void_p),
        ("type", c_int32),
        ("dimensions", c_int32),
        ("sizes", c_int64 * 4),
    )


class Settings(Structure):
    """What a run or a trace is asked for: `Settings` of seam.jl."""

    _fields_ = (
        ("model", c_char_p),
        ("optimizer", c_char_p),
        ("precision", c_char_p),
        ("memory_format", c_char_p),
        ("device", c_char_p),
        ("learning_rate", c_double),
        ("momentum", c_double),
        ("weight_decay", c_double),
        ("batch_size", c_int64),
        ("num_workers", c_int64),
        ("data_on_device", c_int64),
        ("threads", c_int64),
    )


_HELD, _COUNT, _WHOLE, _REAL = c_int64, c_int64, POINTER(c_int64), POINTER(c_double)
_LENT = POINTER(Lent)
SIGNATURES: dict[str, tuple[Any, ...]] = {
    "start": (_WHOLE, POINTER(Settings), _LENT, _COUNT, _LENT, _COUNT),
    "warm_up": (_HELD,),
    "begin_epoch": (_HELD, _WHOLE, _COUNT),
    "train": (_HELD, _COUNT, _REAL, _WHOLE, _REAL),
    "evaluate": (_HELD, c_char_p, _REAL, _REAL),
    "parameters": (_HELD, _LENT, _COUNT),
    "load_parameters": (_HELD, _LENT, _COUNT),
    "save": (_HELD, c_char_p),
    "load": (_HELD, c_char_p),
    "loader_workers": (_HELD, _WHOLE),
    "close": (_HELD,),
    "start_trace": (_WHOLE, POINTER(Settings), _LENT, _COUNT),
    "trace_step": (_HELD, _LENT, _REAL, _LENT, _LENT, _COUNT),
}


class Seam:
    """The functions by name, to be called as ``seam.call("train", ...)``.

    Parameters
    ----------
    entry_points
        What ``FluxTrainer.entry_points()`` answers.
    """

    def __init__(self, entry_points: str) -> None:
        addresses = dict(each.split("=") for each in entry_points.split())
        # The text of a failure comes as bytes, which ctypes has copied.
        self._functions = {
            name: CFUNCTYPE(c_char_p, *types)(int(addresses[name])) for name, types in SIGNATURES.items()
        }

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function.

        Raises
        ------
        RuntimeError
            With what Julia says, when it fails.
        """
        failure = self._functions[name](*arguments)
        if failure is not None:
            raise RuntimeError(f"Julia: {failure.decode(errors='replace')[:MESSAGE_CHARACTERS]}")


def lend(arrays: Mapping[str, npt.NDArray[Any]]) -> Array[Lent]:
    """Descriptions of C-order arrays, which the caller keeps for as long as Julia works on them."""
    return (Lent * len(arrays))(*(_lent(name, array) for name, array in arrays.items()))


def _lent(name: str, array: npt.NDArray[Any]) -> Lent:
    if array.dtype not in _TYPES or not array.flags.c_contiguous or array.ndim not in (1, 2, 4):
        raise ValueError(f"{name} has type {array.dtype} and shape {array.shape}, which Julia is not lent")
    sizes = (*reversed(array.shape), 1, 1, 1)[:4]
    return Lent(name.encode(), array.ctypes.data, _TYPES.index(array.dtype), array.ndim, sizes)
