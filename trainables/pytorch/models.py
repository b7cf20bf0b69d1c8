"""LeNet and ResNet-18 in PyTorch, and the initial parameters that they have here.

Both models are those of the benchmark that this project grew from (the-praxs/dl-benchmark), for one input channel of
28 x 28 and 10 classes.

ResNet-18 equals torchvision's but for its single input channel (a test holds that); it is written out because
importing torchvision would add a second to every cold start, which is the framework's competitor's gain, not its own.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 10
_WEIGHTS = 1  # a stream of its own: 2 is that of the order of samples


class LeNet(nn.Module):
    """(batch, 1, 28, 28) -> logits (batch, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, kernel_size=5)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.fc1 = nn.Linear(256, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(images)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.flatten(1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        logits: Tensor = self.fc3(x)
        return logits


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with BatchNorm and a shortcut, projected where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.bn2(self.conv2(x))
        return F.relu(x + shortcut, inplace=True)


class ResNet18(nn.Module):
    """(batch, 1, 28, 28) -> logits (batch, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))
        self.fc = nn.Linear(512, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(images)), inplace=True)
        x = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = x.mean(dim=(2, 3))  # 1 x 1 already for 28 x 28 images
        logits: Tensor = self.fc(x)
        return logits


def initialize(model: nn.Module, seed: int) -> None:
    """Draw the weights in PyTorch's default distributions from a stream that is frozen for good.

    U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weights and biases of convolutions and dense layers, to which
    kaiming_uniform with a = sqrt(5) comes in ``torch.nn.Linear.reset_parameters`` and ``_ConvNd.reset_parameters``;
    BatchNorm stays at ones and zeros. From ``numpy.random.RandomState``, whose streams never change (NEP 19), so that
    a seed means the same weights with every release of PyTorch and NumPy.
    """
    stream = np.random.RandomState([_WEIGHTS, seed])
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                bound = 1.0 / sqrt(layer.weight[0].numel())
                for tensor in layer.parameters(recurse=False):
                    drawn = stream.uniform(-bound, bound, size=tensor.numel()).astype(np.float32)
                    tensor.copy_(torch.from_numpy(drawn).reshape(tensor.shape))
