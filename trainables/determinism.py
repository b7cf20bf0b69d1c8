"""Shared bytes: sample order and initial weights, drawn once in numpy for every framework.

``numpy.random.RandomState`` is used on purpose: its streams are frozen for good (NEP 19), so that a seed means the
same order and the same weights in every numpy release.
"""

from __future__ import annotations

from math import prod, sqrt

import numpy as np
import numpy.typing as npt

from trainables.workloads.architectures import TensorSpec

_WEIGHTS, _ORDER = 1, 2  # one independent stream per purpose


def sample_order(*, seed: int, epoch: int, samples: int) -> npt.NDArray[np.int64]:
    """Order in which an epoch visits the training samples.

    Parameters
    ----------
    seed, epoch
        Non-negative; together they pick the permutation. Epochs count from 0.
    samples
        Size of the training split.

    Returns
    -------
    int64, shape (samples,), a permutation of 0..samples-1.
    """
    return np.random.RandomState([_ORDER, seed, epoch]).permutation(samples).astype(np.int64)


def initial_parameters(tensors: tuple[TensorSpec, ...], *, seed: int) -> dict[str, npt.NDArray[np.float32]]:
    """Weights in PyTorch's default distributions: U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weights and biases of
    convolutions and dense layers, ones and zeros for BatchNorm.

    Source: ``torch.nn.Linear.reset_parameters`` and ``_ConvNd.reset_parameters``, where kaiming_uniform with
    a = sqrt(5) comes to this bound.

    Returns
    -------
    Float32 arrays in C order by name, in the canonical order of ``tensors``.
    """
    stream = np.random.RandomState([_WEIGHTS, seed])
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    for tensor in tensors:
        if tensor.fan_in:
            bound = 1.0 / sqrt(tensor.fan_in)
            draw = stream.uniform(-bound, bound, size=prod(tensor.shape))
            arrays[tensor.name] = draw.reshape(tensor.shape).astype(np.float32)
        else:
            arrays[tensor.name] = np.full(tensor.shape, tensor.constant, dtype=np.float32)
    return arrays
