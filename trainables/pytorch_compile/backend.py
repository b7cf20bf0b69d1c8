"""The backend of `trainables.pytorch` with its model compiled: ``torch.compile`` with inductor, its default.

Every shape of a batch is compiled by itself, in the warm-up (``dynamic=False``): else the second batch size of a
process would get slower, general code, and how fast a training is would depend on those that the process ran before.
"""

from __future__ import annotations

from torch import nn

from trainables.contract import Setup, TraceSetup
from trainables.pytorch.backend import PyTorchRun, PyTorchTrace
from trainables.pytorch_compile.compiler import settle


def start(setup: Setup) -> PyTorchRun:
    """See `trainables.contract.Start`."""
    settle()
    return PyTorchRun(setup, prepare=_compile)


def start_trace(setup: TraceSetup) -> PyTorchTrace:
    """See `trainables.contract.StartTrace`."""
    settle()
    return PyTorchTrace(setup, prepare=_compile)


def _compile(model: nn.Module) -> None:
    model.compile(dynamic=False)
