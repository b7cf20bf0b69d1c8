"""``python -m tests.julia.staged FILE FOLDER train ...``: the command, telling in a file which stage it is in.

Checkpoints, which ``tuneoff train`` does without, go to the folder, so that it can be met while it saves.
"""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))  # as `study.__main__`

from study.cli.commands import main
from trainables.frameworks import framework
from trainables.training import Training

STAGES = ("starting", "compiling", "training", "evaluating", "saving")


def telling(stage: str, call: Callable[..., Any], file: Path) -> Callable[..., Any]:
    """The same function, which says first that its stage begins."""

    @functools.wraps(call)
    def told(*arguments: Any, **keywords: Any) -> Any:
        with file.open("a") as stages:
            stages.write(f"{stage}\n")
        return call(*arguments, **keywords)

    return told


def prepare(file: Path, folder: Path, name: str) -> None:
    begin = framework(name).start()  # imports the backend: no Julia yet, but torch
    backend = sys.modules[begin.__module__]
    run = {"flux": "FluxRun", "pytorch": "PyTorchRun"}[name]
    for stage, method in zip(STAGES[1:], ("warm_up", "train", "evaluate", "save"), strict=True):
        setattr(getattr(backend, run), method, telling(stage, getattr(getattr(backend, run), method), file))
    backend.start = telling("starting", begin, file)  # type: ignore[attr-defined]
    Training.__init__ = functools.partialmethod(Training.__init__, folder=folder)  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    file, folder = (Path(each) for each in sys.argv[1:3])
    del sys.argv[1:3]
    prepare(file, folder, sys.argv[sys.argv.index("--framework") + 1])
    main()
