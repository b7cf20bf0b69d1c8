"""A plan's search of one framework on recorded curves: its own sampler, its own rules, and nothing that trains."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from math import inf
from typing import Any

import optuna
from optuna.trial import TrialState

from search_spaces import distributions
from study.plan.budget import budget_of
from study.plan.first import first_draws
from study.plan.plan import Plan
from study.plan.samplers import make_sampler, suggest
from study.plan.seeds import search_seed
from study.replay.clock import Decision, Ended, Strategy, Trial, play
from study.replay.recording import Recording
from study.replay.training import Terms
from study.strategy import spending
from study.strategy.capping import Curve, cap_for, rule_of
from trainables.cap import NO_CAP, Cap
from trainables.common.errors import UserError
from trainables.workloads.workload import find

HERE = "here"  # the one machine of a replay


def new_study(sampler: optuna.samplers.BaseSampler, pruner: optuna.pruners.BasePruner | None = None) -> optuna.Study:
    """An Optuna study in memory, that says nothing."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(sampler=sampler, pruner=pruner)


class Dealer:
    """Makes trials of points: which recorded configuration stands for each, and which of its seeds."""

    def __init__(self, plan: Plan, framework: str, recording: Recording) -> None:
        self._plan, self._framework, self._recording = plan, framework, recording
        self._terms = Terms.of(plan)
        self.dealt = 0

    def deal(self, point: dict[str, Any], cap: Cap = NO_CAP) -> Trial:
        """The next trial, at a point of the search space."""
        number, self.dealt = self.dealt, self.dealt + 1
        configuration: Hashable = self._recording.nearest(self._framework, point)
        seed = search_seed(self._plan, number)
        training = self._recording.training(self._framework, configuration, seed, self._terms)
        return Trial(number, point, configuration, seed, training, cap)


class PlanSearch(Strategy):
    """What the driver does, on the virtual clock.

    Parameters
    ----------
    trials
        At most.
    """

    def __init__(self, plan: Plan, framework: str, recording: Recording, *, slots: int, trials: int) -> None:
        search = plan.search
        self._dealer = Dealer(plan, framework, recording)
        self._trials = trials
        self._space = distributions(plan.space[framework])
        self._rule = rule_of(search)
        self._hits: list[Curve] = []
        self._cap = NO_CAP
        self._asked: dict[Trial, optuna.Trial] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = make_sampler(
                search.sampler,
                seed=plan.seed,
                startup_trials=search.startup_trials,
                concurrent=slots > 1,
                place=lambda number: number,
            )
        self._study = new_study(sampler)
        self._plan = plan
        self._limits = limits_of(plan)
        self._ended: list[spending.Ended] = []
        for drawn in first_draws(plan, framework, find(plan.workload).default):
            self._study.enqueue_trial(drawn, skip_if_exists=True)

    def next(self) -> Trial | None:
        running_s = [trial.spent_s for trial in self._asked]
        if self._dealer.dealt >= self._trials or spending.stopped(self._limits, self._ended, running_s) is not None:
            return None
        asked = self._study.ask()
        drawn = {name: suggest(asked, name, each) for name, each in self._space.items()}
        trial = self._dealer.deal(self._plan.scaling.actual(drawn), self._cap)
        self._asked[trial] = asked
        return trial

    def heard(self, trial: Trial) -> Decision:
        if self._cap.stops(trial.clock_s, trial.score) is None:
            return "go on"
        trial.cap, trial.outcome = self._cap, "capped"  # found since it was dealt
        return "stop"

    def ended(self, trial: Trial) -> None:
        trial.value = trial.running_value
        self._ended.append(spending.Ended(trial.slice_s, trial.value if trial.outcome == "reached" else None))
        self._study.tell(self._asked.pop(trial), trial.value, state=TrialState.COMPLETE)
        if trial.outcome == "reached" and self._rule is not None:
            self._hits.append(curve_of(trial))
            self._cap = cap_for(self._rule, self._hits, host=HERE)


def limits_of(plan: Plan) -> spending.Limits:
    """What a plan says on when its search may stop before its last trial; `UserError` where that is money."""
    search = plan.search
    budget = budget_of(search.budget)
    if budget.money is not None:
        raise UserError(f"search.budget is {search.budget}, and a replay knows no price; give a time, as in 2h")
    return spending.Limits(
        budget.seconds, search.pays_after, 0 if search.sampler == "random" else search.startup_trials
    )


def curve_of(trial: Trial) -> Curve:
    """A trial that has ended, as the rules of capping see it."""
    seconds = tuple(map(trial.training.clock_s, trial.points))
    return Curve(HERE, seconds, tuple(point.score for point in trial.points), trial.tta_s)


def search(
    plan: Plan,
    framework: str,
    recording: Recording,
    *,
    slots: int,
    trials: int | None = None,
    fresh_processes: bool = False,
    budget_s: float = inf,
) -> list[Ended]:
    """The trials of a plan's search, in the order in which they ended.

    Parameters
    ----------
    trials
        At most; the plan's, where nothing is said.
    fresh_processes, budget_s
        As of `study.replay.clock.play`; one that minimises the cold time has fresh processes anyway.
    """
    trials = trials or plan.search.trials
    slots = min(slots, trials)  # more would never be filled
    strategy: Strategy = PlanSearch(plan, framework, recording, slots=slots, trials=trials)
    if plan.search.scheduler == "asha":
        from study.replay.tune import scheduled

        strategy = scheduled(plan, strategy, samples=recording.training_samples, slots=slots)
    fresh_processes = fresh_processes or plan.search.objective == "cold"
    return play(strategy, slots=slots, fresh_processes=fresh_processes, budget_s=budget_s)
