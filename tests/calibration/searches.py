"""Searches with the project's samplers on a surface whose truth is known."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import optuna

from search_spaces import distributions
from study.plan.files import load_plan
from study.plan.samplers import make_sampler, suggest

Values = npt.NDArray[np.float64]
LIMIT_S = 30.0  # ten times and more what a good configuration takes
BEST_S = 2.0
_PLAN = load_plan("mnist-lenet", settings=["slice.cpus=2"], frameworks=["simulated"])
_SPACE = distributions(_PLAN.space["simulated"])


def ridge(learning_rate: float, batch_size: float, num_workers: float) -> float:
    """Logarithm of the time over the best. Larger batches want larger rates, of which too large ones are punished."""
    batch = math.log(batch_size / 128)
    off = math.log(learning_rate) - (math.log(0.06) + 0.6 * batch)
    rate = 0.45 * off**2 if off < 0 else 1.1 * off**2 + 0.5 * max(off - 0.7, 0.0) ** 2
    return rate + 0.18 * abs(batch - 0.7) ** 1.3 + 0.12 * (num_workers != 1)


def bowl(learning_rate: float, batch_size: float, num_workers: float) -> float:
    """Logarithm of the time over the best: flatter, and each setting by itself."""
    rate, batch = math.log(learning_rate / 0.07), math.log(batch_size / 128)
    return 0.25 * rate**2 + 0.12 * batch**2 + 0.06 * abs(num_workers - 1)


SURFACES: dict[str, Callable[[float, float, float], float]] = {"ridge": ridge, "bowl": bowl}


@dataclass(frozen=True)
class Search:
    """One search: what was tried, what it truly takes, and what a run of it took; infinite where that missed."""

    points: list[dict[str, float]]
    typical: Values  # logarithm of seconds, shape (trials,)
    seconds: Values


@cache
def search(surface: str, spread: float, trials: int, misses: float, seed: int) -> Search:
    """One search of so many trials, each a run whose time has log-normal noise and that misses by chance."""
    warnings.simplefilter("ignore")  # notices of experimental features
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = make_sampler(
        "tpe", seed=seed, startup_trials=max(1, min(10, trials // 3)), concurrent=False, place=lambda number: number
    )
    noise = np.random.default_rng(seed)
    study = optuna.create_study(sampler=sampler)
    points, typical, seconds = [], np.empty(trials), np.empty(trials)
    for number in range(trials):
        trial = study.ask()
        points.append({name: suggest(trial, name, searched) for name, searched in _SPACE.items()})
        typical[number] = math.log(BEST_S) + SURFACES[surface](*points[-1].values())
        took = math.exp(typical[number] + spread * noise.standard_normal())
        seconds[number] = math.inf if noise.random() < misses or took > LIMIT_S else took
        study.tell(trial, float(seconds[number]) if math.isfinite(seconds[number]) else 1.05 * LIMIT_S)
    return Search(points, typical, seconds)
