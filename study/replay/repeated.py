"""The same search again and again, each time from another seed: what it costs and finds is a matter of luck, too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from math import inf, isfinite
from typing import Any

import numpy as np

from study.plan.plan import Plan
from study.replay.race import race
from study.replay.recording import Recording
from study.replay.regret import Known, Truth, singles, within
from study.replay.search import search

CLOSE = 0.05  # of the best that was recorded: as good as that


@dataclass(frozen=True)
class Repetition:
    """One search, and what it came to.

    Parameters
    ----------
    outcomes
        Trials by how they ended.
    search_s, race_s
        Slice-seconds.
    found
        What it returns, by hyperparameters' names; None where no trial reached the target.
    truth_s
        What that is worth: the geometric mean over all its recorded seeds.
    regret
        How much that is above the best recorded, as a share; infinite where nothing was found.
    close_s
        Slice-seconds after which what it would have returned was as good as the best; infinite where it never was.
    """

    seed: int
    outcomes: dict[str, int]
    search_s: float
    race_s: float
    race_runs: int
    found: dict[str, Any] | None
    truth_s: float
    regret: float
    close_s: float

    def as_dict(self) -> dict[str, Any]:
        """JSON values; what is infinite is null."""
        return {
            key: None if isinstance(each, float) and not isfinite(each) else each for key, each in asdict(self).items()
        }


def repeated(
    plan: Plan, framework: str, recording: Recording, *, slots: int, repetitions: int, truth: Truth
) -> Iterator[Repetition]:
    """Searches from seeds that follow one another, the plan's first."""
    for number in range(repetitions):
        mine = plan.model_copy(update={"seed": (plan.seed + number) % 2**31})
        ended = search(mine, framework, recording, slots=slots)
        trials = [each.trial for each in ended]
        came = race(mine, framework, recording, trials)
        searched_s = ended[-1].spent_s
        known = [*singles(ended), Known(searched_s + came.cost_s, came.winner)]
        yield Repetition(
            seed=mine.seed,
            outcomes=dict(Counter(str(trial.outcome) for trial in trials)),
            search_s=searched_s,
            race_s=came.cost_s,
            race_runs=came.runs,
            found=None if came.winner is None else recording.shown(came.winner),
            truth_s=inf if came.winner is None else truth.of(came.winner),
            regret=truth.regret(came.winner),
            close_s=within(known, truth, CLOSE),
        )


def spread(repetitions: list[Repetition], value: Callable[[Repetition], float]) -> tuple[float, float, float]:
    """Median, and the quartiles, of values that may be infinite."""
    values = [value(each) for each in repetitions]
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], method="inverted_cdf")
    return float(middle), float(low), float(high)
