"""Optuna samplers by name, seeded anew for every trial.

A sampler that is seeded once proposes the same points again after a restart. Here each trial's draw depends on the
study's seed and the trial's place in the search alone, so that a search resumed after an interruption continues with
the points that it would have drawn without one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, Literal

import numpy as np
from optuna import Study, Trial
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from search_spaces import Range, Searched

SamplerName = Literal["tpe", "random", "gp", "cmaes"]
PREDECESSOR = "predecessor"  # of a trial, in Optuna: number of the interrupted one that it replaces
_OF_CMA = "cma:"  # begins the names under which Optuna keeps the state of CMA-ES with its trials


def make_sampler(
    name: SamplerName, *, seed: int, startup_trials: int, concurrent: bool, place: Callable[[int], int]
) -> BaseSampler:
    """The sampler of a framework's search.

    Parameters
    ----------
    name
        ``tpe``, ``random``, ``gp`` or ``cmaes``.
    seed
        The study's seed.
    startup_trials
        Random trials before tpe, gp or cmaes models anything.
    concurrent
        Whether trials overlap: tpe then keeps away from points that are still running (constant liar).
    place
        Maps a trial's Optuna number to its place in the search, trials that replace an interrupted one not counted.
    """

    def build(trial_seed: int) -> BaseSampler:
        if name == "random":
            return RandomSampler(seed=trial_seed)
        if name == "gp":
            return GPSampler(seed=trial_seed, n_startup_trials=startup_trials)
        tpe = TPESampler(seed=trial_seed, n_startup_trials=startup_trials, constant_liar=concurrent)
        return tpe if name == "tpe" else PlacedCmaEs(tpe, seed=trial_seed, startup_trials=startup_trials, place=place)

    return PerTrialSampler(build, seed=seed, place=place)


def ranges_of(space: Mapping[str, Searched]) -> list[str]:
    """What CMA-ES draws."""
    return [name for name, searched in space.items() if isinstance(searched, Range) and not searched.single]


class PlacedCmaEs(CmaEsSampler):
    """CMA-ES, which draws the same when it goes on after an interruption.

    Optuna keeps its state with the trials. A trial that replaces an interrupted one has drawn nothing of its own, so it
    takes that one's state over; and what Optuna adds to a seed is a trial's place in the search, not its number.

    Parameters
    ----------
    apart
        Draws choices.
    """

    def __init__(self, apart: BaseSampler, *, seed: int, startup_trials: int, place: Callable[[int], int]) -> None:
        super().__init__(
            seed=seed, n_startup_trials=startup_trials, independent_sampler=apart, warn_independent_sampling=False
        )
        self._placed = place

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        super().before_trial(study, trial)
        if (number := trial.user_attrs.get(PREDECESSOR)) is None:
            return
        before = study.get_trials(deepcopy=False)[number]
        for key, value in before.system_attrs.items():
            if key.startswith(_OF_CMA):
                study._storage.set_trial_system_attr(trial._trial_id, key, value)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        placed = copy(trial)
        placed.number = self._placed(trial.number)
        return super().sample_relative(study, placed, search_space)


class PerTrialSampler(BaseSampler):
    """Delegates each trial to a sampler of its own, seeded by the trial's place in the search."""

    def __init__(self, build: Callable[[int], BaseSampler], *, seed: int, place: Callable[[int], int]) -> None:
        self._build = build
        self._seed = seed
        self._place = place
        self._current: tuple[int, BaseSampler] | None = None

    def _sampler(self, trial: FrozenTrial) -> BaseSampler:
        if self._current is None or self._current[0] != trial.number:
            entropy = np.random.SeedSequence([self._seed, self._place(trial.number)])
            self._current = (trial.number, self._build(int(entropy.generate_state(1)[0])))
        return self._current[1]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._sampler(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler(trial).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._sampler(trial).before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._sampler(trial).after_trial(study, trial, state, values)


def suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    """Draw one hyperparameter."""
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high, log=distribution.log)
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
