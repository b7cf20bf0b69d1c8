"""`tuneoff verify`: what it compares, and that it fails where it must."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest

from trainables.contract import Optimizer, TracePrecision
from trainables.verify.compare import (
    BOUNDS,
    KINDS,
    Comparison,
    compare,
    differences,
    relative_difference,
    sources_digest,
)
from trainables.workloads.prepared import prepare
from trainables.workloads.workload import Workload, find

ROOT = Path(__file__).parents[3]
BOTH = ("pytorch", "flux")
SIDES = ["pytorch", pytest.param("flux", marks=pytest.mark.julia)]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Comparison]:
    """Compare PyTorch with a side on which something is broken."""
    prepare(find("digits-lenet"))
    monkeypatch.chdir(ROOT)

    def run(
        what: str,
        side: str,
        optimizer: Optimizer = "sgd",
        precision: TracePrecision = "float64",
        workload: Workload | None = None,
    ) -> Comparison:
        monkeypatch.setenv("TUNEOFF_BREAK", what)
        monkeypatch.setenv("TUNEOFF_BREAK_SIDE", side)
        workload = workload or find("digits-lenet")
        return compare(workload, optimizer, precision, frameworks=BOTH, steps=8, command=_broken_command)

    return run


def _broken_command(_: str) -> Sequence[str]:
    return [sys.executable, "-m", "tests.broken_trace"]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("optimizer", "precision"), KINDS)
def test_the_same_training_passes(
    broken: Callable[..., Comparison], side: str, optimizer: Optimizer, precision: TracePrecision
) -> None:
    comparison = broken("nothing", side, optimizer, precision)
    assert comparison.equal, comparison.failure
    quantities = {row.quantity for row in comparison.worst}
    assert quantities >= {"initial parameter", "outputs", "loss", "gradient", "parameter"}
    assert ("systematic gradient" in quantities) == (precision == "float32")


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("what", "tensor"), [("kernel", "conv2.weight"), ("init", "fc1.bias")])
def test_a_wrong_tensor_is_named(broken: Callable[..., Comparison], side: str, what: str, tensor: str) -> None:
    failure = broken(what, side).failure
    assert failure is not None
    assert (failure.step, failure.quantity, failure.tensor) == (0, "initial parameter", tensor)


@pytest.mark.parametrize("side", SIDES)
def test_another_order_of_the_decay_fails_in_the_updated_parameters(
    broken: Callable[..., Comparison], side: str
) -> None:
    failure = broken("decay", side).failure
    assert failure is not None
    assert (failure.step, failure.quantity) == (1, "parameter")
    assert failure.tensor.endswith(("weight", "bias"))


@pytest.mark.julia
def test_a_true_convolution_fails_in_its_layer(broken: Callable[..., Comparison]) -> None:
    failure = broken("flips", "flux").failure
    assert failure is not None
    assert (failure.step, failure.quantity, failure.tensor) == (1, "output", "conv1")


PYTHON = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, padding_mode={padding!r})
        self.norm = nn.GroupNorm(2, 4, eps={eps})

    def forward(self, x):
        return x + torch.relu(self.norm(self.conv(x)))

class Square(nn.Linear):
    def forward(self, x):
        return x @ self.weight{turned} + self.bias

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.block = Block()
        self.square = Square(16, 16)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(16, 3, bias={bias})

    def forward(self, x):
        x = torch.relu(self.stem(x))
        x = self.block(x)
        x = x.reshape(len(x), 4, 4, 4).mean(dim=2).flatten(1)
        return self.head(self.drop(torch.relu(self.square(x))))

def build():
    return Net()
"""
RIGHT = {"padding": "zeros", "eps": 1e-5, "bias": True, "turned": ".T"}
JULIA = """
using Flux

struct Block{{C,N}}
    conv::C
    norm::N
end
Flux.@layer Block
(block::Block)(x) = x .+ relu.(block.norm(block.conv(x)))

struct Square{{D}}
    dense::D
end
Flux.@layer Square
(square::Square)(x) = relu.({square})

rows(x) = reshape(sum(x; dims=2) ./ size(x, 2), :, size(x, 4))

build() = Chain(;
    stem=Conv((3, 3), 3 => 4, relu; pad=1),
    block=Block(Conv((3, 3), 4 => 4; pad={padding}), GroupNorm(4, 2; eps={eps})),
    rows,
    square=Square(Dense(16 => 16)),
    drop=Dropout(0.5),
    head=Dense(16 => 3; bias={bias}),
)
"""
RIGHT_IN_JULIA = {"padding": "1", "eps": "1f-5", "bias": "true", "square": "square.dense(x)"}
WRONG_IN_JULIA = [
    ({"padding": "(2, 0, 1, 1)"}, "block.conv"),
    ({"eps": "1f-3"}, "block.norm"),
    # Which of two it is cannot be told where Flux does not call the second.
    ({"square": "square.dense.weight' * x .+ square.dense.bias"}, "block.norm or square"),
]
WRONG = [
    ({"padding": "reflect"}, "block.conv"),
    ({"eps": 1e-3}, "block.norm"),
    ({"turned": ""}, "square"),
]


@pytest.fixture
def images(tmp_path: Path) -> Workload:
    """A small convolutional network with GroupNorm, a skip connection and dropout, on images of its own."""
    stream = np.random.RandomState(0)
    folder = tmp_path / "own"
    folder.mkdir()
    features, targets = stream.rand(60, 3, 4, 4).astype(np.float32), np.arange(60) % 3
    np.savez(folder / "data.npz", features=features, targets=targets)
    (folder / "model.py").write_text(PYTHON.format(**RIGHT))
    (folder / "model.jl").write_text("# ports in Python stand in for it")
    (folder / "workload.toml").write_text("target = 0.9\nevaluate_every_samples = 30\nlimit_s = 10\nepochs = 3\n")
    workload = find(str(folder))
    prepare(workload)
    return workload


def _port(workload: Workload, **wrong: object) -> str:
    path = workload.folder / "port.py"
    path.write_text(PYTHON.format(**{**RIGHT, **wrong}))
    return str(path)


def test_a_right_port_of_a_model_of_ones_own_passes(broken: Callable[..., Comparison], images: Workload) -> None:
    for precision in ("float64", "float32"):
        comparison = broken(_port(images), "pytorch", precision=precision, workload=images)
        assert comparison.equal, comparison.failure


@pytest.mark.parametrize(("wrong", "layer"), WRONG)
def test_a_wrong_port_is_caught_in_the_layer_that_is_wrong(
    broken: Callable[..., Comparison], images: Workload, wrong: dict[str, object], layer: str
) -> None:
    failure = broken(_port(images, **wrong), "pytorch", workload=images).failure
    assert failure is not None
    assert (failure.step, failure.quantity, failure.tensor) == (1, "output", layer)


def _ported(workload: Workload, **wrong: str) -> Workload:
    (workload.folder / "model.jl").write_text(JULIA.format(**{**RIGHT_IN_JULIA, **wrong}))
    return find(str(workload.folder))


@pytest.mark.julia
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_right_port_to_flux_passes(images: Workload, precision: TracePrecision) -> None:
    comparison = compare(_ported(images), "adamw", precision, frameworks=BOTH, steps=8)
    assert comparison.equal, comparison.failure


@pytest.mark.julia
@pytest.mark.parametrize(("wrong", "layer"), WRONG_IN_JULIA)
def test_a_wrong_port_to_flux_is_caught_in_the_layer_that_is_wrong(
    images: Workload, wrong: dict[str, str], layer: str
) -> None:
    failure = compare(_ported(images, **wrong), "sgd", "float64", frameworks=BOTH, steps=2).failure
    assert failure is not None
    assert (failure.step, failure.quantity, failure.tensor) == (1, "output", layer)


@pytest.mark.julia
def test_a_port_to_flux_without_a_bias_is_shown_beside_the_original(images: Workload) -> None:
    with pytest.raises(RuntimeError, match=r"PyTorch's model has head\.bias 3, which Flux's lacks:\n") as caught:
        compare(_ported(images, bias="false"), "sgd", "float64", frameworks=BOTH, steps=2)
    assert "->" in str(caught.value)


def test_a_port_without_a_bias_is_caught_by_its_name(broken: Callable[..., Comparison], images: Workload) -> None:
    with pytest.raises(RuntimeError, match=r"head\.bias"):
        broken(_port(images, bias=False), "pytorch", workload=images)


def test_a_side_that_dies_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(find("digits-lenet"))

    def dies(name: str) -> Sequence[str]:
        return [sys.executable, "-c", f"raise SystemExit('{name} is ill')"]

    with pytest.raises(RuntimeError, match="the pytorch side failed: pytorch is ill"):
        compare(find("digits-lenet"), "sgd", "float64", frameworks=BOTH, steps=2, command=dies)


HANG = "exec sleep 60"


def test_a_side_that_hangs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(find("digits-lenet"))
    monkeypatch.setattr("trainables.verify.compare.STEP_S", 0.2)
    began = psutil.Process().children()
    with pytest.raises(RuntimeError, match=r"the pytorch side gave no answer in 0\.2 s"):
        compare(find("digits-lenet"), "sgd", "float64", frameworks=BOTH, steps=2, command=lambda _: ["sh", "-c", HANG])
    assert set(psutil.Process().children()) <= set(began)


def test_the_relative_difference_is_over_the_largest_magnitude() -> None:
    assert relative_difference(np.array([1.0, -4.0]), np.array([1.5, -4.0])) == 0.125
    assert relative_difference(np.zeros(3), np.zeros(3)) == 0
    assert np.isnan(relative_difference(np.array([np.nan]), np.array([1.0])))


def test_a_nan_is_never_within_its_bound() -> None:
    bounds = BOUNDS["float64"]
    good = {"loss/": np.array([1.0])}
    row = differences(1, good, {"loss/": np.array([np.nan])}, bounds)[0]
    assert not row.within
    assert differences(1, good, good, bounds)[0].within


def test_other_tensors_or_shapes_are_refused() -> None:
    bounds = BOUNDS["float64"]
    with pytest.raises(RuntimeError, match=r"different tensors: \['parameter/b'\]"):
        differences(1, {}, {"parameter/b": np.zeros(1)}, bounds)
    with pytest.raises(RuntimeError, match=r"loss/ has shape \(1,\)"):
        differences(1, {"loss/": np.zeros(1)}, {"loss/": np.zeros(2)}, bounds)


def test_the_digest_of_the_sources_knows_the_julia_side() -> None:
    file = ROOT / "julia" / "src" / "models.jl"
    before, text = sources_digest(), file.read_bytes()
    try:
        file.write_bytes(text + b"# changed\n")
        assert sources_digest() != before
    finally:
        file.write_bytes(text)
    assert sources_digest() == before
