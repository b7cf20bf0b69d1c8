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
    byref,
    c_char_p,
    c_double,
    c_int32,
    c_int64,
    c_void_p,
)
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.contract import Option

MESSAGE_CHARACTERS = 1000  # Julia spells out types, which for a ResNet takes pages
DIMENSIONS = 8  # of an array, at most
_TYPES = [np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64)]
_KINDS = (bool, int, float, str)


class Lent(Structure):
    """An array: `Lent` of seam.jl."""

    _fields_ = (
        ("name", c_char_p),
        ("address", c_void_p),
        ("type", c_int32),
        ("dimensions", c_int32),
        ("sizes", c_int64 * DIMENSIONS),
    )


class Settings(Structure):
    """What a run or a trace is asked for: `Settings` of seam.jl."""

    _fields_ = (
        ("model", c_char_p),
        ("loss", c_char_p),
        ("optimizer", c_char_p),
        ("precision", c_char_p),
        ("memory_format", c_char_p),
        ("device", c_char_p),
        ("momentum", c_double),
        ("weight_decay", c_double),
        ("outputs", c_int64),
        ("batch_size", c_int64),
        ("num_workers", c_int64),
        ("data_on_device", c_int64),
        ("seed", c_int64),
        ("threads", c_int64),
    )


class ModelOption(Structure):
    """An option of the model's: `Option` of seam.jl."""

    _fields_ = (
        ("name", c_char_p),
        ("kind", c_int64),
        ("whole", c_int64),
        ("real", c_double),
        ("text", c_char_p),
    )


_HELD, _COUNT, _WHOLE, _REAL, _TEXT = c_int64, c_int64, POINTER(c_int64), POINTER(c_double), POINTER(c_char_p)
_LENT, _OPTIONS = POINTER(Lent), POINTER(ModelOption)
SIGNATURES: dict[str, tuple[Any, ...]] = {
    "start": (_WHOLE, POINTER(Settings), _OPTIONS, _COUNT, _LENT, _COUNT),
    "warm_up": (_HELD,),
    "reset": (_HELD, _LENT, _COUNT),
    "begin_epoch": (_HELD, _WHOLE, _COUNT),
    "train": (_HELD, _REAL, _COUNT, _REAL, _WHOLE, _REAL),
    "evaluate": (_HELD, c_char_p, _REAL, _REAL),
    "tensors": (_HELD, _TEXT),
    "parameters": (_HELD, _LENT, _COUNT),
    "load_parameters": (_HELD, _LENT, _COUNT),
    "save": (_HELD, c_char_p),
    "load": (_HELD, c_char_p),
    "loader_workers": (_HELD, _WHOLE),
    "close": (_HELD,),
    "start_trace": (_WHOLE, POINTER(Settings), _OPTIONS, _COUNT),
    "layer_inputs": (_HELD, _LENT, _TEXT),
    "fetch": (_LENT, _COUNT),
    "try_model": (c_char_p, _OPTIONS, _COUNT, _WHOLE, _COUNT, c_int64, _TEXT),
    "trace_step": (_HELD, _LENT, c_double, _REAL, _LENT, _LENT, _COUNT),
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
            raise RuntimeError(failure.decode(errors="replace")[:MESSAGE_CHARACTERS])

    def asked(self, name: str, *arguments: Any) -> str:
        """Call a function that gives a text."""
        text = c_char_p()
        self.call(name, *arguments, byref(text))
        return (text.value or b"").decode()


def lend(arrays: Mapping[str, npt.NDArray[Any]]) -> Array[Lent]:
    """Descriptions of C-order arrays, which the caller keeps for as long as Julia works on them."""
    return (Lent * len(arrays))(*(_lent(name, array) for name, array in arrays.items()))


def _lent(name: str, array: npt.NDArray[Any]) -> Lent:
    if array.dtype not in _TYPES or not array.flags.c_contiguous or not 1 <= array.ndim <= DIMENSIONS:
        raise ValueError(f"{name} has type {array.dtype} and shape {array.shape}, which Julia is not lent")
    sizes = (*reversed(array.shape), *(1,) * DIMENSIONS)[:DIMENSIONS]
    return Lent(name.encode(), array.ctypes.data, _TYPES.index(array.dtype), array.ndim, sizes)


def with_options(options: Mapping[str, Option]) -> Array[ModelOption]:
    """Options as Julia takes them."""
    return (ModelOption * len(options))(*(_option(name, value) for name, value in options.items()))


def _option(name: str, value: Option) -> ModelOption:
    kind = next(place for place, each in enumerate(_KINDS) if isinstance(value, each))  # a bool is an int, too
    told = ModelOption(name=name.encode(), kind=kind)
    if isinstance(value, str):
        told.text = value.encode()
    elif isinstance(value, float):
        told.real = value
    else:
        told.whole = value
    return told
