"""LeNet-5 for one channel of 28 x 28 and 10 classes."""

from trainables.pytorch.models import LeNet, initialize

__all__ = ["build", "initialize"]


def build() -> LeNet:
    """The model; `initialize` draws its weights."""
    return LeNet()
