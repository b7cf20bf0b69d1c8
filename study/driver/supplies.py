"""What trials are given besides their hyperparameters: the workload, its data, initial parameters.

Initial parameters are drawn by a process that has PyTorch, when a trial is dealt, into a file that every framework
reads. It is removed when no trial needs it any more, so that the disk holds no more of them than trials run; what a
driver that was killed has left the next one takes away.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from study.plan.points import options_text
from study.store.folder import StudyFolder
from trainables.common.lease import Lease
from trainables.contract import Option
from trainables.frameworks import framework
from trainables.spec import TrainingSpec
from trainables.workloads.weights import WeightsServer
from trainables.workloads.workload import Workload

_LETTERS = 16


class Draws(Protocol):
    """What draws initial parameters: `trainables.workloads.weights.WeightsServer`."""

    def start(self) -> None: ...

    def draw(self, path: Path, *, options: Mapping[str, Option], seed: int) -> None: ...

    def close(self) -> None: ...


class Weights:
    """Files with initial parameters, by the trials that need them.

    Parameters
    ----------
    folder
        Theirs, which is emptied.
    server
        Draws them; None where every framework draws its own.
    """

    def __init__(self, folder: Path, server: Draws | None = None) -> None:
        self._folder = folder
        self._server = server
        self._needed: dict[str, Path] = {}
        shutil.rmtree(folder, ignore_errors=True)
        if server is not None:
            folder.mkdir(parents=True)
            server.start()

    def draw(self, trial_id: str, spec: TrainingSpec) -> Path | None:
        """The file of a trial that is dealt; None where its framework draws them itself.

        Raises
        ------
        RuntimeError
            Of one line, when the model's file fails.
        OSError
            When the file cannot be written.
        """
        if self._server is None or framework(spec.framework).language is None:
            return None
        options = spec.hyperparameters.options
        key = json.dumps([options_text(options), spec.seed])
        path = self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:_LETTERS]}.npz"
        if not path.exists():
            self._server.draw(path, options=options, seed=spec.seed)
        self._needed[trial_id] = path
        return path

    def forget(self, trial_id: str) -> None:
        """A trial has ended for good."""
        path = self._needed.pop(trial_id, None)
        if path is not None and path not in self._needed.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """End what draws them, and remove them all."""
        if self._server is not None:
            self._server.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def weights_for(folder: StudyFolder, workload: Workload, frameworks: Iterable[str]) -> Weights:
    """Those of a study: drawn by its model in PyTorch, where it has one and any framework would use it."""
    model = workload.models.get("python")
    wanted = model is not None and any(framework(name).language is not None for name in frameworks)
    return Weights(folder.weights, WeightsServer(model) if wanted and model is not None else None)


@dataclass(frozen=True)
class Supplies:
    """What the trials of one run of the driver share.

    Parameters
    ----------
    lease
        Of the driver.
    workload
        The study's own copy.
    data
        Where its data lie, stored.
    """

    lease: Lease
    workload: Workload
    data: Path
    weights: Weights
