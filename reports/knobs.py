"""The hyperparameters of recorded trials, whatever they are: a study searches what its workload and plan name.

An option of a model has a column of its own, ``option.NAME``; records keep all options in one, as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

ALWAYS = ("learning_rate", "batch_size", "num_workers")  # shown even where nothing varied them
COLUMNS = (*ALWAYS, "optimizer", "momentum", "weight_decay", "schedule", "warm_up")
OPTIONS = "options"
PREFIX = "option."

_TITLES = {"num_workers": "loader workers"}
_SWEEP_TITLES = {
    "num_workers": "Workers (count)",
    "batch_size": "Batch Size (samples)",
    "learning_rate": "Learning Rate",
}
_LOGARITHMIC = ("learning_rate", "batch_size", "weight_decay")
_WHOLE = ("batch_size", "num_workers")


def with_options(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials with a column for every option of their models; empty where a trial's model has none of that name."""
    read = [options_of(text) for text in trials[OPTIONS]] if OPTIONS in trials else []
    names = dict.fromkeys(name for options in read for name in options)
    columns = {f"{PREFIX}{name}": [options.get(name) for options in read] for name in names}
    return trials.assign(**{name: pd.Series(values, index=trials.index) for name, values in columns.items()})


def searched_knobs(trials: pd.DataFrame) -> list[str]:
    """Columns of what a study searched: the usual three, and whatever else differs between its search's trials."""
    search = trials[trials["phase"] == "search"]
    others = [name for name in trials.columns if name in COLUMNS[len(ALWAYS) :] or name.startswith(PREFIX)]
    return [*ALWAYS, *(name for name in others if search[name].dropna().nunique() > 1)]


def configuration(trial: Mapping[str, Any]) -> tuple[Hashable, ...]:
    """What two trials must have in common to be of one configuration; of older records, as far as they tell."""
    return tuple(None if value != value else value for value in (trial.get(name) for name in (*COLUMNS, OPTIONS)))


def knob_title(knob: str) -> str:
    """What a hyperparameter is called on a page."""
    return _TITLES.get(knob) or knob.removeprefix(PREFIX).replace("_", " ")


def sweep_title(knob: str) -> str:
    """The heading of a swept hyperparameter in tables like those of the benchmark that this project grew from."""
    return _SWEEP_TITLES.get(knob) or knob_title(knob).title()


def column_of(knob: str, trials: pd.DataFrame) -> str:
    """The column of a hyperparameter by the name that a plan has for it."""
    return knob if knob in trials else f"{PREFIX}{knob}"


def is_text(values: pd.Series[Any]) -> bool:
    """Whether a hyperparameter's values are names, or true and false, and no numbers."""
    known = values.dropna()
    return bool(len(known)) and any(isinstance(value, str | bool | np.bool_) for value in known)


def is_whole(knob: str, values: pd.Series[Any]) -> bool:
    """Whether a hyperparameter takes whole numbers."""
    if knob in _WHOLE:
        return True
    known = values.dropna()
    return knob.startswith(PREFIX) and not is_text(values) and bool((known.astype(float) % 1 == 0).all())


def is_logarithmic(knob: str, values: pd.Series[Any]) -> bool:
    """Whether an axis of a hyperparameter is: by what it is, or since its values span a factor of 16."""
    if is_text(values):
        return False
    known = values.dropna().astype(float)
    if not len(known) or known.min() <= 0:
        return False
    return knob in _LOGARITHMIC or (knob not in COLUMNS and known.max() / known.min() >= 16)


def told(value: Any) -> str:
    """A value for people."""
    return value if isinstance(value, str) else str(bool(value)).lower() if _is_flag(value) else f"{value:.3g}"


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def options_of(text: Any) -> dict[str, Any]:
    """Options by name, from their column in the records; none where nothing was recorded."""
    return dict(json.loads(text)) if isinstance(text, str) else {}
