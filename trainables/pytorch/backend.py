"""PyTorch behind the contract: a model of the user's, a DataLoader over in-memory arrays, CPU or one GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.common import user_code
from trainables.contract import (
    Hyperparameters,
    Loss,
    Parameters,
    Progress,
    Samples,
    Score,
    Setup,
    Split,
    StartUp,
    TracedStep,
    TraceSetup,
    evaluation_batch_size,
)
from trainables.pytorch import layers
from trainables.pytorch.building import arrays, build, draw, initialized, set_parameters
from trainables.pytorch.check import make_sure_of_gpu
from trainables.pytorch.dropout import switched_off
from trainables.pytorch.loader import Batch, Loader, tensors, zeros
from trainables.pytorch.resident import Resident

# Where all images have one channel the first layer gains nothing by channels_last; the later ones do.
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
LOSSES: dict[Loss, Callable[..., Tensor]] = {"cross_entropy": F.cross_entropy, "mean_squared_error": F.mse_loss}


def as_built(_model: nn.Module) -> None:
    """Leave a model as its file builds it; see `PyTorchRun`."""


def start(setup: Setup) -> PyTorchRun:
    """Build the model, the optimizer and the loader on the device; see `trainables.contract.Start`."""
    return PyTorchRun(setup, prepare=as_built)


class PyTorchRun:
    """One training in PyTorch; the methods are those of `trainables.contract.Run`.

    Parameters
    ----------
    prepare
        Called with the model, which lies on its device by then.
    """

    def __init__(self, setup: Setup, *, prepare: Callable[[nn.Module], None]) -> None:
        torch.set_num_threads(setup.threads)
        if setup.device == "cuda":
            make_sure_of_gpu()
            torch.backends.cudnn.benchmark = True  # shapes are few and fixed, so the search for kernels pays
            torch.set_float32_matmul_precision("high")  # TF32 for dense layers too: convolutions have it by default
        self._setup = setup
        self._knobs = setup.hyperparameters
        self._device = torch.device(setup.device)
        self._precision = setup.execution.precision
        self._layout = _layout(setup)
        self._loss = LOSSES[setup.loss]
        self._model = build(setup.model, self._knobs.options, setup.seed)
        self._model.to(self._device).to(memory_format=self._layout)
        self._buffers = {name: buffer.clone() for name, buffer in self._model.named_buffers()}
        self._optimizer = _optimizer(self._model, self._knobs)
        self._on_device: dict[Split, Batch] = {}
        self._loader = self._new_loader()
        self._batches: Iterator[Batch] = iter(())
        prepare(self._model)

    def start_up(self) -> StartUp:
        return StartUp()  # importing this module loads PyTorch

    def warm_up(self) -> None:
        batch_size, rates = self._knobs.batch_size, np.array([self._knobs.learning_rate])
        last = len(self._setup.data["train"]) % batch_size
        others = max(0, self._knobs.num_workers - 1)  # batches, so that every loader worker has served one
        with self._loader.telling():
            self._batches = self._loader.dummy(batch_size * (1 + others) + last)
            self.train(rates)
            for _ in range(others):
                next(self._batches)
        if last:
            self.train(rates)
        self._model.eval()
        with user_code.telling(self._setup.model), torch.inference_mode():
            for split in ("validation", "test"):
                for samples in self._evaluation_shapes(split):
                    self._forward(self._dummy_features(samples))
        self._synchronize()

    def reset(self, parameters: Parameters | None) -> None:
        if parameters is None:
            parameters = draw(self._setup.model, self._knobs.options, self._setup.seed)
        self._model.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, buffer in self._model.named_buffers():  # such as BatchNorm's count of batches
                buffer.copy_(self._buffers[name])
        self.load_parameters(parameters)
        self._optimizer = _optimizer(self._model, self._knobs)
        torch.manual_seed(self._setup.seed)
        self._synchronize()

    def begin_epoch(self, order: npt.NDArray[np.int64]) -> None:
        with self._loader.telling():
            self._batches = self._loader.epoch(order)

    def train(self, rates: npt.NDArray[np.float64]) -> Progress:
        self._model.train()
        loss_sum = torch.zeros((), dtype=torch.float64, device=self._device)
        samples, data_s = 0, 0.0
        with user_code.telling(self._setup.model), self._loader.telling():
            for rate in rates.tolist():
                waiting_since = perf_counter()
                features, targets = self._to_device(next(self._batches))
                data_s += perf_counter() - waiting_since
                loss, _ = _step(self._forward, self._loss, self._optimizer, features, targets, rate)
                loss_sum += loss * len(targets)
                samples += len(targets)
        self._synchronize()
        return Progress(loss=loss_sum.item() / samples, samples=samples, data_s=data_s)

    def evaluate(self, split: Split) -> Score:
        self._model.eval()
        classes = self._setup.loss == "cross_entropy"
        correct = torch.zeros((), dtype=torch.int64, device=self._device)
        loss_sum = torch.zeros((), device=self._device)
        with user_code.telling(self._setup.model), self._loader.telling(), torch.inference_mode():  # workers may fail
            for features, targets in self._evaluation_batches(split):
                outputs = self._forward(features)
                loss_sum += self._loss(outputs, targets, reduction="sum")
                if classes:
                    correct += (outputs.argmax(dim=1) == targets).sum()
        samples = len(self._setup.data[split])
        if classes:
            return Score(accuracy=correct.item() / samples, loss=loss_sum.item() / samples)
        return Score(accuracy=None, loss=loss_sum.item() / (samples * self._setup.outputs))

    def parameters(self) -> dict[str, npt.NDArray[np.float32]]:
        return arrays(self._model)

    def load_parameters(self, arrays: Parameters) -> None:
        set_parameters(self._model, arrays)

    def save(self, path: Path) -> None:
        on_cuda = self._device.type == "cuda"
        random = {"cpu": torch.get_rng_state(), **({"cuda": torch.cuda.get_rng_state(self._device)} if on_cuda else {})}
        state = {"model": self._model.state_dict(), "optimizer": self._optimizer.state_dict(), "random": random}
        torch.save(state, path)

    def load(self, path: Path) -> None:
        state = torch.load(path, map_location=self._device, weights_only=True)
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"]["cpu"].cpu())
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(state["random"]["cuda"].cpu(), self._device)
        self._synchronize()

    def loader_workers(self) -> int:
        return self._loader.workers()

    def clock(self) -> float:
        return perf_counter()

    def close(self) -> None:
        self._batches = iter(())
        self._loader.close()
        self._on_device.clear()

    def _new_loader(self) -> Loader | Resident:
        batch_size = self._knobs.batch_size
        if self._setup.execution.data_on_device:
            return Resident(self._whole("train"), batch_size=batch_size)
        return Loader(
            self._setup.data["train"],
            batch_size=batch_size,
            num_workers=self._knobs.num_workers,
            pin_memory=self._device.type == "cuda",
        )

    def _forward(self, features: Tensor) -> Tensor:
        """The outputs in float32, whatever they were computed in."""
        if self._precision == "float32":
            outputs: Tensor = self._model(features)
            return outputs
        with torch.autocast(self._device.type, dtype=torch.bfloat16):
            outputs = self._model(features)
        return outputs.float()

    def _to_device(self, batch: Batch) -> Batch:
        features, targets = batch
        if self._device.type == "cpu" and self._layout is torch.contiguous_format:
            return features, targets
        return (
            features.to(self._device, non_blocking=True, memory_format=self._layout),
            targets.to(self._device, non_blocking=True),
        )

    def _evaluation_batches(self, split: Split) -> Iterator[Batch]:
        features, targets = self._whole(split)
        at_once = evaluation_batch_size(self._setup.device, self._setup.data[split])
        return zip(features.split(at_once), targets.split(at_once), strict=True)

    def _evaluation_shapes(self, split: Split) -> list[int]:
        """How many samples a batch of an evaluation may have; the split lies on the device from here on."""
        return sorted({len(targets) for _, targets in self._evaluation_batches(split)})

    def _whole(self, split: Split) -> Batch:
        """A split on the device; it stays there."""
        if split not in self._on_device:
            self._on_device[split] = self._to_device(tensors(self._setup.data[split]))
        return self._on_device[split]

    def _dummy_features(self, samples: int) -> Tensor:
        features, _ = tensors(self._setup.data["train"])
        return zeros(features, samples).to(device=self._device, memory_format=self._layout)

    def _synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def start_trace(setup: TraceSetup) -> PyTorchTrace:
    """See `trainables.contract.StartTrace`."""
    return PyTorchTrace(setup, prepare=as_built)


class PyTorchTrace:
    """Single steps with everything they compute; see `trainables.contract.Trace`."""

    def __init__(self, setup: TraceSetup, *, prepare: Callable[[nn.Module], None]) -> None:
        torch.set_num_threads(setup.threads)
        self._setup = setup
        self._dtype = getattr(torch, setup.precision)
        model = initialized(setup.model, setup.hyperparameters.options, setup.seed)
        self._model = model.to(self._dtype).train()
        self._optimizer = _optimizer(self._model, setup.hyperparameters)
        prepare(self._model)

    def parameters(self) -> dict[str, npt.NDArray[Any]]:
        return arrays(self._model)

    def load_parameters(self, arrays: Parameters) -> None:
        set_parameters(self._model, arrays)

    def inputs(self, samples: Samples) -> dict[str, npt.NDArray[Any]]:
        features, _ = self._batch(samples)
        with user_code.telling(self._setup.model), switched_off(self._model):
            return layers.inputs(self._model, features)

    def step(self, samples: Samples, rate: float) -> TracedStep:
        features, targets = self._batch(samples)
        with user_code.telling(self._setup.model), switched_off(self._model):
            loss, outputs = _step(self._model, LOSSES[self._setup.loss], self._optimizer, features, targets, rate)
        return TracedStep(
            loss=loss.item(),
            outputs=outputs.numpy(),
            gradients={
                name: (torch.zeros_like(tensor) if tensor.grad is None else tensor.grad).numpy(force=True)
                for name, tensor in self._model.named_parameters()
                if tensor.requires_grad  # a gradient of none is one of zeros: of what the model does not use
            },
            parameters=self.parameters(),
        )

    def _batch(self, samples: Samples) -> Batch:
        features, targets = tensors(samples)
        return features.to(self._dtype), targets.to(self._dtype) if targets.is_floating_point() else targets


def _step(
    forward: Callable[[Tensor], Tensor],
    loss_of: Callable[..., Tensor],
    optimizer: torch.optim.Optimizer,
    features: Tensor,
    targets: Tensor,
    rate: float,
) -> tuple[Tensor, Tensor]:
    """One optimizer step in training mode: the loss and the outputs before it; gradients stay in the parameters."""
    optimizer.zero_grad(set_to_none=True)
    outputs = forward(features)
    loss = loss_of(outputs, targets)
    loss.backward()
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    return loss.detach(), outputs.detach()


def _optimizer(model: nn.Module, knobs: Hyperparameters) -> torch.optim.Optimizer:
    # fused: one kernel for all tensors, on the CPU as well; the formula is the same.
    options: dict[str, Any] = {"lr": knobs.learning_rate, "weight_decay": knobs.weight_decay, "fused": True}
    if knobs.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), **options)
    if knobs.optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), **options)
    nesterov = knobs.optimizer == "nesterov" and knobs.momentum > 0  # without momentum both are the same formula
    return torch.optim.SGD(model.parameters(), momentum=knobs.momentum, nesterov=nesterov, **options)


def _layout(setup: Setup) -> torch.memory_format:
    dimensions = setup.data["train"].features.ndim
    if setup.execution.memory_format == "channels_last" and dimensions != 4:
        raise RuntimeError(
            f"memory_format channels_last is for images, (samples, channels, height, width), and these features have "
            f"{dimensions} dimensions; leave it at contiguous"
        )
    return LAYOUTS[setup.execution.memory_format]
