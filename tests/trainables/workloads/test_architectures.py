from __future__ import annotations

import pytest
import torch
import torchvision

from trainables.determinism import initial_parameters
from trainables.pytorch.models import MODELS as PYTORCH_MODELS
from trainables.workloads.architectures import MODELS, lenet, parameter_count, resnet18


def test_parameter_counts() -> None:
    assert parameter_count(lenet()) == 44_426
    assert parameter_count(resnet18()) == 11_175_370


@pytest.mark.parametrize("name", MODELS)
def test_pytorch_has_the_same_tensors_in_the_same_order(name: str) -> None:
    state = PYTORCH_MODELS[name]().state_dict()
    mine = [(key, tuple(value.shape)) for key, value in state.items() if not key.endswith("num_batches_tracked")]
    assert mine == [(tensor.name, tensor.shape) for tensor in MODELS[name]()]


@pytest.mark.parametrize("name", MODELS)
def test_trained_means_trained_in_pytorch(name: str) -> None:
    trained = {key for key, _ in PYTORCH_MODELS[name]().named_parameters()}
    assert trained == {tensor.name for tensor in MODELS[name]() if tensor.trained}


def test_resnet18_is_torchvisions_with_one_input_channel() -> None:
    theirs = torchvision.models.resnet18(num_classes=10)
    theirs.conv1 = torch.nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    mine = PYTORCH_MODELS["resnet18"]()
    mine.load_state_dict(theirs.state_dict())
    images = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for mode in (True, False):  # training mode first, so that the running statistics of both move as well
        torch.testing.assert_close(mine.train(mode)(images), theirs.train(mode)(images))


@pytest.mark.parametrize("name", MODELS)
def test_initial_bounds_are_pytorchs(name: str) -> None:
    """PyTorch's own draws lie within our bound, and come near it: the distribution has the same support."""
    torch.manual_seed(0)
    state = PYTORCH_MODELS[name]().state_dict()
    for tensor in MODELS[name]():
        if tensor.fan_in:
            bound = tensor.fan_in**-0.5
            theirs = state[tensor.name].abs().max().item()
            assert theirs <= bound + 1e-7
            if state[tensor.name].numel() >= 100:
                assert theirs >= 0.95 * bound
        else:
            assert torch.all(state[tensor.name] == tensor.constant)
    mine = initial_parameters(MODELS[name](), seed=0)
    assert all(array.dtype.name == "float32" for array in mine.values())
