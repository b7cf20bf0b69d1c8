"""A trial's own checkpoints: one small JSON state that names one model file, each replaced in one step.

The model is written first, under a new name; then the state that points to it; then the older model goes. A crash at
any moment leaves a state and the model that belongs to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainables.files import replacing, write_text

STATE = "state.json"


def save(folder: Path, state: dict[str, Any], *, save_model: Callable[[Path], None] | None) -> None:
    """Write a checkpoint; without ``save_model`` the state alone, for a training that is over."""
    model = None
    if save_model is not None:
        model = f"model-{state['samples']:012d}"
        with replacing(folder / model) as temporary:
            save_model(temporary)
    write_text(folder / STATE, json.dumps({**state, "model": model}))
    for older in folder.glob("model-*"):
        if older.name != model:
            older.unlink(missing_ok=True)


def read(folder: Path) -> dict[str, Any] | None:
    """The state last written, or None where there is none."""
    path = folder / STATE
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RuntimeError(f"{path} is damaged ({error}); delete {folder} to start this training again") from None
    return state
