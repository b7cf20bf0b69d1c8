"""Dropout switched off while a model stays in training mode: each framework draws it in its own way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from torch import Tensor, nn
from torch.nn import functional as F

_FUNCTIONS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
_attention = F.scaled_dot_product_attention


@contextmanager
def switched_off(model: nn.Module) -> Iterator[None]:
    """Let every dropout in the block pass what it gets: layers, functions, and those inside attention and LSTMs."""
    recurrent = {layer: layer.dropout for layer in model.modules() if isinstance(layer, nn.RNNBase)}
    for layer in recurrent:
        layer.dropout = 0.0  # whose kernel is told by a number
    functions: dict[str, Any] = {**dict.fromkeys(_FUNCTIONS, _pass), "scaled_dot_product_attention": _attend_to_all}
    try:
        with patch.multiple(F, **functions):  # which the layers call, too
            yield
    finally:
        for layer, share in recurrent.items():
            layer.dropout = share


def _pass(input: Tensor, *_arguments: Any, **_options: Any) -> Tensor:  # noqa: A002 (PyTorch's name)
    return input


def _attend_to_all(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001
    *arguments: Any,
    **options: Any,
) -> Tensor:
    return _attention(query, key, value, attn_mask, 0.0, *arguments, **options)
