from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.trainables.pytorch.files import DROPOUT, REGRESSION, write
from tests.trainables.setups import SAMPLES, digits, setup, weights
from trainables.contract import Device, Hyperparameters, Optimizer, Samples, Split, evaluation_batch_size
from trainables.determinism import sample_order
from trainables.pytorch.backend import PyTorchRun, start
from trainables.pytorch.building import draw
from trainables.pytorch.models import LeNet
from trainables.spec import TrainingSpec
from trainables.training import Training, run_to_end

RESNET = "fashion-resnet18"


def begin(workload: str = "digits-lenet", **changes: Any) -> PyTorchRun:
    """A run on digits at the initial parameters of seed 0."""
    run = start(setup("pytorch", workload, data=digits(), **changes))
    run.reset(weights(workload) if "model" not in changes else None)
    return run


def rates(count: int, rate: float = 0.05) -> np.ndarray:
    return np.full(count, rate)


@pytest.mark.parametrize(("samples", "shapes"), [(100, [100]), (250, [250]), (1000, [250]), (1100, [100, 250])])
def test_a_warm_up_sees_every_shape_of_an_evaluation_once(
    monkeypatch: pytest.MonkeyPatch, samples: int, shapes: list[int]
) -> None:
    """However large the splits are: Flux's does the same, and the time is in the cold clock of both."""
    whole = digits()
    few = Samples(np.zeros((samples, 1, 28, 28), np.float32), np.arange(samples) % 10)
    run = start(setup("pytorch", data={**whole, "validation": few, "test": few}))
    seen: list[int] = []
    forward = run._forward
    monkeypatch.setattr(run, "_forward", lambda features: (seen.append(len(features)), forward(features))[1])
    monkeypatch.setattr(run, "train", lambda _: None)
    run.warm_up()
    assert seen == 2 * shapes
    run.close()


@pytest.mark.parametrize(
    ("device", "width", "at_once"),
    [("cpu", 28, 250), ("cpu", 400, 250), ("cuda", 28, 1000), ("cuda", 90, 517), ("cuda", 400, 250)],
)
def test_an_evaluation_takes_more_at_once_on_a_gpu_as_large_as_the_samples_let_it(
    device: Device, width: int, at_once: int
) -> None:
    """The same numbers stand in julia/test/runtests.jl."""
    samples = Samples(np.zeros((3, 1, width, width), np.float32), np.arange(3))
    assert evaluation_batch_size(device, samples) == at_once


def losses(**changes: Any) -> list[float]:
    run = begin(**changes)
    found = []
    for epoch in range(2):
        run.begin_epoch(sample_order(seed=0, epoch=epoch, samples=SAMPLES))
        found += [run.train(rates(1)).loss for _ in range(17)]
    run.close()
    return found


def test_the_same_loss_sequence_whatever_the_number_of_workers() -> None:
    in_line = losses(num_workers=0)
    assert len(set(in_line)) == len(in_line)
    assert in_line == losses(num_workers=1) == losses(num_workers=2)


# What has moved before, and how far a step goes; `g` is the gradient without decay.
Formula = Callable[[dict[str, torch.Tensor], torch.Tensor, torch.Tensor, int, float, float], torch.Tensor]


def sgd(momentum: float, *, nesterov: bool = False) -> Formula:
    """g = grad + decay * p; v = momentum * v + g; p = p - rate * v; nesterov: p = p - rate * (g + momentum * v)."""

    def moved(
        state: dict[str, torch.Tensor], p: torch.Tensor, g: torch.Tensor, _: int, rate: float, decay: float
    ) -> torch.Tensor:
        g = g + decay * p
        v = state["v"] = momentum * state["v"] + g
        return p - rate * (g + momentum * v if nesterov else v)

    return moved


def adam(*, decoupled: bool = False) -> Formula:
    """Kingma and Ba's algorithm 1, betas (0.9, 0.999), eps 1e-8, with L2 in the gradient; AdamW: beside it."""

    def moved(
        state: dict[str, torch.Tensor], p: torch.Tensor, g: torch.Tensor, step: int, rate: float, decay: float
    ) -> torch.Tensor:
        if decoupled:
            p = p - rate * decay * p
        else:
            g = g + decay * p
        state["m"] = 0.9 * state["m"] + 0.1 * g
        state["v"] = 0.999 * state["v"] + 0.001 * g**2
        mean, variance = state["m"] / (1 - 0.9**step), state["v"] / (1 - 0.999**step)
        return p - rate * mean / (variance.sqrt() + 1e-8)

    return moved


@pytest.mark.parametrize("decay", [0.0, 5e-2])
@pytest.mark.parametrize(
    ("optimizer", "momentum", "rate", "formula"),
    [
        ("sgd", 0.0, 0.1, sgd(0.0)),
        ("sgd", 0.9, 0.1, sgd(0.9)),
        ("nesterov", 0.9, 0.1, sgd(0.9, nesterov=True)),
        ("nesterov", 0.0, 0.1, sgd(0.0, nesterov=True)),
        ("adam", 0.9, 1e-3, adam()),
        ("adamw", 0.9, 1e-3, adam(decoupled=True)),
    ],
)
def test_optimizers_are_the_written_formulas_under_changing_rates(
    optimizer: Optimizer, momentum: float, rate: float, formula: Formula, decay: float
) -> None:
    given = rate * np.array([0.5, 1.0, 0.7, 0.4, 0.2, 0.1])
    run = begin(optimizer=optimizer, momentum=momentum, weight_decay=decay, learning_rate=rate)
    model, data, order = _reference_model()
    state = {name: {key: torch.zeros_like(value) for key in "mv"} for name, value in model.named_parameters()}
    run.begin_epoch(order)
    run.train(given)
    for step, now in enumerate(given.tolist()):
        for name, parameter in _gradients(model, data, order[64 * step : 64 * (step + 1)]):
            assert parameter.grad is not None
            parameter.data = formula(state[name], parameter.data, parameter.grad, step + 1, now, decay)
    _assert_same(run, model)


def _reference_model() -> tuple[LeNet, tuple[torch.Tensor, torch.Tensor], np.ndarray]:
    model = LeNet()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights().items()})
    train = digits()["train"]
    data = torch.from_numpy(train.features.copy()), torch.from_numpy(train.targets.copy())
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
    training = Training(replace(pytorch_spec, target=0.9, epochs=30, test_score=True))
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
    run.reset(weights())
    run.begin_epoch(sample_order(seed=0, epoch=0, samples=SAMPLES))
    assert [run.train(rates(count)).samples for count in (16, 1)] == [1024, 55]
    assert run.loader_workers() == 0
    assert run.evaluate("train") == begin_and_train(17).evaluate("train")
    run.close()
    run.close()


def begin_and_train(batches: int) -> PyTorchRun:
    run = begin()
    run.begin_epoch(sample_order(seed=0, epoch=0, samples=SAMPLES))
    run.train(rates(batches))
    return run


def first_losses(steps: int = 2, batch_size: int = 8, rate: float = 0.05, **changes: Any) -> list[float]:
    run = begin(batch_size=batch_size, **changes)
    run.begin_epoch(sample_order(seed=0, epoch=0, samples=SAMPLES))
    found = [run.train(rates(1, rate)).loss for _ in range(steps)]
    run.close()
    return found


def test_channels_last_is_another_layout_of_the_same_numbers() -> None:
    given = weights(RESNET)
    run = begin(RESNET, memory_format="channels_last")
    kernel = run._model.layer1[0].conv1.weight
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    assert not kernel.is_contiguous()
    for name, array in run.parameters().items():
        assert array.flags.c_contiguous, name
        assert np.array_equal(array, given[name])
    assert first_losses(workload=RESNET, memory_format="channels_last") == pytest.approx(
        first_losses(workload=RESNET), rel=1e-3
    )


def test_channels_last_is_nobodys_default() -> None:
    run = begin(RESNET)
    assert run._model.layer1[0].conv1.weight.is_contiguous()


def test_bf16_computes_in_bfloat16_and_keeps_parameters_and_logits_in_float32() -> None:
    run = begin(precision="bf16", batch_size=8)
    kinds = []
    run._model.fc1.register_forward_hook(lambda _, __, output: kinds.append(output.dtype))
    run.begin_epoch(sample_order(seed=0, epoch=0, samples=SAMPLES))
    found = run.train(rates(1)).loss
    assert kinds == [torch.bfloat16]
    assert run._forward(run._dummy_features(1)).dtype == torch.float32
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


# At 0.05 ResNet-18's loss rises, and on an H200 the fifth one differed by a tenth from run to run of one training. At
# 0.002 the third differed by 0.1 % from run to run, by 0.6 % with another option, and by 1.3 % from the CPU's.
ON_A_GPU = pytest.mark.parametrize(
    ("workload", "steps", "rate"), [("digits-lenet", 5, 0.05), (RESNET, 3, 0.002)], ids=["lenet", "resnet18"]
)


@ON_A_GPU
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
@pytest.mark.parametrize(
    "option", [{"precision": "bf16"}, {"memory_format": "channels_last"}, {"data_on_device": True}, {"num_workers": 1}]
)
def test_options_on_the_gpu(workload: str, steps: int, rate: float, option: dict[str, Any]) -> None:
    plain, changed = (first_losses(steps, 64, rate, device="cuda", workload=workload, **more) for more in ({}, option))
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
@ON_A_GPU
def test_the_gpu_computes_what_the_cpu_computes(workload: str, steps: int, rate: float) -> None:
    runs = [begin(workload, device=device) for device in ("cpu", "cuda")]
    found = []
    for run in runs:
        run.warm_up()
        run.reset(weights(workload))
        run.begin_epoch(sample_order(seed=0, epoch=0, samples=SAMPLES))
        found.append(run.train(rates(steps, rate)).loss)
    assert found[0] == pytest.approx(found[1], rel=5e-3 if workload != RESNET else 1.5e-2)  # TF32 keeps 10 bits


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_dropout_on_the_gpu_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    _dropout_goes_on(tmp_path, "cuda")


def test_dropout_is_seeded_by_the_reset_whatever_came_before_and_whatever_loads(tmp_path: Path) -> None:
    model = write(tmp_path, DROPOUT)
    found = []
    for workers, warm, seed in ((0, False, 0), (0, True, 0), (1, True, 0), (0, True, 1)):
        run = begin(model=model, num_workers=workers, seed=seed)
        if warm:
            run.warm_up()
        run.reset(weights_of(model))
        run.begin_epoch(sample_order(seed=0, epoch=0, samples=SAMPLES))
        found.append(run.train(rates(4)).loss)
        run.close()
    assert found[0] == found[1] == found[2]
    assert found[0] != found[3]


def test_dropout_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    _dropout_goes_on(tmp_path, "cpu")


def _dropout_goes_on(tmp_path: Path, device: str) -> None:
    model, order = write(tmp_path, DROPOUT), sample_order(seed=0, epoch=0, samples=SAMPLES)
    whole = begin(model=model, device=device)
    whole.begin_epoch(order)
    whole.train(rates(3))
    whole.save(tmp_path / "saved")
    expected = whole.train(rates(3)).loss
    other = begin(model=model, device=device)
    other.warm_up()
    other.reset(None)
    other.load(tmp_path / "saved")
    other.begin_epoch(order[3 * 64 :])
    assert other.train(rates(3)).loss == expected
    other.load(tmp_path / "saved")
    torch.manual_seed(99)
    other.begin_epoch(order[3 * 64 :])
    assert other.train(rates(3)).loss != expected  # so it is the random state that did it


def weights_of(model: Path) -> dict[str, np.ndarray]:
    return draw(model, {}, 0)


def test_a_reset_puts_back_what_is_neither_parameter_nor_statistic(tmp_path: Path) -> None:
    """BatchNorm without a momentum divides by its count of batches."""
    text = """
        from torch import nn


        def build():
            return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(784, momentum=None), nn.Linear(784, 10))
    """
    run, fresh = (begin(model=write(tmp_path, text)) for _ in range(2))
    run.warm_up()
    run.reset(None)
    for each in (run, fresh):
        each.begin_epoch(sample_order(seed=0, epoch=0, samples=SAMPLES))
        each.train(rates(2))
    assert np.array_equal(run.parameters()["1.running_mean"], fresh.parameters()["1.running_mean"])


def regression(samples: int = 300) -> dict[Split, Samples]:
    stream = np.random.RandomState(0)
    features = stream.uniform(-1, 1, (samples, 3)).astype(np.float32)
    targets = np.stack([features.sum(1), features[:, 0] * features[:, 1]], 1).astype(np.float32)
    third = samples // 3
    parts = zip(get_args(Split), (slice(0, third), slice(third, 2 * third), slice(2 * third, None)), strict=True)
    return {split: Samples(features[part], targets[part]) for split, part in parts}


@pytest.mark.parametrize("data_on_device", [False, True])
def test_a_regression_is_trained_to_a_small_loss_and_knows_no_accuracy(tmp_path: Path, data_on_device: bool) -> None:
    data = regression()
    run = start(
        setup(
            "pytorch", model=write(tmp_path, REGRESSION), data=data, outputs=2, loss="mean_squared_error",
            batch_size=32, optimizer="adamw", data_on_device=data_on_device,
        )
    )  # fmt: skip
    run.warm_up()
    run.reset(None)
    before = run.evaluate("validation")
    assert before.accuracy is None
    outputs = run._model(torch.from_numpy(data["validation"].features)).detach().numpy()
    assert before.loss == pytest.approx(float(np.mean((outputs - data["validation"].targets) ** 2)), rel=1e-5)
    for epoch in range(40):
        run.begin_epoch(sample_order(seed=0, epoch=epoch, samples=100))
        progress = run.train(rates(4, 0.02))
        assert progress.samples == 100
    assert run.evaluate("validation").loss < 0.1 * before.loss
    run.close()


@pytest.mark.parametrize("shape", [(5,), (4, 6), (2, 3, 4, 5), (2, 2, 3, 2, 2)])
def test_features_have_any_number_of_dimensions(tmp_path: Path, shape: tuple[int, ...]) -> None:
    size = int(np.prod(shape))
    text = f"""
        from torch import nn


        def build():
            return nn.Sequential(nn.Flatten(), nn.Linear({size}, 3))
    """
    samples = Samples(np.random.RandomState(0).randn(50, *shape).astype(np.float32), np.arange(50) % 3)
    data = dict.fromkeys(get_args(Split), samples)
    run = start(setup("pytorch", model=write(tmp_path, text), data=data, batch_size=16, num_workers=1))
    run.warm_up()
    run.reset(None)
    run.begin_epoch(np.arange(50))
    assert run.train(rates(4)).samples == 50
    assert run.evaluate("test").accuracy is not None
    run.close()


def test_channels_last_is_for_images_alone(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as failed:
        start(
            setup(
                "pytorch", model=write(tmp_path, REGRESSION), data=regression(), outputs=2,
                loss="mean_squared_error", memory_format="channels_last",
            )
        )  # fmt: skip
    assert str(failed.value) == (
        "memory_format channels_last is for images, (samples, channels, height, width), and these features have 2 "
        "dimensions; leave it at contiguous"
    )


def test_what_a_model_raises_in_training_is_told_by_file_and_line(tmp_path: Path) -> None:
    text = """
        from torch import nn


        class Fragile(nn.Linear):
            def forward(self, x):
                if self.training and x.any():
                    raise ValueError("too much")
                return super().forward(x.flatten(1))


        def build():
            return Fragile(784, 10)
    """
    run = begin(model=write(tmp_path, text))
    run.warm_up()
    run.begin_epoch(np.arange(SAMPLES))
    with pytest.raises(RuntimeError, match=rf"{tmp_path}/model.py, line 7: ValueError: too much$"):
        run.train(rates(1))
