"""Which hyperparameter mattered: Optuna's importances, of the recorded trials."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from reports.knobs import PREFIX, is_text, is_whole, searched_knobs
from reports.tables.trials import frameworks, phase

FEWEST = 8  # trials; the forest of fewer explains noise
MOST = 300  # trials given to the forest, spread evenly over the search: more change little and take minutes
LEFT_OUT = (
    "fANOVA says how much of the objective's variation over the tried configurations each setting explains, alone or "
    "with others. It leaves out failed trials and the luck of the seeds, says nothing about direction, and describes "
    "the searched space, most of it far from the optimum: a setting that matters little here may matter at the best "
    "configuration. An effect is shown where Kruskal and Wallis' test has p < 0.05, as if trials were independent; one "
    "that is not resolved may still be there."
)


def importances(trials: pd.DataFrame, plan: dict[str, Any]) -> pd.DataFrame:
    """Importance of each hyperparameter for the objective, per framework [Optuna's fANOVA].

    Parameters
    ----------
    plan
        The frozen plan, for the search spaces; without one they are what was tried.

    Returns
    -------
    Columns: framework, hyperparameter, importance (adds up to 1 per framework), effect (`shown`, or `not resolved`:
    that so few trials do not show one is no sign that there is none) and p_value of Kruskal and Wallis' test for it,
    trials (that importance was computed from).
    Frameworks with fewer than `FEWEST` trials, or whose trials do not differ, are left out.
    """
    table = []
    for name in frameworks(trials):
        search = phase(trials[trials["framework"] == name], "search")
        # What another framework's model alone takes, this one has no value of.
        varied = [knob for knob in searched_knobs(trials) if search[knob].dropna().nunique() > 1]
        search = search.dropna(subset=["objective", *varied])
        varied = [knob for knob in varied if search[knob].nunique() > 1]
        if len(search) < FEWEST or not varied or search["objective"].nunique() < 2:
            continue
        p_values = {knob: _p_value(search, knob) for knob in varied}
        search = search.iloc[np.unique(np.linspace(0, len(search) - 1, MOST).astype(int))]
        found = _fanova(search, varied, plan.get("space", {}).get(name, {}))
        for knob in varied:
            effect = "shown" if p_values[knob] < 0.05 else "not resolved"
            table.append((name, knob, found.get(knob, 0.0), effect, p_values[knob], len(search)))
    columns = ["framework", "hyperparameter", "importance", "effect", "p_value", "trials"]
    return pd.DataFrame(table, columns=columns)


def _p_value(search: pd.DataFrame, knob: str) -> float:
    """Of Kruskal and Wallis' test that the objective does not depend on a setting.

    Between its values, or between thirds of them where there are many: by ranks, so that trials that missed the target
    count as the worst, and an optimum in the middle is seen as well.
    """
    few = is_text(search[knob]) or search[knob].nunique() <= len(search) / 3
    key = search[knob] if few else pd.qcut(search[knob].rank(method="first"), 3, labels=False)
    return float(stats.kruskal(*(group.to_numpy() for _, group in search.groupby(key)["objective"])).pvalue)


def _fanova(search: pd.DataFrame, knobs: list[str], space: dict[str, Any]) -> dict[str, float]:
    # By name and only now: importing reports must not load Optuna.
    import optuna  # here: a report whose search was too small never needs it
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    distributions = {
        knob: _distribution(knob, space.get(knob.removeprefix(PREFIX), {}), search[knob]) for knob in knobs
    }
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study()
    finally:
        optuna.logging.set_verbosity(verbosity)
    rows = search[["objective", *knobs]].to_dict("records")
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={knob: _param(distributions[knob], row[knob]) for knob in knobs},
                distributions=distributions,
                value=float(row["objective"]),
            )
            for row in rows
        ]
    )
    evaluator = FanovaImportanceEvaluator(seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notices of experimental features
        found = get_param_importances(study, evaluator=evaluator)
    return {knob: float(value) for knob, value in found.items()}


def _distribution(knob: str, asked: dict[str, Any], tried: pd.Series[Any]) -> Any:
    """The plan's distribution; without a plan, or with values tried outside it, the range of what was tried."""
    import optuna

    choices = asked.get("choices", sorted(set(tried), key=str) if is_text(tried) else None)
    if choices is not None and set(tried) <= set(choices):
        return optuna.distributions.CategoricalDistribution(choices)
    low = min(asked.get("low", tried.min()), tried.min())
    high = max(asked.get("high", tried.max()), tried.max())
    log = bool(asked.get("log", knob != "num_workers" and low > 0))
    if is_whole(knob, tried):
        return optuna.distributions.IntDistribution(int(low), int(high), log=log)
    return optuna.distributions.FloatDistribution(float(low), float(high), log=log)


def _param(distribution: Any, value: Any) -> Any:
    """A recorded value as Optuna had it: tables hold whole numbers as floats where cells are empty."""
    import optuna

    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return next(each for each in distribution.choices if each == value)
    return int(value) if isinstance(distribution, optuna.distributions.IntDistribution) else float(value)
