"""The process that draws initial parameters for a study: ``python -m trainables.pytorch.weights MODEL PIPE``.

The pipe is a file descriptor, to whose other end `trainables.workloads.weights.WeightsServer` holds. Each request is
answered by a pair: the answer, and the line that says why there is none. The process ends when the pipe is closed.
"""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from trainables.common.process import hide_gpus
from trainables.pytorch.building import draw, problem
from trainables.workloads.weights import write_weights


def main() -> None:
    """Serve requests until the pipe is closed."""
    model, pipe = Path(sys.argv[1]), Connection(int(sys.argv[2]))
    torch.set_num_threads(1)
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        try:
            answer, failure = _answer(model, request), None
        except Exception as error:
            answer, failure = None, " ".join(str(error).split()) or type(error).__name__
        pipe.send((answer, failure))


def _answer(model: Path, request: dict[str, Any]) -> str | None:
    if "draw" not in request:
        return problem(model, request["options"], request["features"], request["outputs"])
    write_weights(Path(request["draw"]), draw(model, request["options"], request["seed"]))
    return None


if __name__ == "__main__":
    hide_gpus()
    main()
