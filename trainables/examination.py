"""What a framework can use on this machine, asked in a process of its own: ``python -m trainables.examination``.

The driver imports no framework, and one that is broken, or a driver of a GPU that hangs, must not take it along.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib import import_module
from typing import cast

from trainables.common.helpers import ask
from trainables.common.house import python
from trainables.contract import Device, Loading, Look, Readiness

LIMIT_S = 120.0  # importing a framework from a cold, slow disk takes half of it


def examine(check: str, *, device: Device, loadings: Sequence[Loading]) -> Readiness:
    """Ask a ``check`` module; see `trainables.frameworks.Framework.examine`.

    Where nothing comes back when GPUs are looked for (a driver that hangs), it is asked again without them.
    """
    found = _ask(check, device, loadings)
    if found.broken is None or device == "cpu":
        return found
    without = _ask(check, "cpu", loadings)
    return without if without.broken else replace(without, no_device=found.broken)


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
    look = cast(Look, import_module(check).look)
    found = look(device=asked["device"], loadings=[Loading(**each) for each in asked["loadings"]])
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
