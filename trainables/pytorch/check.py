"""What PyTorch can use on this machine: which GPUs, and whether loader workers can hand their batches over."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from trainables.common.temporary import SHARED_MEMORY
from trainables.contract import Device, Loading, Option, Readiness, Samples, Tried
from trainables.pytorch.building import build, problem
from trainables.pytorch.loader import PREFETCHED, Loader

VISIBLE = "CUDA_VISIBLE_DEVICES"
WAIT_S = 20.0  # for one batch; a worker that fails is seen at once


def look(*, device: Device, loadings: Sequence[Loading]) -> Readiness:
    """See `trainables.contract.Look`."""
    no_room = [_no_room(each) for each in loadings]
    fitting = [each for each, problem in zip(loadings, no_room, strict=True) if problem is None]
    failure = _hand_over(max(fitting, key=lambda each: each.batch_size)) if fitting else None
    devices, no_device = _devices() if device == "cuda" else ([], "")  # a driver may hang
    return Readiness(
        version=f"{torch.__version__}, CUDA {torch.version.cuda or 'none'}",
        devices=tuple(devices),
        no_device=no_device,
        no_loading=tuple(problem or failure for problem in no_room),
    )


def try_model(*, model: Path, options: Mapping[str, Option], shape: tuple[int, ...], outputs: int) -> Tried:
    """See `trainables.contract.TryModel`."""
    torch.set_num_threads(1)
    found = problem(model, options, np.zeros((2, *shape), dtype=np.float32), outputs)
    if found is not None:
        return Tried(found)
    return Tried(alone="BatchNorm" if any(map(_norms_batches, build(model, options, seed=0).modules())) else "")


def _norms_batches(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


def make_sure_of_gpu() -> None:
    """In a training's process, before it builds anything: compute something on the GPU that it was given.

    Raises
    ------
    RuntimeError
        Naming the GPU, the machine and why it cannot be used, in a line: Ray deals out what it was told of.
    """
    names, why = _devices(at_most=1)
    if not names:
        visible = os.environ.get(VISIBLE)
        which = f"GPU {visible}, which" if visible else "the GPU that"
        raise RuntimeError(f"PyTorch cannot use {which} this training was given on {socket.gethostname()}: {why}")


def _devices(*, at_most: int | None = None) -> tuple[list[str], str]:
    """Names of the GPUs, each of them tried, and why there are none: one may be too old for this build, or taken."""
    if torch.version.cuda is None and torch.version.hip is None:
        return [], f"PyTorch {torch.__version__} is built for CPUs alone"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            there = range(torch.cuda.device_count())[:at_most]
            names = [torch.cuda.get_device_name(number) for number in there]
            for number in range(len(names)):
                torch.ones(1, device=f"cuda:{number}").add_(1).item()
            if not names:
                torch.cuda.init()  # says why
        except (RuntimeError, AssertionError) as error:
            return [], _why_none(str(error), [str(each.message) for each in told])
    return names, ""


def _why_none(error: str, warned: list[str]) -> str:
    visible = os.environ.get(VISIBLE)
    said = next((text for text in warned if "driver" in text), error).strip().split("\n")[0].split(". ")[0].rstrip(".")
    if visible is not None and "driver" not in said.lower():
        return f'{VISIBLE} is "{visible}" ({said})'
    return said


def _no_room(loading: Loading) -> str | None:
    """Why shared memory cannot hold the batches that all workers have ready at once, each training its own in hand."""
    if not Path(SHARED_MEMORY).is_dir():
        return None
    batches = (PREFETCHED * loading.num_workers + 1) * loading.at_once
    needed = batches * sum(array.nbytes for array in _batch(loading))
    room = os.statvfs(SHARED_MEMORY)
    free, size = room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
    if free >= needed:
        return None
    return (
        f"{SHARED_MEMORY} has {_mib(free)} free of {_mib(size)}, and {batches} batches of {loading.batch_size} samples "
        f"need {_mib(needed)} ({loading.num_workers} loader workers a training, {loading.at_once} at once)"
    )


def _hand_over(loading: Loading) -> str | None:
    """Let one worker hand one batch over: why it cannot, or None when it can."""
    batch_size, (features, targets) = loading.batch_size, _batch(loading)
    loader = Loader(
        Samples(features, targets), batch_size=batch_size, num_workers=1, pin_memory=False, timeout_s=WAIT_S
    )
    try:
        with loader.telling():
            next(loader.epoch(np.arange(batch_size)))
    except (RuntimeError, OSError) as error:
        return f"a loader worker cannot hand over a batch of {batch_size} samples: {' '.join(str(error).split())}"
    finally:
        loader.close()
    return None


def _batch(loading: Loading) -> tuple[np.ndarray, np.ndarray]:
    size = loading.batch_size
    return np.zeros((size, *loading.shape), np.float32), np.zeros(size, np.int64)


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
