"""PyTorch behind the contract: SGD with momentum or Adam, a DataLoader over in-memory arrays, CPU or one GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.contract import (
    EVALUATION_BATCH_SIZE,
    Device,
    LabelledImages,
    MemoryFormat,
    Optimizer,
    Precision,
    Progress,
    Score,
    Split,
    StartUp,
    TracedStep,
    TracePrecision,
)
from trainables.pytorch.check import make_sure_of_gpu
from trainables.pytorch.loader import Batch, Loader, tensors
from trainables.pytorch.models import MODELS
from trainables.pytorch.resident import Resident

# Where all images have one channel the first layer gains nothing by channels_last; the later ones do.
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def start(
    *,
    model: str,
    data: Mapping[Split, LabelledImages],
    parameters: Mapping[str, npt.NDArray[np.float32]],
    learning_rate: float,
    batch_size: int,
    num_workers: int,
    optimizer: Optimizer,
    momentum: float,
    weight_decay: float,
    precision: Precision,
    memory_format: MemoryFormat,
    data_on_device: bool,
    device: Device,
    threads: int,
) -> PyTorchRun:
    """Build the model, the optimizer and the loader on the device; see `trainables.contract.Start`."""
    torch.set_num_threads(threads)
    if device == "cuda":
        make_sure_of_gpu()
        torch.backends.cudnn.benchmark = True  # shapes are few and fixed, so the search for kernels pays
        torch.set_float32_matmul_precision("high")  # TF32 for dense layers too: convolutions have it by default
    return PyTorchRun(
        model=model,
        data=data,
        parameters=parameters,
        learning_rate=learning_rate,
        batch_size=batch_size,
        num_workers=num_workers,
        optimizer=optimizer,
        momentum=momentum,
        weight_decay=weight_decay,
        precision=precision,
        memory_format=memory_format,
        data_on_device=data_on_device,
        device=torch.device(device),
    )


class PyTorchRun:
    """One training in PyTorch; the methods are those of `trainables.contract.Run`."""

    def __init__(
        self,
        *,
        model: str,
        data: Mapping[Split, LabelledImages],
        parameters: Mapping[str, npt.NDArray[np.float32]],
        learning_rate: float,
        batch_size: int,
        num_workers: int,
        optimizer: Optimizer,
        momentum: float,
        weight_decay: float,
        precision: Precision,
        memory_format: MemoryFormat,
        data_on_device: bool,
        device: torch.device,
    ) -> None:
        self._device = device
        self._initial = dict(parameters)
        self._precision = precision
        self._layout = LAYOUTS[memory_format]
        self._model = MODELS[model]().to(device).to(memory_format=self._layout)
        self._optimizer_settings = (optimizer, learning_rate, momentum, weight_decay)
        self._batch_size = batch_size
        self._num_workers = num_workers
        self._data = data
        self._on_device: dict[Split, Batch] = {}
        self._loader = (
            Resident(self._whole("train"), batch_size=batch_size)
            if data_on_device
            else Loader(data["train"], batch_size=batch_size, num_workers=num_workers, pin_memory=device.type == "cuda")
        )
        self._batches: Iterator[Batch] = iter(())
        self._reset()

    def start_up(self) -> StartUp:
        return StartUp()  # importing this module loads PyTorch

    def warm_up(self) -> None:
        last = len(self._data["train"]) % self._batch_size
        others = max(0, self._num_workers - 1)  # batches, so that every loader worker has served one
        with self._loader.telling():
            self._batches = self._loader.dummy(self._batch_size * (1 + others) + last)
            self.train(1)
            for _ in range(others):
                next(self._batches)
        if last:
            self.train(1)
        self._model.eval()
        with torch.inference_mode():
            for split in ("validation", "test"):
                for images, _ in self._evaluation_batches(split):
                    self._forward(self._dummy_images(len(images)))
        self._reset()
        self._synchronize()

    def begin_epoch(self, order: npt.NDArray[np.int64]) -> None:
        with self._loader.telling():
            self._batches = self._loader.epoch(order)

    def train(self, batches: int) -> Progress:
        self._model.train()
        loss_sum = torch.zeros((), dtype=torch.float64, device=self._device)
        samples, data_s = 0, 0.0
        with self._loader.telling():
            for _ in range(batches):
                waiting_since = perf_counter()
                images, labels = self._to_device(next(self._batches))
                data_s += perf_counter() - waiting_since
                loss, _ = _step(self._forward, self._optimizer, images, labels)
                loss_sum += loss * len(labels)
                samples += len(labels)
        self._synchronize()
        return Progress(loss=loss_sum.item() / samples, samples=samples, data_s=data_s)

    def evaluate(self, split: Split) -> Score:
        self._model.eval()
        correct = torch.zeros((), dtype=torch.int64, device=self._device)
        loss_sum = torch.zeros((), device=self._device)
        with self._loader.telling(), torch.inference_mode():  # workers may fail meanwhile
            for images, labels in self._evaluation_batches(split):
                logits = self._forward(images)
                correct += (logits.argmax(dim=1) == labels).sum()
                loss_sum += F.cross_entropy(logits, labels, reduction="sum")
        samples = len(self._data[split])
        return Score(accuracy=correct.item() / samples, loss=loss_sum.item() / samples)

    def parameters(self) -> dict[str, npt.NDArray[np.float32]]:
        tensors = _tensors(self._model)
        return {name: tensor.to("cpu", copy=True).contiguous().numpy() for name, tensor in tensors.items()}

    def load_parameters(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
        _load(self._model, arrays)

    def save(self, path: Path) -> None:
        torch.save({"model": self._model.state_dict(), "optimizer": self._optimizer.state_dict()}, path)

    def load(self, path: Path) -> None:
        state = torch.load(path, map_location=self._device, weights_only=True)
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._synchronize()

    def loader_workers(self) -> int:
        return self._loader.workers()

    def clock(self) -> float:
        return perf_counter()

    def close(self) -> None:
        self._batches = iter(())
        self._loader.close()
        self._on_device.clear()

    def _reset(self) -> None:
        self._model.zero_grad(set_to_none=True)
        self.load_parameters(self._initial)
        self._optimizer = _optimizer(self._model, *self._optimizer_settings)

    def _forward(self, images: Tensor) -> Tensor:
        """The logits in float32, whatever they were computed in."""
        if self._precision == "float32":
            logits: Tensor = self._model(images)
            return logits
        with torch.autocast(self._device.type, dtype=torch.bfloat16):
            logits = self._model(images)
        return logits.float()

    def _to_device(self, batch: Batch) -> Batch:
        images, labels = batch
        if self._device.type == "cpu" and self._layout is torch.contiguous_format:
            return images, labels
        return (
            images.to(self._device, non_blocking=True, memory_format=self._layout),
            labels.to(self._device, non_blocking=True),
        )

    def _evaluation_batches(self, split: Split) -> Iterator[Batch]:
        images, labels = self._whole(split)
        return zip(images.split(EVALUATION_BATCH_SIZE), labels.split(EVALUATION_BATCH_SIZE), strict=True)

    def _whole(self, split: Split) -> Batch:
        """A split on the device; it stays there."""
        if split not in self._on_device:
            self._on_device[split] = self._to_device(tensors(self._data[split]))
        return self._on_device[split]

    def _dummy_images(self, samples: int) -> Tensor:
        zeros = torch.zeros(samples, *self._data["train"].images.shape[1:])
        return zeros.to(device=self._device, memory_format=self._layout)

    def _synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def start_trace(
    *,
    model: str,
    parameters: Mapping[str, npt.NDArray[np.float32]],
    learning_rate: float,
    optimizer: Optimizer,
    momentum: float,
    weight_decay: float,
    precision: TracePrecision,
    threads: int,
) -> PyTorchTrace:
    """See `trainables.contract.StartTrace`."""
    torch.set_num_threads(threads)
    built = MODELS[model]().to(getattr(torch, precision)).train()
    _load(built, parameters)
    return PyTorchTrace(built, _optimizer(built, optimizer, learning_rate, momentum, weight_decay))


class PyTorchTrace:
    """Single steps with everything they compute; see `trainables.contract.Trace`."""

    def __init__(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._model = model
        self._optimizer = optimizer

    def parameters(self) -> dict[str, npt.NDArray[Any]]:
        return {name: tensor.numpy(force=True).copy() for name, tensor in _tensors(self._model).items()}

    def load_parameters(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        _load(self._model, arrays)

    def step(self, images: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> TracedStep:
        dtype = next(self._model.parameters()).dtype
        loss, logits = _step(self._model, self._optimizer, torch.from_numpy(images).to(dtype), torch.from_numpy(labels))
        return TracedStep(
            loss=loss.item(),
            logits=logits.numpy(),
            gradients={
                name: tensor.grad.numpy(force=True)
                for name, tensor in self._model.named_parameters()
                if tensor.grad is not None
            },
            parameters=self.parameters(),
        )


def _step(
    forward: Callable[[Tensor], Tensor], optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """One optimizer step in training mode: the loss and the logits before it; gradients stay in the parameters."""
    optimizer.zero_grad(set_to_none=True)
    logits = forward(images)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    optimizer.step()
    return loss.detach(), logits.detach()


def _load(model: torch.nn.Module, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    with torch.no_grad():
        for name, tensor in _tensors(model).items():
            tensor.copy_(torch.from_numpy(arrays[name]))


def _tensors(model: torch.nn.Module) -> dict[str, Tensor]:
    """Parameters and BatchNorm statistics in canonical order."""
    return {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")}


def _optimizer(
    model: torch.nn.Module, name: Optimizer, learning_rate: float, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    # fused: one kernel for all tensors, on the CPU as well; the formula is the same.
    if name == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr=learning_rate, momentum=momentum, weight_decay=weight_decay, fused=True
        )
    return torch.optim.Adam(model.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True)
