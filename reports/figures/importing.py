"""matplotlib, imported whatever its user has configured."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import chdir
from unittest import mock


def import_matplotlib() -> None:
    """Import matplotlib, and where its user's settings forbid that, without them.

    It refuses to be imported with an unknown name in MPLBACKEND, or where the first matplotlibrc that it finds cannot
    be read. Figures here take nothing from either (`reports.figures.drawing`).
    """
    try:
        import matplotlib
    except (OSError, ValueError):  # an undecodable file is a ValueError, too
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]  # what was imported before it failed
        # The working folder is where it looks first, whatever the environment says.
        with tempfile.TemporaryDirectory() as empty, chdir(empty), mock.patch.dict(os.environ):
            os.environ.pop("MPLBACKEND", None)
            os.environ["MATPLOTLIBRC"] = os.devnull
            import matplotlib  # noqa: F401
