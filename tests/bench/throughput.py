"""Samples per second: the PyTorch backend against a plain loop, and against the seed benchmark's loading."""

from __future__ import annotations

import os
import struct
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torchvision
from torch.nn import functional as F

from trainables.contract import Device, Execution, Hyperparameters, Samples, Setup
from trainables.determinism import sample_order
from trainables.pytorch import models
from trainables.pytorch.backend import PyTorchRun, start
from trainables.workloads.workload import find

MODELS = {"lenet": models.LeNet, "resnet18": models.ResNet18}
WORKLOADS = {"lenet": "mnist-lenet", "resnet18": "mnist-resnet18"}  # whose models these are
SAMPLES = 20_000
ROUNDS = 5
BATCH_SIZES = (128, 512, 2048)
THREADS = 1
Row = dict[str, object]


def rows() -> Iterator[Row]:
    """One row per comparison; the ratio is samples per second of the backend over those of the other."""
    torch.set_num_threads(THREADS)
    random = np.random.RandomState(0)
    pixels = random.randint(0, 256, (SAMPLES, 28, 28)).astype(np.uint8)
    labels = random.randint(0, 10, SAMPLES).astype(np.uint8)
    arrays = Samples((pixels[:, None] / np.float32(255)).astype(np.float32), labels.astype(np.int64))
    for batch_size in BATCH_SIZES:
        plain = plain_epoch(plain_batches(arrays, batch_size))
        backend = backend_epoch(arrays, batch_size, num_workers=0)
        yield compared("plain loop on the same arrays", batch_size, 0, backend, plain, floor=0.95)
    with tempfile.TemporaryDirectory() as folder:
        _write_idx(Path(folder), pixels, labels)
        for batch_size in BATCH_SIZES:
            for num_workers in (0, 1, 2):
                seed = plain_epoch(lambda b=batch_size, w=num_workers: _seed_batches(folder, b, w))
                backend = backend_epoch(arrays, batch_size, num_workers=num_workers)
                yield compared(
                    "seed's loading (ToTensor per sample)", batch_size, num_workers, backend, seed, floor=1.0
                )


def compared(
    against: str,
    batch_size: int,
    num_workers: int,
    mine: Callable[[], None],
    other: Callable[[], None],
    floor: float,
    samples: int = SAMPLES,
) -> Row:
    """The row of two ways to train an epoch."""
    mine(), other()  # not counted: caches, allocators, loader workers
    pairs = [(_seconds(mine), _seconds(other)) for _ in range(ROUNDS)]
    ratio = median(theirs / ours for ours, theirs in pairs)
    return {
        "what": f"samples/s, backend over {against}",
        "setting": f"batch {batch_size}, workers {num_workers}",
        "mine": f"{samples / median(ours for ours, _ in pairs):,.0f}/s",
        "other": f"{samples / median(theirs for _, theirs in pairs):,.0f}/s",
        "ratio": ratio,
        "good": ratio >= floor,
        "want": f">= {floor:g}",
    }


def _seconds(epoch: Callable[[], None]) -> float:
    started = time.perf_counter()
    epoch()
    return time.perf_counter() - started


def backend_epoch(
    arrays: Samples, batch_size: int, num_workers: int, *, model: str = "lenet", device: Device = "cpu"
) -> Callable[[], None]:
    """An epoch of our backend's, to be timed."""
    knobs = Hyperparameters(learning_rate=0.01, batch_size=batch_size, num_workers=num_workers)
    run: PyTorchRun = start(
        Setup(
            model=find(WORKLOADS[model]).models["python"],
            data={"train": arrays, "validation": arrays, "test": arrays},
            outputs=models.CLASSES,
            loss="cross_entropy",
            hyperparameters=knobs,
            execution=Execution(),
            seed=0,
            device=device,
            threads=THREADS,
        )
    )
    run.reset(None)
    rates = np.full(-(-len(arrays) // batch_size), knobs.learning_rate)

    def epoch() -> None:
        run.begin_epoch(sample_order(seed=0, epoch=0, samples=len(arrays)))
        run.train(rates)

    return epoch


def plain_epoch(
    batches: Callable[[], Iterable[tuple[torch.Tensor, torch.Tensor]]], *, model: str = "lenet", device: Device = "cpu"
) -> Callable[[], None]:
    """What one writes by hand: PyTorch's own tutorial loop."""
    built = MODELS[model]().to(device)
    optimizer = torch.optim.SGD(built.parameters(), lr=0.01, momentum=0.9)

    def epoch() -> None:
        built.train()
        for images, labels in batches():
            optimizer.zero_grad()
            loss = F.cross_entropy(built(images.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return epoch


def plain_batches(arrays: Samples, batch_size: int) -> Callable[[], Iterator[tuple[torch.Tensor, torch.Tensor]]]:
    """Batches of the arrays in a new random order each time."""
    images, labels = torch.from_numpy(arrays.features), torch.from_numpy(arrays.targets)

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for chosen in torch.randperm(len(arrays)).split(batch_size):
            yield images[chosen], labels[chosen]

    return batches


def _seed_batches(folder: str, batch_size: int, num_workers: int) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
    """The loading of the-praxs/dl-benchmark, line by line."""
    transform = torchvision.transforms.ToTensor()
    dataset = torchvision.datasets.MNIST(root=folder, train=True, download=False, transform=transform)
    return torch.utils.data.DataLoader(dataset, batch_size=batch_size, shuffle=True, num_workers=num_workers)


def _write_idx(folder: Path, pixels: np.ndarray, labels: np.ndarray) -> None:
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, array in (("images-idx3", pixels), ("labels-idx1", labels)):
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        for part in ("train", "t10k"):
            (raw / f"{part}-{name}-ubyte").write_bytes(header + array.tobytes())


os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))
