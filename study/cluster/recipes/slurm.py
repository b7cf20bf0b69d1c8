"""A script for ``sbatch``: Ray on every node of the job, the study on the first of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from study.cluster.recipes.limits import spelled
from study.cluster.recipes.rendering import render
from study.cluster.recipes.work import Nodes, Work
from trainables.common.errors import UserError

NOTICE_S = 120  # between SIGTERM and the time limit; a study needs a few seconds
_NAME = re.compile(r"[\w.,+@-]+", re.ASCII)


@dataclass(frozen=True)
class Slurm:
    """What Slurm is asked for, beside nodes.

    Parameters
    ----------
    environment
        Folder of the Python environment that holds tuneoff, the same on all nodes.
    limit_s
        Seconds that the job may run.
    """

    environment: Path
    limit_s: int
    partition: str | None = None
    account: str | None = None


def slurm_script(work: Work, nodes: Nodes, slurm: Slurm) -> str:
    """The script.

    Raises
    ------
    UserError
        When the partition or the account is no name.
    """
    for option, value in (("--partition", slurm.partition), ("--account", slurm.account)):
        if value is not None and not _NAME.fullmatch(value):
            raise UserError(f"{option} '{value}' is no name that Slurm has: letters, digits and . , + @ - _")
    return render(
        "slurm.sh.j2",
        work=work,
        nodes=nodes,
        environment=slurm.environment,
        job_name=re.sub(r"[^\w.-]+", "-", work.name, flags=re.ASCII),
        time=spelled(slurm.limit_s),
        notice_s=NOTICE_S,
        partition=slurm.partition,
        account=slurm.account,
    )
