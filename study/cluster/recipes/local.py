"""A shell script that starts several Ray nodes on this machine, runs the study on them and stops them."""

from __future__ import annotations

from pathlib import Path

from study.cluster.recipes.rendering import render
from study.cluster.recipes.work import Nodes, Work


def local_script(work: Work, nodes: Nodes, environment: Path) -> str:
    """The script.

    Parameters
    ----------
    environment
        Folder of the Python environment that holds tuneoff.
    """
    return render("local.sh.j2", work=work, nodes=nodes, environment=environment)
