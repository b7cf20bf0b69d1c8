"""Initial parameters in a file, the same for every framework: drawn by the model's own constructor, in PyTorch.

That happens in a process of its own (`trainables.pytorch.weights`), for whoever asks here loads no framework.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from trainables.common.files import replacing
from trainables.common.helpers import telling
from trainables.common.house import python
from trainables.contract import Option, Parameters

ANSWER_S = 300.0  # for importing PyTorch from a cold, slow disk, and drawing
END_S = 5.0


def read_weights(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Parameters by name, in the order in which they were written."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def write_weights(path: Path, parameters: Parameters) -> None:
    """Write what `read_weights` reads; whole, or not at all."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **parameters)  # type: ignore[arg-type]


class WeightsServer:
    """A process that has PyTorch and answers for one model file; it starts when it is first asked, if not before.

    Parameters
    ----------
    model
        A workload's ``model.py``.
    """

    def __init__(self, model: Path) -> None:
        self._model = model
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._errors: IO[bytes] | None = None

    def __enter__(self) -> WeightsServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start it, and wait for nothing."""
        if self._process is None:
            self._start()

    def draw(self, path: Path, *, options: Mapping[str, Option], seed: int) -> None:
        """Write the initial parameters of a seed to a file, for `read_weights`.

        Raises
        ------
        RuntimeError
            Of one line, with file and line where the model's file is to blame.
        """
        self._ask({"draw": str(path), "options": dict(options), "seed": seed})

    def problem(self, *, options: Mapping[str, Option], features: npt.NDArray[np.float32], outputs: int) -> str | None:
        """Why the model cannot be trained on data like these, in a line with file and line; None where it can.

        Parameters
        ----------
        features
            Of a few samples, two at least: real ones, or zeros of their shape, of which a NaN is forgiven.
        outputs
            How many numbers the model has to give a sample.
        """
        found: str | None = self._ask({"options": dict(options), "features": np.array(features), "outputs": outputs})
        return found

    def close(self) -> None:
        """End the process; it starts anew when it is asked again."""
        if self._process is None:
            return
        assert self._pipe is not None
        assert self._errors is not None
        self._pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        self._process.kill()
        self._process.wait()
        self._errors.close()
        self._process = None

    def _ask(self, request: dict[str, Any]) -> Any:
        self.start()
        assert self._pipe is not None
        try:
            self._pipe.send(request)
            if not self._pipe.poll(ANSWER_S):
                self.close()
                raise RuntimeError(f"{self._model}: drawing initial parameters gave no answer in {ANSWER_S:g} s")
            answer, failure = self._pipe.recv()
        except (EOFError, OSError):
            raise RuntimeError(f"{self._model}: drawing initial parameters {self._end()}") from None
        if failure is not None:
            raise RuntimeError(failure)
        return answer

    def _start(self) -> None:
        ours, theirs = Pipe()
        self._errors = TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            python("trainables.pytorch.weights", str(self._model), str(theirs.fileno())),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # what the model's file prints is nobody's answer
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C is the asker's to answer
        )
        theirs.close()
        self._pipe = ours

    def _end(self) -> str:
        """What it died of."""
        assert self._process is not None
        assert self._errors is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        self._errors.seek(0)
        said = telling(self._errors.read().decode("utf-8", errors="replace"))
        code = self._process.poll()
        self.close()
        if code is not None and code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"failed: {said or f'exit code {code}'}"
