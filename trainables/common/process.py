"""What a trial sets in its own process before any framework is imported there."""

from __future__ import annotations

import os

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_claimed = False


def claim_process() -> bool:
    """Whether this process has run no training before; True at the first call only."""
    global _claimed
    fresh, _claimed = not _claimed, True
    return fresh


def pin_threads(threads: int) -> None:
    """Give every compute library this many threads.

    Ray sets OMP_NUM_THREADS to the trial's CPUs, which may not be what the slice says; these variables are read when a
    library is first imported, so this must come before.
    """
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = str(threads)


def hide_gpus() -> None:
    """Keep a trial without GPUs off them: Ray leaves CUDA_VISIBLE_DEVICES alone there."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
