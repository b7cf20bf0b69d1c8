"""A key that a plan does not have, told with the one that is meant."""

from __future__ import annotations

from typing import Any

from trainables.common.suggest import nearest


def unknown(path: str, section: Any, plan: Any) -> str:
    """That a key is none; and which it is, where it stands in another section.

    Parameters
    ----------
    section
        The model that has no such key.
    plan
        The model of a whole plan.
    """
    from search_spaces.names import HYPERPARAMETERS  # which loads Optuna; the command line reads this module first

    *_, key = path.split(".")
    sections = {name: getattr(each.annotation, "model_fields", {}) for name, each in plan.model_fields.items()}
    others = [f"{name}.{key}" for name, keys in sections.items() if key in keys and keys is not section.model_fields]
    if key in HYPERPARAMETERS:
        others = [f"space.all.{key}"]
    near = nearest(key, section.model_fields)
    return f"unknown key {path}; did you mean {' or '.join(others)}?" if others else f"unknown key {path}{near}"
