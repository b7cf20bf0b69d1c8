"""The training split in batches: in line or by worker processes, whose last words are kept.

A worker that cannot hand a batch over (no room in shared memory, no socket to pass it through) says so on its stderr
alone: multiprocessing drops the batch, and torch waits for it until a time limit. So workers here write their stderr
where the training can read it, end at once where a batch cannot be handed over, and what they said is in the error.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.queues import Queue
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from trainables.common.helpers import telling
from trainables.common.temporary import SHARED_MEMORY, folder_for_sockets
from trainables.contract import Samples

Batch = tuple[Tensor, Tensor]

PREFETCHED = 2  # batches that each worker holds ready; torch's own default
TIMEOUT_S = (
    60.0  # batches come from memory, in milliseconds; what does not come and says nothing is not waited for longer
)
# Of a socket through which a worker passes a batch, beneath the folder for temporary files: multiprocessing's names.
SOCKET_NAME = "pymp-12345678/listener-12345678"
_OF_A_FOLDER = (errno.EROFS, errno.EACCES, errno.ENOSPC, errno.ENOENT, errno.EPERM)
_DUMMY = -1  # instead of a sample's number: none of them, but zeros
_KEPT_BYTES = 2**16  # of the workers' stderr: its end


class Loader:
    """Batches of one split, epoch by epoch, in an order that is drawn outside.

    Parameters
    ----------
    samples
        The split.
    batch_size
        Samples a batch; the last one of an epoch is kept, however small.
    num_workers
        Processes that load; 0: in line.
    pin_memory
        Whether batches go to a GPU.
    timeout_s
        Seconds to wait for a batch from workers that say nothing.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        batch_size: int,
        num_workers: int,
        pin_memory: bool,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._order = _EpochOrder()
        self._words = _LastWords() if num_workers > 0 and _forks() else None
        prepare = partial(_prepare_worker, self._words.file, folder_for_sockets(SOCKET_NAME)) if self._words else None
        self._loader: DataLoader[Batch] = DataLoader(
            _ArrayDataset(samples),
            batch_size=batch_size,
            sampler=self._order,
            num_workers=num_workers,
            collate_fn=_already_a_batch,
            pin_memory=pin_memory,
            persistent_workers=num_workers > 0,
            prefetch_factor=PREFETCHED if num_workers > 0 else None,
            timeout=timeout_s if num_workers > 0 else 0,
            worker_init_fn=prepare,
            generator=torch.Generator(),  # not the one from which a model's dropout draws
        )

    def epoch(self, order: npt.NDArray[np.int64]) -> Iterator[Batch]:
        """The batches of an epoch; starts workers where there are none yet."""
        self._order.indices = order
        try:
            return iter(self._loader)
        except OSError as error:
            where = f"; their semaphores and batches live in {SHARED_MEMORY}" if error.errno in _OF_A_FOLDER else ""
            raise RuntimeError(f"loader workers cannot be started ({error.strerror or error}{where})") from error

    def dummy(self, samples: int) -> Iterator[Batch]:
        """An epoch of zeros, so many of them, from the workers that will serve the training."""
        return self.epoch(np.full(samples, _DUMMY))

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Around whatever may find a worker dead: an error in the block says what the workers said last."""
        try:
            yield
        except Exception as error:  # one of a worker comes with its own type
            if (told := self._explained(error)) is None:
                raise
            raise RuntimeError(told) from error

    def workers(self) -> int:
        """How many loader processes run now."""
        return len(multiprocessing.active_children())

    def close(self) -> None:
        """End the workers."""
        vars(self).pop("_loader", None)  # its iterator's destructor ends the persistent workers
        if self._words is not None:
            self._words.close()
            self._words = None

    def _explained(self, error: Exception) -> str | None:
        """An error in a line with its cause; None where the workers have nothing to add."""
        said = str(error).strip()
        if "Original Traceback" in said:  # raised in a worker and raised again here
            return f"{said.splitlines()[0]} {said.splitlines()[-1].strip()}"
        if "DataLoader" not in said and not isinstance(error, OSError | EOFError):
            return None  # of the training itself
        words = self._words.read() if self._words is not None else ""
        first = (said.splitlines() or [type(error).__name__])[0].split(". ")[0].rstrip(".")
        return f"{first}: {words}" if words else None


def tensors(samples: Samples) -> Batch:
    """A split's arrays as tensors, without a copy."""
    with warnings.catch_warnings():  # that they must not be written; nothing here does
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(samples.features), torch.from_numpy(samples.targets)


def zeros(like: Tensor, samples: int) -> Tensor:
    """So many samples of the kind that a tensor holds, all zero."""
    return torch.zeros(samples, *like.shape[1:], dtype=like.dtype, device=like.device)


class _LastWords:
    """A file without a name that workers have for stderr, shared by forking."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self.file = os.memfd_create("loader-stderr")
        else:
            with tempfile.TemporaryFile() as temporary:
                self.file = os.dup(temporary.fileno())

    def read(self) -> str:
        """The line of it that tells what went wrong."""
        size = os.fstat(self.file).st_size
        text = os.pread(self.file, _KEPT_BYTES, max(0, size - _KEPT_BYTES)).decode("utf-8", errors="replace")
        return telling(text)

    def close(self) -> None:
        with suppress(OSError):
            os.close(self.file)


def _forks() -> bool:
    """Whether workers are forked, and so share this process's open files."""
    return multiprocessing.get_context().get_start_method() == "fork"


def _prepare_worker(words: int, sockets: str | None, _worker: int) -> None:
    """In a new worker: where its stderr and its sockets go, and what becomes of a batch that cannot be handed over.

    Parameters
    ----------
    words
        A file descriptor.
    sockets
        The folder; None for the usual one.
    """
    os.dup2(words, 2)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    if sockets is not None:
        tempfile.tempdir = sockets
    Queue._on_queue_feeder_error = staticmethod(_end_worker)  # type: ignore[attr-defined]


def _end_worker(_error: Exception, _batch: object) -> NoReturn:
    traceback.print_exc()
    os._exit(1)  # which the training's process learns at once, by a signal


class _EpochOrder(Sampler[int]):
    """The order that was drawn outside, for one epoch at a time."""

    def __init__(self) -> None:
        self.indices: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices.tolist())

    def __len__(self) -> int:
        return len(self.indices)


class _ArrayDataset(Dataset[Batch]):
    """Arrays in memory, fetched a batch at a time: the per-sample path costs more than LeNet's step."""

    def __init__(self, samples: Samples) -> None:
        self._features, self._targets = tensors(samples)

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, index: int) -> Batch:
        return self._features[index], self._targets[index]

    def __getitems__(self, indices: list[int]) -> Batch:  # DataLoader calls this one when it exists
        if indices[0] == _DUMMY:
            return zeros(self._features, len(indices)), zeros(self._targets, len(indices))
        chosen = torch.tensor(indices)
        return self._features[chosen], self._targets[chosen]


def _already_a_batch(batch: Any) -> Any:
    return batch
