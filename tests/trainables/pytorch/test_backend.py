from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from trainables.contract import Hyperparameters
from trainables.determinism import initial_parameters, sample_order
from trainables.pytorch.backend import PyTorchRun, start
from trainables.pytorch.models import LeNet
from trainables.spec import TrainingSpec
from trainables.training import Training, run_to_end
from trainables.workloads.architectures import MODELS
from trainables.workloads.prepared import load

SAMPLES = 1079


def begin(**changes: object) -> PyTorchRun:
    knobs: dict[str, object] = {
        "model": "lenet",
        "data": load("digits"),
        "parameters": initial_parameters(MODELS["lenet"](), seed=0),
        "learning_rate": 0.05,
        "batch_size": 64,
        "num_workers": 0,
        "optimizer": "sgd",
        "momentum": 0.9,
        "weight_decay": 0.0,
        "precision": "float32",
        "memory_format": "contiguous",
        "data_on_device": False,
        "device": "cpu",
        "threads": 1,
    }
    return start(**{**knobs, **changes})  # type: ignore[arg-type]


def losses(**changes: object) -> list[float]:
    run = begin(**changes)
    found = []
    for epoch in range(2):
        run.begin_epoch(sample_order(seed=0, epoch=epoch, samples=SAMPLES))
        found += [run.train(1).loss for _ in range(17)]
    run.close()
    return found


def test_the_same_loss_sequence_whatever_the_number_of_workers() -> None:
    in_line = losses(num_workers=0)
    assert len(set(in_line)) == len(in_line)
    assert in_line == losses(num_workers=1) == losses(num_workers=2)


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.0, 0.0), (0.9, 0.0), (0.9, 5e-4)])
def test_sgd_is_the_written_formula(momentum: float, weight_decay: float) -> None:
    """g = grad + decay * p; v = momentum * v + g; p = p - lr * v (FAIRNESS: decay before momentum)."""
    run = begin(momentum=momentum, weight_decay=weight_decay, learning_rate=0.1)
    model, data, order = _reference_model()
    velocity = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
    run.begin_epoch(order)
    run.train(6)
    for step in range(6):
        for name, parameter in _gradients(model, data, order[64 * step : 64 * (step + 1)]):
            gradient = parameter.grad + weight_decay * parameter.data
            velocity[name] = momentum * velocity[name] + gradient
            parameter.data -= 0.1 * velocity[name]
    _assert_same(run, model)


@pytest.mark.parametrize("weight_decay", [0.0, 5e-4])
def test_adam_is_the_written_formula(weight_decay: float) -> None:
    """Kingma and Ba's algorithm 1 with betas (0.9, 0.999) and eps 1e-8, L2 added to the gradient."""
    run = begin(optimizer="adam", learning_rate=1e-3, weight_decay=weight_decay)
    model, data, order = _reference_model()
    first = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
    second = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
    run.begin_epoch(order)
    run.train(6)
    for step in range(6):
        for name, parameter in _gradients(model, data, order[64 * step : 64 * (step + 1)]):
            gradient = parameter.grad + weight_decay * parameter.data
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            mean, variance = first[name] / (1 - 0.9 ** (step + 1)), second[name] / (1 - 0.999 ** (step + 1))
            parameter.data -= 1e-3 * mean / (variance.sqrt() + 1e-8)
    _assert_same(run, model)


def _reference_model() -> tuple[LeNet, tuple[torch.Tensor, torch.Tensor], np.ndarray]:
    model = LeNet()
    weights = initial_parameters(MODELS["lenet"](), seed=0)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    train = load("digits")["train"]
    data = torch.from_numpy(train.images), torch.from_numpy(train.labels)
    return model, data, sample_order(seed=0, epoch=0, samples=SAMPLES)


def _gradients(
    model: LeNet, data: tuple[torch.Tensor, torch.Tensor], chosen: np.ndarray
) -> list[tuple[str, torch.nn.Parameter]]:
    model.zero_grad()
    images, labels = data
    F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
    return list(model.named_parameters())


def _assert_same(run: PyTorchRun, model: LeNet) -> None:
    mine = run.parameters()
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(mine[name], parameter.detach().numpy(), rtol=1e-4, atol=2e-6, err_msg=name)


def test_learns_digits(pytorch_spec: TrainingSpec) -> None:
    training = Training(replace(pytorch_spec, target=0.9, epochs=30, test_accuracy=True))
    while not training.finished:
        training.advance()
    result = training.result()
    training.close()
    assert result["outcome"] == "reached"
    assert result["test_accuracy"] > 0.85
    assert 0 < result["data_s"] < result["train_s"]


def test_a_diverging_run_is_censored(pytorch_spec: TrainingSpec) -> None:
    knobs = Hyperparameters(learning_rate=1e30, batch_size=64, num_workers=0)
    training = Training(replace(pytorch_spec, hyperparameters=knobs, target=0.95))
    while not training.finished:
        training.advance()
    result = training.result()
    training.close()
    assert result["outcome"] == "diverged"
    assert np.isfinite(result["objective"])
    assert result["objective"] > pytorch_spec.limit_s
    assert training.evaluations[-1].train_loss is None


def test_data_on_the_device_is_the_same_training_without_a_loader() -> None:
    assert losses(data_on_device=True, num_workers=2) == losses()
    run = begin(data_on_device=True, num_workers=2)
    run.warm_up()
    run.begin_epoch(sample_order(seed=0, epoch=0, samples=SAMPLES))
    assert [run.train(16).samples, run.train(1).samples] == [1024, 55]
    assert run.loader_workers() == 0
    assert run.evaluate("train") == begin_and_train(17).evaluate("train")
    run.close()
    run.close()


def begin_and_train(batches: int) -> PyTorchRun:
    run = begin()
    run.begin_epoch(sample_order(seed=0, epoch=0, samples=SAMPLES))
    run.train(batches)
    return run


def first_losses(steps: int = 2, batch_size: int = 8, **changes: Any) -> list[float]:
    run = begin(batch_size=batch_size, **changes)
    run.begin_epoch(sample_order(seed=0, epoch=0, samples=SAMPLES))
    found = [run.train(1).loss for _ in range(steps)]
    run.close()
    return found


def test_channels_last_is_another_layout_of_the_same_numbers() -> None:
    given = initial_parameters(MODELS["resnet18"](), seed=0)
    options: dict[str, Any] = {"model": "resnet18", "parameters": given}
    run = begin(**options, memory_format="channels_last")
    kernel = run._model.layer1[0].conv1.weight
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    assert not kernel.is_contiguous()
    for name, array in run.parameters().items():
        assert array.flags.c_contiguous, name
        assert np.array_equal(array, given[name])
    assert first_losses(**options, memory_format="channels_last") == pytest.approx(first_losses(**options), rel=1e-3)


def test_channels_last_is_nobodys_default() -> None:
    run = begin(model="resnet18", parameters=initial_parameters(MODELS["resnet18"](), seed=0))
    assert run._model.layer1[0].conv1.weight.is_contiguous()


def test_bf16_computes_in_bfloat16_and_keeps_parameters_and_logits_in_float32() -> None:
    run = begin(precision="bf16", batch_size=8)
    kinds = []
    run._model.fc1.register_forward_hook(lambda _, __, output: kinds.append(output.dtype))
    run.begin_epoch(sample_order(seed=0, epoch=0, samples=SAMPLES))
    found = run.train(1).loss
    assert kinds == [torch.bfloat16]
    assert run._forward(run._dummy_images(1)).dtype == torch.float32
    assert {array.dtype for array in run.parameters().values()} == {np.dtype(np.float32)}
    in_float32 = first_losses(1)[0]
    assert found != in_float32
    assert found == pytest.approx(in_float32, rel=2e-2)  # 8 bits of the fraction


def test_a_gpu_that_cannot_be_used_fails_the_training_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a node that was started with --num-gpus=1 and has none."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setattr(socket, "gethostname", lambda: "node7")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)

    def none() -> None:
        raise RuntimeError("Found no NVIDIA driver on your system. Please check that you have one.")

    monkeypatch.setattr(torch.cuda, "init", none)
    with pytest.raises(RuntimeError) as failed:
        begin(device="cuda")
    assert str(failed.value) == (
        "PyTorch cannot use GPU 3, which this training was given on node7: Found no NVIDIA driver on your system"
    )


@pytest.mark.parametrize("which", [{"model": "lenet"}, {"model": "resnet18"}])
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
@pytest.mark.parametrize(
    "option", [{"precision": "bf16"}, {"memory_format": "channels_last"}, {"data_on_device": True}, {"num_workers": 1}]
)
def test_options_on_the_gpu(which: dict[str, str], option: dict[str, Any]) -> None:
    given = initial_parameters(MODELS[which["model"]](), seed=0)
    plain, changed = (first_losses(5, 64, device="cuda", parameters=given, **which, **more) for more in ({}, option))
    assert changed == pytest.approx(plain, rel=5e-2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_nvml_knows_the_gpu_of_a_training(pytorch_spec: TrainingSpec) -> None:
    result = run_to_end(Training(replace(pytorch_spec, device="cuda", target=0.5)))
    assert result["gpu"] == torch.cuda.get_device_name(0)
    assert result["gpu_uuid"].endswith(str(torch.cuda.get_device_properties(0).uuid))
    assert result["gpu_memory_used_bytes"] > 0
    assert 0 < result["gpu_clock_mhz"] <= result["gpu_clock_start_mhz"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
@pytest.mark.parametrize("model", MODELS)
def test_the_gpu_computes_what_the_cpu_computes(model: str) -> None:
    runs = [
        begin(device=device, model=model, parameters=initial_parameters(MODELS[model](), seed=0))
        for device in ("cpu", "cuda")
    ]
    found = []
    for run in runs:
        run.warm_up()
        run.begin_epoch(sample_order(seed=0, epoch=0, samples=SAMPLES))
        found.append(run.train(5).loss)
    assert found[0] == pytest.approx(found[1], rel=5e-3)  # TF32 keeps 10 bits of the fraction
