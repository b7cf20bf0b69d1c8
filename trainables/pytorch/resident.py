"""The training split whole on the device: what a `Loader` offers, with nothing to load."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt
import torch

from trainables.pytorch.loader import Batch, zeros


class Resident:
    """Batches gathered where they are computed on, epoch by epoch, in an order that is drawn outside.

    Parameters
    ----------
    split
        All features and targets, on the device.
    batch_size
        Samples a batch; the last one of an epoch is kept, however small.
    """

    def __init__(self, split: Batch, *, batch_size: int) -> None:
        self._split: Batch | None = split
        self._batch_size = batch_size

    def epoch(self, order: npt.NDArray[np.int64]) -> Iterator[Batch]:
        """The batches of an epoch."""
        assert self._split is not None, "closed"
        features, targets = self._split
        chosen = torch.from_numpy(np.ascontiguousarray(order)).to(targets.device)
        return ((features[some], targets[some]) for some in chosen.split(self._batch_size))

    def dummy(self, samples: int) -> Iterator[Batch]:
        """An epoch of zeros, so many of them."""
        assert self._split is not None, "closed"
        features, targets = (zeros(each, samples).split(self._batch_size) for each in self._split)
        return zip(features, targets, strict=True)

    def telling(self) -> AbstractContextManager[None]:
        """As a `Loader`'s: there are no workers whose death would need explaining."""
        return nullcontext()

    def workers(self) -> int:
        """None."""
        return 0

    def close(self) -> None:
        """Free the split."""
        self._split = None
