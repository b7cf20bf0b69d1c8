"""The tensors of each model: names, shapes and initial distributions, without any framework.

This list is the canonical order in which parameters travel between frameworks. Names and layouts are PyTorch's:
(out, in, height, width) for convolutions, (out, in) for dense layers. Both models are those of the benchmark that
this project grew from (the-praxs/dl-benchmark), for one input channel of 28 x 28 and 10 classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

CLASSES = 10


@dataclass(frozen=True)
class TensorSpec:
    """One tensor. ``fan_in`` > 0 asks for PyTorch's default uniform draw, 0 for the constant."""

    name: str
    shape: tuple[int, ...]
    fan_in: int = 0
    constant: float = 0.0
    trained: bool = True  # False for BatchNorm's running statistics


def lenet() -> tuple[TensorSpec, ...]:
    """LeNet-5 with ReLU and max-pooling: convolutions of 6 and 16 channels, dense 256-120-84-10; 44,426 parameters."""
    return (
        *_layer("conv1", (6, 1, 5, 5), bias=True),
        *_layer("conv2", (16, 6, 5, 5), bias=True),
        *_layer("fc1", (120, 256), bias=True),
        *_layer("fc2", (84, 120), bias=True),
        *_layer("fc3", (CLASSES, 84), bias=True),
    )


def resnet18() -> tuple[TensorSpec, ...]:
    """ResNet-18 with the 7x7 stem and one input channel; 11,175,370 parameters."""
    return tuple(_resnet18())


def parameter_count(tensors: tuple[TensorSpec, ...]) -> int:
    """Trained scalars, BatchNorm's running statistics left out."""
    return sum(prod(tensor.shape) for tensor in tensors if tensor.trained)


def _layer(name: str, shape: tuple[int, ...], *, bias: bool) -> Iterator[TensorSpec]:
    fan_in = prod(shape[1:])
    yield TensorSpec(f"{name}.weight", shape, fan_in=fan_in)
    if bias:
        yield TensorSpec(f"{name}.bias", shape[:1], fan_in=fan_in)


def _batch_norm(name: str, channels: int) -> Iterator[TensorSpec]:
    yield TensorSpec(f"{name}.weight", (channels,), constant=1.0)
    yield TensorSpec(f"{name}.bias", (channels,))
    yield TensorSpec(f"{name}.running_mean", (channels,), trained=False)
    yield TensorSpec(f"{name}.running_var", (channels,), constant=1.0, trained=False)


def _resnet18() -> Iterator[TensorSpec]:
    yield from _layer("conv1", (64, 1, 7, 7), bias=False)
    yield from _batch_norm("bn1", 64)
    inputs = 64
    for stage, outputs in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            name = f"layer{stage}.{block}"
            yield from _layer(f"{name}.conv1", (outputs, inputs, 3, 3), bias=False)
            yield from _batch_norm(f"{name}.bn1", outputs)
            yield from _layer(f"{name}.conv2", (outputs, outputs, 3, 3), bias=False)
            yield from _batch_norm(f"{name}.bn2", outputs)
            if inputs != outputs:
                yield from _layer(f"{name}.downsample.0", (outputs, inputs, 1, 1), bias=False)
                yield from _batch_norm(f"{name}.downsample.1", outputs)
            inputs = outputs
    yield from _layer("fc", (CLASSES, 512), bias=True)


MODELS = {"lenet": lenet, "resnet18": resnet18}
