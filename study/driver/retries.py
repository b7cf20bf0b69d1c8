"""Whether a trial that failed is tried again, and from where: what fails alike at once each time will always do."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from study.driver.causes import may_pass
from study.driver.failures import kind_of
from study.store.folder import StudyFolder
from trainables import checkpoint

AT_ONCE_S = 30.0  # from the start of a trial; importing a framework can take ten of them on a busy machine


@dataclass
class _Attempt:
    """One that runs."""

    began: float
    evaluated: bool = False


@dataclass
class Retries:
    """Knows what fails alike at once.

    A trial that has failed at once, before it evaluated anything, and fails again alike and at once when it is tried
    again, is tried no more. Nor is any other of its framework on its node that fails in this way, where the cause is
    what the training raised: a process that is gone or memory that is short may be another trial's doing.

    Parameters
    ----------
    say
        Told when something turns out to fail each time.
    clock
        ``time.monotonic``, if not given.
    """

    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _attempts: dict[str, _Attempt] = field(default_factory=dict)  # by trial id
    _failed: Counter[tuple[str, str]] = field(default_factory=Counter)  # at once: by trial id and kind of error
    _always: set[tuple[str, str, str]] = field(default_factory=set)  # framework, node and kind of error

    def started(self, trial_id: str) -> None:
        """An attempt begins."""
        self._attempts[trial_id] = _Attempt(self.clock())

    def evaluated(self, trial_id: str) -> None:
        """It has got somewhere."""
        if trial_id in self._attempts:
            self._attempts[trial_id].evaluated = True

    def again(self, trial_id: str, framework: str, node: str, error: str) -> bool:
        """Whether another attempt makes sense after this error.

        Parameters
        ----------
        node
            Ray's id of the one on which it ran.
        """
        attempt, kind = self._attempts.pop(trial_id, None), kind_of(error)
        if attempt is None or attempt.evaluated or self.clock() - attempt.began > AT_ONCE_S:
            return True
        self._failed[trial_id, kind] += 1
        if (framework, node, kind) in self._always:
            return False
        if self._failed[trial_id, kind] < 2:
            return True
        if not may_pass(error):
            self._always.add((framework, node, kind))
            self.say(f"{trial_id} failed again at once with: {error}; what fails so is not tried again")
        return False


def goes_on(folder: StudyFolder, trial_id: str) -> str:
    """From where a trial that was interrupted goes on, for a sentence."""
    done = _saved(folder, trial_id)
    return f"goes on from evaluation {done}" if done else "begins anew"


def interrupted(folder: StudyFolder, trial_ids: Iterable[str]) -> str:
    """What becomes of trials that were interrupted, in a line; empty where there are none."""
    saved = [_saved(folder, name) > 0 for name in trial_ids]
    going_on, anew = sum(saved), len(saved) - sum(saved)
    parts = [f"{going_on} from their last checkpoints"] * bool(going_on) + [f"{anew} from their beginning"] * bool(anew)
    return f"interrupted trials that go on: {', '.join(parts)}" if parts else ""


def _saved(folder: StudyFolder, trial_id: str) -> int:
    """Evaluations that a trial's checkpoints hold."""
    state = checkpoint.read_state(folder.checkpoints(trial_id))
    return len(state["evaluations"]) if state is not None else 0
