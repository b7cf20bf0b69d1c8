"""The peers: Ray Tune's searcher and schedulers, Optuna and its pruners: their own objects, at their own defaults."""

from __future__ import annotations

from collections.abc import Callable

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState
from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    TrialScheduler,
)
from ray.tune.search.optuna import OptunaSearch

from search_spaces import distributions
from study.plan.plan import Plan
from study.plan.samplers import suggest
from study.replay.clock import Decision, Strategy, Trial
from study.replay.recording import Recording
from study.replay.search import Dealer, new_study
from study.replay.tune import TOTAL_S, VALUE, Scheduled, told

Build = Callable[[Plan, str, Recording, int, int], Strategy]  # plan, framework, recording, slots, trials at most


class TuneSearcher(Strategy):
    """`OptunaSearch`, asked and told as Tune's controller does."""

    def __init__(
        self, plan: Plan, framework: str, recording: Recording, trials: int, sampler: BaseSampler | None = None
    ) -> None:
        self._dealer = Dealer(plan, framework, recording)
        self._trials = trials
        space = distributions(plan.space[framework])
        self._search = OptunaSearch(space=space, metric=VALUE, mode="min", seed=plan.seed, sampler=sampler)
        optuna.logging.set_verbosity(optuna.logging.ERROR)

    def next(self) -> Trial | None:
        if self._dealer.dealt >= self._trials:
            return None
        point = self._search.suggest(_name(self._dealer.dealt))
        assert point is not None
        return self._dealer.deal(point)

    def heard(self, trial: Trial) -> Decision:
        self._search.on_trial_result(_name(trial.number), told(trial))
        return "go on"

    def ended(self, trial: Trial) -> None:
        trial.value = trial.running_value
        self._search.on_trial_complete(_name(trial.number), told(trial))

    def dropped(self, trial: Trial) -> None:
        trial.value = trial.running_value
        self._search.on_trial_complete(_name(trial.number))


def _name(number: int) -> str:
    return f"{number:05d}"


def tune(scheduler: Callable[[Plan], TrialScheduler] = lambda _: FIFOScheduler(), *, at_random: bool = False) -> Build:
    """Plain Ray Tune with OptunaSearch, under a scheduler."""

    def build(plan: Plan, framework: str, recording: Recording, slots: int, trials: int) -> Strategy:
        made = scheduler(plan)
        made.set_search_properties(VALUE, "min")
        sampler = RandomSampler(seed=plan.seed) if at_random else None
        searcher = TuneSearcher(plan, framework, recording, trials, sampler)
        # What HyperBand pauses stays open: with a limit on open trials it would never fill a bracket.
        limit = None if isinstance(made, HyperBandScheduler) else slots
        return Scheduled(made, searcher, at_once=limit)

    return build


def asha(_: Plan) -> TrialScheduler:
    """At Tune's defaults: a rung at 1, 4, 16 and 64 evaluations, one in four goes on, and none beyond 100."""
    return ASHAScheduler()


def asha_by_time(plan: Plan) -> TrialScheduler:
    """The same over seconds, up to the limit: what a user would set who minimises a time."""
    return ASHAScheduler(time_attr=TOTAL_S, max_t=int(plan.training.limit_s))


def hyperband(_: Plan) -> TrialScheduler:
    """At Tune's defaults, which pauses trials and goes on with them."""
    return HyperBandScheduler()


def median(_: Plan) -> TrialScheduler:
    """At Tune's defaults, which leave every trial its first minute."""
    return MedianStoppingRule()


def median_early(_: Plan) -> TrialScheduler:
    """The same with a second's grace, for trials that are shorter than what the defaults were made for."""
    return MedianStoppingRule(grace_period=1.0)


class OptunaAlone(Strategy):
    """A study's own loop: ask, report, should_prune, tell; TPE at its defaults, several loops where there are slots."""

    def __init__(
        self,
        plan: Plan,
        framework: str,
        recording: Recording,
        trials: int,
        pruner: BasePruner,
        report: Callable[[Trial], float],
    ) -> None:
        self._dealer = Dealer(plan, framework, recording)
        self._trials = trials
        self._space = distributions(plan.space[framework])
        self._study = new_study(TPESampler(seed=plan.seed), pruner)
        self._asked: dict[Trial, optuna.Trial] = {}
        self._report = report

    def next(self) -> Trial | None:
        if self._dealer.dealt >= self._trials:
            return None
        asked = self._study.ask()
        trial = self._dealer.deal({name: suggest(asked, name, each) for name, each in self._space.items()})
        self._asked[trial] = asked
        return trial

    def heard(self, trial: Trial) -> Decision:
        asked = self._asked[trial]
        asked.report(self._report(trial), step=len(trial.points))
        return "stop" if asked.should_prune() else "go on"

    def ended(self, trial: Trial) -> None:
        trial.value = trial.running_value
        asked = self._asked.pop(trial)
        if trial.outcome == "stopped":
            self._study.tell(asked, state=TrialState.PRUNED)
        else:
            asked.report(self._report(trial), step=len(trial.points))
            self._study.tell(asked, trial.value)


def optuna_alone(
    pruner: Callable[[int], BasePruner], report: Callable[[Trial], float] = lambda trial: trial.running_value
) -> Build:
    """Optuna without Tune.

    Parameters
    ----------
    pruner
        Made for so many evaluations at most.
    report
        What a trial reports at an evaluation, the lower the better.
    """

    def build(plan: Plan, framework: str, recording: Recording, slots: int, trials: int) -> Strategy:
        return OptunaAlone(plan, framework, recording, trials, pruner(most_evaluations(plan, recording)), report)

    return build


def most_evaluations(plan: Plan, recording: Recording) -> int:
    """Of a training."""
    training = plan.training
    return -(-training.epochs * recording.training_samples // training.evaluate_every_samples)


def miss_rate(trial: Trial) -> float:
    """What is wrong at the last evaluation: a curve that can be set beside another's, evaluation by evaluation."""
    return 1.0 - trial.score_now
