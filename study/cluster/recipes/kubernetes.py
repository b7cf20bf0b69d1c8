"""A manifest for KubeRay: a RayJob, and the script that it runs in a ConfigMap."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from study.cluster.recipes.rendering import render
from study.cluster.recipes.work import Nodes, Work
from study.plan.shelf import shipped_plans
from trainables.common.errors import UserError

SCRIPTS = Path("/etc/tuneoff")  # where the ConfigMap lies in every pod
LONGEST_NAME = 47  # that KubeRay takes for a RayJob
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)
_SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # PATH, where no image says otherwise


@dataclass(frozen=True)
class Kubernetes:
    """What Kubernetes is asked for, beside nodes.

    Parameters
    ----------
    image
        Of every pod, with tuneoff and ``ray[default]`` in it.
    claim
        A PersistentVolumeClaim that many pods may write; it is mounted at the study's ``out``.
    limit_s
        Seconds that the job may take.
    memory_gib
        Of a node.
    environment
        Folder of the Python environment in the image; None where its commands are on PATH.
    """

    image: str
    claim: str
    limit_s: int
    memory_gib: int
    namespace: str | None = None
    service_account: str | None = None
    environment: Path | None = None


def kubernetes_manifest(work: Work, nodes: Nodes, kubernetes: Kubernetes) -> str:
    """The manifest; a plan that is a file is written into it.

    Raises
    ------
    UserError
        When a name is none for Kubernetes.
    """
    for option, value in (
        ("--claim", kubernetes.claim),
        ("--namespace", kubernetes.namespace),
        ("--service-account", kubernetes.service_account),
    ):
        if value is not None and not _NAME.fullmatch(value):
            raise UserError(f"{option} '{value}' is no name for Kubernetes: lower-case letters, digits, hyphens inside")
    if not kubernetes.image or kubernetes.image.split() != [kubernetes.image]:
        raise UserError(f"--image '{kubernetes.image}' is no image")
    if ":" in str(work.out):
        raise UserError(f"--out {work.out} has a colon, and Kubernetes mounts nothing there; choose another folder")
    plan_toml = None
    if work.plan not in shipped_plans():
        plan_toml = Path(work.plan).read_text(encoding="utf-8")
        work = replace(work, plan=str(SCRIPTS / "plan.toml"))
    return render(
        "kubernetes.yaml.j2",
        work=work,
        nodes=nodes,
        job_name=_job_name(work.name),
        script=render("entrypoint.sh.j2", work=work),
        plan_toml=plan_toml,
        scripts=SCRIPTS,
        environment=_environment(work, kubernetes),
        ray_version=version("ray"),
        image=kubernetes.image,
        claim=kubernetes.claim,
        limit_s=kubernetes.limit_s,
        memory_gib=kubernetes.memory_gib,
        namespace=kubernetes.namespace,
        service_account=kubernetes.service_account,
    )


def _environment(work: Work, kubernetes: Kubernetes) -> dict[str, str]:
    """The variables of every pod."""
    # Ray's own niceness, 15, would let anything else on a node slow the trials.
    ours = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    if kubernetes.environment is not None:
        ours["PATH"] = f"{kubernetes.environment}/bin:{_SEARCHED}"
    return {**ours, **work.environment}


def _job_name(study: str) -> str:
    """A study's name in the letters that Kubernetes takes.

    Raises
    ------
    UserError
        When none of them is in it.
    """
    letters = re.sub(r"[^a-z0-9]+", "-", study.lower())[:LONGEST_NAME].strip("-")
    if not letters:
        raise UserError(f"the study's name '{study}' has no letter that Kubernetes takes; give another with --name")
    return letters if letters[0].isalpha() else f"study-{letters}"[:LONGEST_NAME].strip("-")
