"""What goes into each layer of a model, for ``tuneoff verify`` to find the one in which two sides part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn


def inputs(model: nn.Module, features: Tensor) -> dict[str, npt.NDArray[Any]]:
    """See `trainables.contract.Trace.inputs`; a layer that is used twice is told of once, when it is used first."""
    found: dict[str, npt.NDArray[Any]] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(_: nn.Module, given: tuple[Any, ...]) -> None:
            if given and isinstance(given[0], Tensor) and name not in found:
                found[name] = given[0].numpy(force=True).copy()  # the next layer may write into it

        return hook

    with ExitStack() as stack:
        for name, layer in model.named_modules():
            if name and [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]:
                stack.callback(layer.register_forward_pre_hook(note(name)).remove)
        stack.enter_context(_unchanged(model))
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.compiler.set_stance("force_eager"))  # hooks are not looked for in compiled code
        found[""] = model(features).numpy(force=True)
    return found


@contextmanager
def _unchanged(model: nn.Module) -> Iterator[None]:
    """Put statistics back: a pass in training mode moves BatchNorm's."""
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    yield
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            buffer.copy_(before[name])
