"""When a search has spent enough: its budget is gone, or another trial would cost more than it may save.

**Budget.** Seconds for which the trials of a framework's search may hold slices, all that was lost included. No trial
is dealt once what was spent, and what the running trials will have cost at the mean of those that have ended, comes to
it. A trial that runs is never ended for it: what it has cost would be lost. So the budget is overshot by what the last
trial takes beyond it: by less than a trial, where those that run then cost no more than trials did on average.

**Gain.** One-step look-ahead, the rule for searching with recall [1]_: go on as long as the expected improvement of one
more trial [2]_, times the trainings that will be run with what is found, is worth more than the trial costs. For draws
that are independent of one another it is the optimal rule. A sampler that learns does better than that by and by, which
is why the random trials of its start do not count as draws where there are enough others.

The model of a draw: with the probability of the share of trials that reached the target, its logarithm is normal, of
unknown mean and variance; its predictive distribution is Student's t with n - 1 degrees of freedom [3]_, wider the
fewer the hits, so that few of them do not end a search. The normal reaches further down than training times do, so the
gain is overestimated rather than not. A capped trial is one that missed: what it would have taken lies above the best
so far, where no improvement comes from. The best so far is itself lucky, as the best of noisy values is; the model
knows nothing of that, and the race is there to find it out.

References
----------
.. [1] M. L. Weitzman: Optimal search for the best alternative. Econometrica 47, 1979.
.. [2] D. R. Jones, M. Schonlau, W. J. Welch: Efficient global optimization of expensive black-box functions.
   J. Global Optim. 13, 1998.
.. [3] S. Geisser: Predictive inference. Chapman and Hall, 1993.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, exp, inf, log, sqrt
from statistics import fmean, stdev

from scipy.integrate import quad
from scipy.special import stdtr

LEAST_TRIALS = 5  # after the sampler's start, before the gain of another is estimated
LEAST_HITS = 3  # of which a spread can be told


@dataclass(frozen=True)
class Ended:
    """A trial of a framework's search that has ended.

    Parameters
    ----------
    cost_s
        Seconds for which it held its slice, lost ones included.
    hit_s
        What the search minimises, in seconds; None where it did not reach the target, whatever became of it.
    """

    cost_s: float
    hit_s: float | None = None


@dataclass(frozen=True)
class Gain:
    """What one more trial is expected to cost, and to save in each training that is run with what the search finds."""

    cost_s: float
    saves_s: float

    @property
    def pays_after(self) -> float:
        """Trainings after which the trial has paid for itself; infinite where it saves nothing."""
        return float(ceil(self.cost_s / self.saves_s)) if self.saves_s * 1e12 > self.cost_s else inf


def spent_s(ended: Iterable[Ended]) -> float:
    """Slice-seconds of all trials that have ended."""
    return sum(each.cost_s for each in ended)


def is_spent(budget_s: float, ended: Sequence[Ended], running_s: Sequence[float] = ()) -> bool:
    """Whether no trial may be dealt any more.

    Parameters
    ----------
    running_s
        Slice-seconds that each trial that runs, or waits for its slice, has cost so far.
    """
    usual_s = spent_s(ended) / len(ended) if ended else 0.0
    return spent_s(ended) + sum(max(usual_s, each) for each in running_s) >= budget_s


def another(ended: Sequence[Ended], *, startup: int) -> Gain | None:
    """What one more trial of a framework's search would cost and save; None where too little is known to tell.

    Parameters
    ----------
    ended
        The trials that have ended, in the order of the search.
    startup
        So many of them were drawn before the sampler modelled anything.
    """
    drawn = ended[startup:]
    if len(drawn) < LEAST_TRIALS:
        return None
    if sum(each.hit_s is not None for each in drawn) < LEAST_TRIALS:
        drawn = ended
    hits = [each.hit_s for each in drawn if each.hit_s is not None]
    if len(hits) < LEAST_HITS:
        return None
    best_s = min(each.hit_s for each in ended if each.hit_s is not None)
    reaches = len(hits) / len(drawn)
    return Gain(cost_s=fmean(each.cost_s for each in drawn), saves_s=reaches * expected_improvement(hits, best_s))


def expected_improvement(hits: Sequence[float], best: float) -> float:
    """Mean of max(0, best - X), where X is the next of these draws: log-normal, by Student's predictive distribution.

    That is the integral of P(X <= x) over x from 0 to ``best``; x = best exp(-spread v) makes it smooth at any spread.

    Parameters
    ----------
    hits
        Two or more, above 0.
    """
    logs = [log(each) for each in hits]
    degrees, spread = len(logs) - 1, stdev(logs) * sqrt(1 + 1 / len(logs))
    if spread == 0:
        return max(0.0, best - hits[0])
    nearest = (log(best) - fmean(logs)) / spread

    def density(v: float) -> float:
        return spread * exp(-spread * v) * float(stdtr(degrees, nearest - v))

    return best * float(quad(density, 0, inf)[0])


def pays(gain: Gain | None, trainings: int) -> bool:
    """Whether another trial is worth its cost at so many trainings; always, where these are 0 or nothing is known."""
    return trainings == 0 or gain is None or gain.saves_s * trainings >= gain.cost_s


@dataclass(frozen=True)
class Limits:
    """What a plan says on when a framework's search may stop before its last trial.

    Parameters
    ----------
    budget_s
        Slice-seconds; None: no limit.
    pays_after
        Trainings that are to be run with what is found; 0: as many as one likes.
    startup
        Trials before the sampler models anything.
    """

    budget_s: float | None = None
    pays_after: int = 0
    startup: int = 0


@dataclass(frozen=True)
class Stopped:
    """Why no trial is dealt any more: the budget is spent, or, where ``gain`` is given, another would not pay."""

    spent_s: float
    gain: Gain | None = None


def stopped(limits: Limits, ended: Sequence[Ended], running_s: Sequence[float] = ()) -> Stopped | None:
    """Whether a framework's search is over before its last trial, and why; None where it goes on.

    Asked before each trial is dealt, with what is known then; once nothing runs any more the answer depends on the
    trials that have ended alone, so that a resumed search stops where an uninterrupted one would.

    Parameters
    ----------
    ended, running_s
        As for `another` and `is_spent`.
    """
    if limits.budget_s is not None and is_spent(limits.budget_s, ended, running_s):
        return Stopped(spent_s(ended))
    gain = another(ended, startup=limits.startup) if limits.pays_after else None
    return None if pays(gain, limits.pays_after) else Stopped(spent_s(ended), gain)
