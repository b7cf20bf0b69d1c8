"""Shared bytes: the order of samples, drawn once in numpy for every framework.

``numpy.random.RandomState`` is used on purpose: its streams are frozen for good (NEP 19), so that a seed means the
same order in every numpy release.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_ORDER = 2  # one independent stream per purpose; 1 is that of the initial weights of LeNet and ResNet-18


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
