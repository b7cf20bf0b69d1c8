"""What ``torch.compile`` needs besides PyTorch: a C++ compiler, and Python's headers."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from trainables.common.helpers import ask

_ANSWER_S = 10.0


def missing() -> str | None:
    """Why nothing can be compiled here and what to do; None where it can."""
    if shutil.which(compiler()) is None:
        return (
            f"torch.compile needs a C++ compiler, and there is no {compiler()}; install one (Debian, Ubuntu: "
            "`apt install g++`), or set CXX to another's path"
        )
    headers = Path(sysconfig.get_paths()["include"], "Python.h")
    if not headers.is_file():
        return f"torch.compile needs Python's headers, and there is no {headers}; install python3-dev, or its like"
    return None


def versions() -> dict[str, str | None]:
    """The compiler's, as it says it."""
    answer = ask([compiler(), "--version"], timeout_s=_ANSWER_S)
    return {"C++ compiler": answer.out.split("\n")[0].strip() or None}


def environment() -> dict[str, str]:
    """Variables for its trials: none."""
    return {}


def lockfile() -> Path | None:
    """Its packages are those of this Python."""
    return None


def compiler() -> str:
    """The one that inductor asks for (``torch._inductor.config.cpp.cxx``)."""
    return os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
