from __future__ import annotations

import hashlib

import pytest
import torch
import torchvision
from torch import nn

from trainables.pytorch.building import draw
from trainables.pytorch.models import LeNet, ResNet18, initialize
from trainables.workloads.workload import find

WORKLOADS = {"lenet": "digits-lenet", "resnet18": "fashion-resnet18"}


def test_parameter_counts() -> None:
    assert [sum(each.numel() for each in kind().parameters()) for kind in (LeNet, ResNet18)] == [44_426, 11_175_370]


def test_resnet18_is_torchvisions_with_one_input_channel() -> None:
    theirs = torchvision.models.resnet18(num_classes=10)
    theirs.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    mine = ResNet18()
    mine.load_state_dict(theirs.state_dict())
    images = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for mode in (True, False):  # training mode first, so that the running statistics of both move as well
        torch.testing.assert_close(mine.train(mode)(images), theirs.train(mode)(images))


@pytest.mark.parametrize(
    ("model", "seed", "digest"),
    [
        ("lenet", 0, "3ac1befa29cd2ca745a7938cba9b7582923de0b1e6d553ea0d36046054f8f945"),
        ("lenet", 7, "6f04b08be2c5bb45690b5dbd1015d44e507300652d43c914b2b608d85256104d"),
        ("resnet18", 0, "0686784e265777693b41b7a7f8c1f4c04829ecf616ad97ef5b4403c47fa1687e"),
        ("resnet18", 7, "4b9d01e249a15536471cd52910a39edcb0a94b75ea68cdd63f862978701027e4"),
    ],
)
def test_the_initial_bytes_never_change(model: str, seed: int, digest: str) -> None:
    """They are those of the versions before a workload was a folder; names and BatchNorm's statistics included."""
    found = hashlib.sha256()
    for name, array in draw(find(WORKLOADS[model]).models["python"], {}, seed).items():
        found.update(name.encode() + b"\0" + array.tobytes())
    assert found.hexdigest() == digest


@pytest.mark.parametrize("kind", [LeNet, ResNet18])
def test_initial_bounds_are_pytorchs(kind: type[nn.Module]) -> None:
    """PyTorch's own draws lie within our bound, and come near it: the distribution has the same support."""
    torch.manual_seed(0)
    theirs, mine = kind(), kind()
    initialize(mine, 0)
    for name, layer in theirs.named_modules():
        ours = mine.get_submodule(name)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = layer.weight[0].numel() ** -0.5
            for tensor in (layer.weight, ours.weight):
                assert 0.95 * bound <= tensor.abs().max().item() <= bound + 1e-7
            assert not torch.equal(layer.weight, ours.weight)
        elif isinstance(layer, nn.BatchNorm2d):
            assert all(map(torch.equal, layer.state_dict().values(), ours.state_dict().values()))
