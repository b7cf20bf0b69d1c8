"""ResNet-18 for one channel of 28 x 28 and 10 classes."""

from trainables.pytorch.models import ResNet18, initialize

__all__ = ["build", "initialize"]


def build() -> ResNet18:
    """The model; `initialize` draws its weights."""
    return ResNet18()
