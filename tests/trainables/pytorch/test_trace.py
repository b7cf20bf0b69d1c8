"""Single steps laid open: of any model, without dropout, in float64 as in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.trainables.pytorch.files import DROPOUT, write
from tests.trainables.setups import digits
from trainables.contract import Hyperparameters, Samples, TraceSetup
from trainables.pytorch.backend import PyTorchTrace, start_trace
from trainables.pytorch.building import draw
from trainables.pytorch.dropout import switched_off


def trace(model: Path, **changes: Any) -> PyTorchTrace:
    knobs = Hyperparameters(learning_rate=0.1, batch_size=8, num_workers=0)
    plain: dict[str, Any] = {
        "sample_shape": (1, 28, 28),
        "outputs": 10,
        "loss": "cross_entropy",
        "hyperparameters": knobs,
        "seed": 0,
        "precision": "float64",
        "threads": 1,
    }
    return start_trace(TraceSetup(model=model, **{**plain, **changes}))


def batch() -> Samples:
    train = digits()["train"]
    return Samples(train.features[:8], train.targets[:8])


def test_a_step_is_the_written_one_without_dropout(tmp_path: Path) -> None:
    model = write(tmp_path, DROPOUT)
    first, second = (torch.from_numpy(array).double() for array in list(draw(model, {}, 0).values())[::2])
    biases = [torch.from_numpy(array).double() for array in list(draw(model, {}, 0).values())[1::2]]
    traced = trace(model).step(batch(), 0.05)
    hidden = F.relu(torch.from_numpy(batch().features).double().flatten(1) @ first.T + biases[0])
    outputs = hidden @ second.T + biases[1]
    assert traced.outputs.dtype == np.float64
    np.testing.assert_allclose(traced.outputs, outputs.numpy(), rtol=1e-12)
    assert traced.loss == pytest.approx(F.cross_entropy(outputs, torch.from_numpy(batch().targets)).item(), rel=1e-12)
    gradient = traced.gradients["4.weight"]
    np.testing.assert_allclose(traced.parameters["4.weight"], second.numpy() - 0.05 * gradient, rtol=1e-12)


def test_inputs_of_layers_are_told_in_the_order_of_the_computation_and_nothing_moves(tmp_path: Path) -> None:
    text = """
        import torch
        from torch import nn


        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.last = nn.Linear(4, 10)
                self.norm = nn.BatchNorm1d(4)
                self.first = nn.Linear(784, 4)

            def forward(self, x):
                return self.last(torch.relu_(self.norm(self.first(x.flatten(1)))))


        def build():
            return Net()
    """
    one = trace(write(tmp_path, text))
    before = one.parameters()
    found = one.inputs(batch())
    assert list(found) == ["first", "norm", "last", ""]
    assert [array.shape for array in found.values()] == [(8, 784), (8, 4), (8, 4), (8, 10)]
    assert (found["last"] >= 0).all()
    for name, array in one.parameters().items():
        assert np.array_equal(array, before[name])
    assert np.array_equal(one.step(batch(), 0.1).outputs, found[""])


class _Everything(nn.Module):
    """Dropout in all the ways in which it is written."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.alpha = nn.Dropout(0.5), nn.AlphaDropout(0.5)
        self.attention = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True)
        self.recurrent = nn.LSTM(8, 8, num_layers=2, dropout=0.5, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.alpha(self.layer(x)) + F.dropout(x, 0.5, self.training)
        x = x + self.attention(x, x, x, need_weights=False)[0] + self.attention(x, x, x)[0]
        x = self.recurrent(self.encoder(x))[0]
        return F.scaled_dot_product_attention(x, x, x, dropout_p=0.5 if self.training else 0.0)


def test_dropout_is_switched_off_wherever_it_is_and_on_again_afterwards() -> None:
    torch.manual_seed(0)
    model, x = _Everything().train(), torch.randn(2, 5, 8)
    with switched_off(model):
        first, second = model(x), model(x)
    assert torch.equal(first, second)
    torch.testing.assert_close(first, model.eval()(x))
    model.train()
    assert not torch.equal(model(x), model(x))
    assert model.recurrent.dropout == 0.5
