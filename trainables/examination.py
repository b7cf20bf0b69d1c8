"""What a framework can use on this machine, and whether it can build a model, asked in a process of its own.

The driver imports no framework, and one that is broken, or a driver of a GPU that hangs, must not take it along.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from trainables.common.helpers import ask
from trainables.common.house import python
from trainables.contract import Device, Loading, Look, Option, Readiness, Tried, TryModel

LIMIT_S = 120.0  # importing a framework from a cold, slow disk takes half of it
TRY_LIMIT_S = 400.0  # Julia compiles a model that it has not seen


def examine(check: str, *, device: Device, loadings: Sequence[Loading]) -> Readiness:
    """Ask a ``check`` module; see `trainables.frameworks.Framework.examine`.

    Where nothing comes back when GPUs are looked for (a driver that hangs), it is asked again without them.
    """
    found = _ask(check, device, loadings)
    if found.broken is None or device == "cpu":
        return found
    without = _ask(check, "cpu", loadings)
    return without if without.broken else replace(without, no_device=found.broken)


def try_models(
    check: str,
    model: Path,
    points: Sequence[Mapping[str, Option]],
    *,
    shape: tuple[int, ...],
    outputs: int,
    environment: Mapping[str, str],
) -> list[Tried]:
    """Let a ``check`` module build a model with each of these options; see `trainables.contract.TryModel`.

    Those after the first with a problem are not tried.
    """
    told = {"model": str(model), "points": [dict(each) for each in points], "shape": shape, "outputs": outputs}
    answer = ask(
        python("trainables.examination", check, json.dumps(told)), timeout_s=TRY_LIMIT_S, environment=environment
    )
    try:
        return [Tried(**each) for each in json.loads(answer.out.strip().rpartition("\n")[2])]
    except (ValueError, TypeError):
        return [Tried(f"{model}: a process that builds it {answer.problem or 'says nothing of use'}")]


def _ask(check: str, device: Device, loadings: Sequence[Loading]) -> Readiness:
    request = json.dumps({"device": device, "loadings": [asdict(each) for each in loadings]})
    answer = ask(python("trainables.examination", check, request), timeout_s=LIMIT_S)
    try:
        values = json.loads(answer.out.strip().rpartition("\n")[2])
        return Readiness(**{**values, **{name: tuple(values[name]) for name in ("devices", "no_loading")}})
    except (ValueError, TypeError, KeyError):
        return Readiness(broken=f"a process that imports it {answer.problem or 'says nothing of use'}")


def main() -> None:
    """Ask the module that is named first, about what the second argument says, and print what it finds."""
    check, request = sys.argv[1:]
    asked = json.loads(request)
    answering = os.dup(1)
    os.dup2(2, 1)  # a model's file may print, whenever it likes
    found: object
    if "model" in asked:
        found = [asdict(each) for each in _try_all(check, asked)]
    else:
        look = cast(Look, import_module(check).look)
        found = asdict(look(device=asked["device"], loadings=[Loading(**each) for each in asked["loadings"]]))
    with os.fdopen(answering, "w", encoding="utf-8") as out:
        out.write(json.dumps(found) + "\n")


def _try_all(check: str, asked: Mapping[str, Any]) -> list[Tried]:
    try_model = cast(TryModel, import_module(check).try_model)
    shape, outputs = tuple(asked["shape"]), asked["outputs"]
    found = []
    for options in asked["points"]:
        found.append(try_model(model=Path(asked["model"]), options=options, shape=shape, outputs=outputs))
        if found[-1].problem is not None:
            break
    return found


if __name__ == "__main__":
    main()
