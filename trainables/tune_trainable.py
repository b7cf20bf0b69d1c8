"""Ray Tune's view of one training: a class trainable that only wraps `trainables.training.Training`.

The one file of this package that imports Ray. A class trainable, because it runs on the process's main thread, which
Julia wants, and can be kept for the next trial (``reuse_actors``): start-up and compilation are paid once per slot.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ray.tune import PlacementGroupFactory, Trainable

from trainables import notices
from trainables.cap import NO_CAP, Cap, score_of
from trainables.common.house import HOUSE, code_digest
from trainables.common.lease import Lease
from trainables.common.process import hide_gpus
from trainables.spec import TrainingSpec
from trainables.training import Evaluation, Training
from trainables.workloads.workload import read

# What a Tune config of this trainable holds, besides the hyperparameters that Tune shows in its own logs.
SPEC = "spec"  # `TrainingSpec.as_dict()`
FOLDER = "folder"  # where this trial keeps its checkpoints
WORKLOAD = "workload"  # the study's copy of it, a folder
DATA = "data"  # where its data lie
WEIGHTS = "weights"  # a file with its initial parameters; None where its framework draws them itself
NO_WEIGHTS = "no_weights"  # why they could not be drawn; None where all is well
LEASE = "lease"  # `Lease.as_dict()` of the driver that runs it; None where there is none
CAP = "cap"  # `Cap.as_dict()`, as it was known when the trial was dealt; None where there is none
CODE = "code"  # `code_digest()` of the driver
NODE = "node"  # Ray's id of the node on which it must run
EVERY_EVALUATION = "every_evaluation"  # whether Tune hears of each evaluation at once: a scheduler wants that

# What its results hold, besides the fields of `Evaluation`.
OBJECTIVE = "objective"
HISTORY = "history"  # evaluations since the result before; with the first result, all before an interruption too
RESULT = "result"  # `Training.result()`
NOTICES = "notices"  # what the user must be told, since the result before; `trainables.notices` told it at once
SCORE = "score"  # what a scheduler compares: the higher the better

# A report makes the driver work beside the training that is being timed, and the training wait for it. Evaluations that
# follow one another faster than this are told together: 128 reports in 4 s cost a 4 s training 9 %.
REPORT_INTERVAL_S = 0.5

_WORST = -1e30  # of a loss that is not finite; a scheduler computes with it


_NODE_LABEL = "ray.io/node-id"  # every node has it


def placement(slices: Mapping[str, dict[str, float]], config: Mapping[str, Any]) -> PlacementGroupFactory:
    """The resources of a trial, on the node that it was dealt to.

    Tune sends this with the trainable to every node, so it lies here, where no node needs what the driver needs.

    Parameters
    ----------
    slices
        Resources by framework.
    config
        The trial's.
    """
    return PlacementGroupFactory(
        [slices[config[SPEC]["framework"]]], bundle_label_selector=[{_NODE_LABEL: config[NODE]}]
    )


class TrainingTrainable(Trainable):
    """One step is one evaluation interval, or several short ones. Checkpoints are the training's own, not Tune's."""

    def setup(self, config: dict[str, Any]) -> None:
        # Nothing here that can fail: what fails in step() is reported as this trial's failure, whatever the process.
        self._started = time.perf_counter()
        self._config = config
        self._training: Training | None = None

    def _understand(self, config: dict[str, Any]) -> None:
        """What the driver asks for, in the words of the code that both have."""
        _check_code(config[CODE])
        self._spec = TrainingSpec.from_dict(config[SPEC])
        self._folder = Path(config[FOLDER])
        self._workload = Path(config[WORKLOAD])
        self._data = Path(config[DATA])
        self._weights = Path(config[WEIGHTS]) if config[WEIGHTS] else None
        self._no_weights: str | None = config[NO_WEIGHTS]
        self._lease = Lease(**config[LEASE]) if config[LEASE] else None
        self._cap = Cap.from_dict(config[CAP]) if config[CAP] else NO_CAP
        self._interval_s = 0.0 if config[EVERY_EVALUATION] else REPORT_INTERVAL_S

    def step(self) -> dict[str, Any]:
        if self._training is None:
            self._understand(self._config)
        if self._taken_over():
            raise RuntimeError("another driver has taken the study over")
        history: list[dict[str, Any]] = []
        if self._training is None:
            if self._no_weights is not None:
                raise RuntimeError(self._no_weights)
            if self._spec.device == "cpu":
                hide_gpus()
            self._training = Training(
                self._spec,
                workload=read(self._workload),
                folder=self._folder,
                data=self._data,
                weights=self._weights,
                cap=self._cap,
                started=self._started,
                tell=partial(notices.leave, self._folder),
            )
            before = self._training.evaluations
            if self._training.finished:
                before.pop()  # the last one is the result
            history = [asdict(evaluation) for evaluation in before]
        began = time.perf_counter()
        try:
            evaluation = self._training.advance()
            while not self._training.finished and time.perf_counter() - began < self._interval_s:
                history.append(asdict(evaluation))
                evaluation = self._training.advance()
        except Exception as error:
            # A framework's own exception may not survive pickling, or may start the framework in the driver.
            raise RuntimeError(f"{type(error).__name__}: {error}") from None
        told, self._training.notices = self._training.notices, []
        return {
            **asdict(evaluation),
            NOTICES: told,
            OBJECTIVE: self._training.objective(),
            SCORE: _score(self._spec, evaluation),
            HISTORY: history,
            RESULT: self._training.result(),
            "done": self._training.finished,
        }

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Serve the next trial in this process; never one of another framework, which the driver sees to."""
        self.cleanup()
        if new_config[SPEC]["framework"] != self._config[SPEC]["framework"]:
            raise RuntimeError("a process that has loaded one framework was given a trial of another")
        self.setup(new_config)
        return True

    def cleanup(self) -> None:
        if self._training is not None:
            self._training.close(save=not self._taken_over())  # then the folder is another driver's
            self._training = None

    def _taken_over(self) -> bool:
        return self._lease is not None and self._lease.taken_over()


def _score(spec: TrainingSpec, evaluation: Evaluation) -> float:
    accuracy, loss = evaluation.validation_accuracy, evaluation.validation_loss
    return max(_WORST, score_of(spec.metric, accuracy=accuracy, loss=loss))


def _check_code(expected: str) -> None:
    """A trial is of the code that its study says, or it is none.

    Raises
    ------
    RuntimeError
        When this process found other sources than the driver has.
    """
    if code_digest() != expected:
        raise RuntimeError(
            f"the code in {HOUSE} is not the driver's: it was changed while the study ran, or this node has another "
            "version; resume the study with one version"
        )
