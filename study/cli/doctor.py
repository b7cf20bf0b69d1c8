"""Can a study run here? What was found, and what to do about what was not."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from study.plan.files import load_plan, shipped_plans
from study.plan.plan import Plan
from study.store.provenance import gpu_problem, gpus, package_version
from trainables.common.errors import UserError
from trainables.common.helpers import ask
from trainables.common.load import busyness
from trainables.common.machine import cpus, memory, processor
from trainables.flux.runtime import check_runtime, find_runtime
from trainables.workloads.datasets import DATASETS, cache_folder, prepare, where_to_get
from trainables.workloads.shipped import workload

State = Literal["ok", "missing", "problem"]
DEFAULT_PLAN = "quickstart"
_DISK_NEEDED_BYTES = 2**30
_MEMORY_NEEDED_BYTES = 2 * 2**30
_IMPORT_S = 120.0  # from a cold, slow disk
_PROBE = (
    "import json, torch; print(json.dumps([torch.__version__, torch.version.cuda,"
    " [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]]))"
)


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's answer. ``needed`` marks what the default plan cannot do without."""

    item: str
    state: State
    found: str
    todo: str = ""
    needed: bool = False


def examine(*, data_dir: Path | None = None) -> list[Finding]:
    """Look at everything; takes some seconds, since PyTorch is asked in a process of its own."""
    return [
        _python(),
        _package("ray", "Ray"),
        _package("optuna", "Optuna"),
        _torch(),
        _gpus(),
        _julia(),
        *(_dataset(name, data_dir) for name in DATASETS),
        _cpus(),
        _load(),
        _memory(),
        _disk(),
        *(_plan_fits(name) for name in shipped_plans()),
    ]


def healthy(findings: list[Finding]) -> bool:
    """Whether the default plan can run."""
    return all(finding.state == "ok" for finding in findings if finding.needed)


def as_json(findings: list[Finding]) -> str:
    """The findings for a program."""
    return json.dumps({"ok": healthy(findings), "findings": [asdict(each) for each in findings]}, indent=2)


def _python() -> Finding:
    return Finding("Python", "ok", sys.version.split()[0], needed=True)  # pip refuses older ones than we support


def _package(distribution: str, title: str) -> Finding:
    found = package_version(distribution)
    if found is None:
        return Finding(title, "missing", "not installed", f"pip install {distribution}", needed=True)
    return Finding(title, "ok", found, needed=True)


def _torch() -> Finding:
    if package_version("torch") is None:
        return Finding("PyTorch", "missing", "not installed", "pip install torch torchvision", needed=True)
    answer = ask([sys.executable, "-P", "-c", _PROBE], timeout_s=_IMPORT_S)
    try:
        version, cuda, devices = json.loads(answer.out.strip().rpartition("\n")[2])
    except ValueError:
        reason = f"a process that imports it {answer.problem or 'says nothing of use'}"
        todo = "see what `python -c 'import torch'` says; pip install --force-reinstall torch torchvision"
        return Finding("PyTorch", "problem", reason, todo, needed=True)
    sees = f"sees {', '.join(devices)}" if devices else "sees no GPU"
    return Finding("PyTorch", "ok", f"{version}, CUDA {cuda or 'none'}, {sees}", needed=True)


def _gpus() -> Finding:
    found = gpus()
    if problem := gpu_problem():
        return Finding("NVIDIA GPU", "problem", problem, "reload or mend the driver; until then studies run on CPUs")
    if not found:
        return Finding("NVIDIA GPU", "missing", "none", "none is needed for LeNet; ResNet-18 plans want one")
    return Finding("NVIDIA GPU", "ok", ", ".join(found))


def _julia() -> Finding:
    try:
        runtime = find_runtime()
        found = check_runtime(runtime)
    except UserError as error:
        return Finding("Julia and Flux", "missing", str(error), "as said; until then studies run PyTorch alone")
    cuda = f"CUDA.jl {found.cuda}" if found.cuda else "no CUDA.jl"
    text = f"Julia {found.julia}, Flux {found.flux}, FluxTrainer {found.flux_trainer}, {cuda}, {runtime.executable}"
    if gpus() and not found.cuda:
        return Finding("Julia and Flux", "problem", text, "run `tuneoff setup-julia --gpu` for trials on the GPU")
    return Finding("Julia and Flux", "ok", text)


def _dataset(name: str, data_dir: Path | None) -> Finding:
    wanted = DATASETS[name]
    item = f"data set {name}"
    embedded = wanted.torchvision is None
    try:
        cached = cache_folder() / f"{name}.npz"
        if embedded or cached.exists() or data_dir is not None:
            path = prepare(name, data_dir=None if embedded else data_dir)
            return Finding(item, "ok", str(path), needed=embedded)
    except UserError as error:
        return Finding(item, "problem", str(error), "see there", needed=embedded)
    if wanted.debian_folder and wanted.debian_folder.is_dir():
        return Finding(item, "ok", str(wanted.debian_folder))
    return Finding(item, "missing", "not here yet", where_to_get(wanted))


def _cpus() -> Finding:
    return Finding("CPUs", "ok", f"{cpus()}, {processor()}", needed=True)


def _load() -> Finding:
    found = busyness()
    if found.busy:
        return Finding("load", "problem", str(found), "wait, or end what else runs: times would be too long")
    return Finding("load", "ok", str(found))


def _memory() -> Finding:
    found = memory()
    state: State = "ok" if found.available_bytes > _MEMORY_NEEDED_BYTES else "problem"
    todo = "" if state == "ok" else "free some, or raise its limit: Ray and one trial need about 2 GB"
    limit = f" of {found.limit_bytes / 2**30:.1f} GiB{f' ({found.limited_by})' if found.limited_by else ''}"
    return Finding("memory", state, f"{found.available_bytes / 2**30:.1f}{limit} available", todo, needed=True)


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    state: State = "ok" if free > _DISK_NEEDED_BYTES else "problem"
    return Finding(
        "disk", state, f"{free / 2**30:.1f} GiB free here", "" if state == "ok" else "free 1 GiB", needed=True
    )


def _plan_fits(name: str) -> Finding:
    """Whether a shipped plan's slices fit on this machine alone."""
    item = f"plan {name}"
    try:
        plan = load_plan(name)
    except UserError as error:
        return Finding(item, "problem", str(error), "see above", needed=name == DEFAULT_PLAN)
    return _fits(item, plan, needed=name == DEFAULT_PLAN)


def _fits(item: str, plan: Plan, *, needed: bool) -> Finding:
    ours, cards = cpus(), len(gpus())
    want = f"{plan.slice.cpus} CPUs and {plan.slice.gpus} GPUs a trial"
    if plan.slice.cpus > ours.usable or plan.slice.gpus > cards:
        todo = "--set slice.cpus=... --set slice.gpus=..., or --address of a larger cluster"
        return Finding(item, "missing", f"{want}; {ours.told} and {cards} GPUs", todo, needed=needed)
    at_once = min(ours.usable // plan.slice.cpus, cards // plan.slice.gpus if plan.slice.gpus else ours.usable)
    return Finding(item, "ok", f"{workload(plan.workload).name}: {want}, {at_once} at once here", needed=needed)
