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
    Bound,
    Comparison,
    bounds_for,
    compare,
    differences,
    relative_difference,
    sources_digest,
)
from trainables.workloads.architectures import MODELS
from trainables.workloads.datasets import prepare
from trainables.workloads.shipped import workload

ROOT = Path(__file__).parents[3]
BOTH = ("pytorch", "flux")
SIDES = ["pytorch", pytest.param("flux", marks=pytest.mark.julia)]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Comparison]:
    """Compare PyTorch with a side on which something is broken."""
    prepare("digits")
    monkeypatch.chdir(ROOT)

    def run(what: str, side: str, optimizer: Optimizer = "sgd", precision: TracePrecision = "float64") -> Comparison:
        monkeypatch.setenv("TUNEOFF_BREAK", what)
        monkeypatch.setenv("TUNEOFF_BREAK_SIDE", side)
        return compare(
            workload("digits-lenet"), optimizer, precision, frameworks=BOTH, steps=8, command=_broken_command
        )

    return run


def _broken_command(_: str) -> Sequence[str]:
    return [sys.executable, "-m", "tests.broken_trace"]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_same_training_passes(
    broken: Callable[..., Comparison], side: str, optimizer: Optimizer, precision: TracePrecision
) -> None:
    comparison = broken("nothing", side, optimizer, precision)
    assert comparison.equal, comparison.failure
    quantities = {row.quantity for row in comparison.worst}
    assert quantities >= {"initial parameter", "logits", "loss", "gradient", "parameter"}
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
    assert failure.tensor in {each.name for each in MODELS["lenet"]()}


@pytest.mark.julia
def test_a_true_convolution_fails_in_the_gradients(broken: Callable[..., Comparison]) -> None:
    failure = broken("flips", "flux").failure
    assert failure is not None
    assert (failure.step, failure.quantity) == (1, "gradient")


@pytest.mark.julia
def test_nnlibs_own_max_pooling_fails_in_float32(broken: Callable[..., Comparison]) -> None:
    failure = broken("pooling", "flux", precision="float32").failure
    assert failure is not None
    assert failure.quantity == "systematic gradient"
    assert failure.tensor.startswith("conv")


def test_a_side_that_dies_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare("digits")

    def dies(name: str) -> Sequence[str]:
        return [sys.executable, "-c", f"raise SystemExit('{name} is ill')"]

    with pytest.raises(RuntimeError, match="the pytorch side failed: pytorch is ill"):
        compare(workload("digits-lenet"), "sgd", "float64", frameworks=BOTH, steps=2, command=dies)


HANG = "exec sleep 60"


def test_a_side_that_hangs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare("digits")
    monkeypatch.setattr("trainables.verify.compare.STEP_S", 0.2)
    began = psutil.Process().children()
    with pytest.raises(RuntimeError, match=r"the pytorch side gave no answer in 0\.2 s"):
        compare(
            workload("digits-lenet"), "sgd", "float64", frameworks=BOTH, steps=2, command=lambda _: ["sh", "-c", HANG]
        )
    assert set(psutil.Process().children()) <= set(began)


def test_the_relative_difference_is_over_the_largest_magnitude() -> None:
    assert relative_difference(np.array([1.0, -4.0]), np.array([1.5, -4.0])) == 0.125
    assert relative_difference(np.zeros(3), np.zeros(3)) == 0
    assert np.isnan(relative_difference(np.array([np.nan]), np.array([1.0])))


def test_a_nan_is_never_within_its_bound() -> None:
    tensors, bounds = MODELS["lenet"](), bounds_for("lenet", "float64")
    good = {"loss/": np.array([1.0])}
    row = differences(1, good, {"loss/": np.array([np.nan])}, tensors, bounds)[0]
    assert not row.within
    assert differences(1, good, good, tensors, bounds)[0].within


def test_other_tensors_or_shapes_are_refused() -> None:
    tensors, bounds = MODELS["lenet"](), bounds_for("lenet", "float64")
    with pytest.raises(RuntimeError, match=r"different tensors: \['parameter/b'\]"):
        differences(1, {}, {"parameter/b": np.zeros(1)}, tensors, bounds)
    with pytest.raises(RuntimeError, match=r"loss/ has shape \(1,\)"):
        differences(1, {"loss/": np.zeros(1)}, {"loss/": np.zeros(2)}, tensors, bounds)


def test_bounds_grow_with_the_step_up_to_their_ceiling() -> None:
    bound = Bound(1e-5, growth=2.0, ceiling=3e-5)
    assert [bound.at(step) for step in (0, 1, 2, 3)] == [1e-5, 1e-5, 2e-5, 3e-5]
    assert all(bounds_for(model, "float64")["gradient"].at(50) <= 1e-9 for model in MODELS)


def test_the_digest_of_the_sources_knows_the_julia_side() -> None:
    file = ROOT / "julia" / "src" / "models.jl"
    before, text = sources_digest(), file.read_bytes()
    try:
        file.write_bytes(text + b"# changed\n")
        assert sources_digest() != before
    finally:
        file.write_bytes(text)
    assert sources_digest() == before
