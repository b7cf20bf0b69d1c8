"""Can a study run here? What was found, and what to do about what was not."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from study.cli.output import told_of_data
from study.cli.readiness import LOADING_TO_DO, fitting_here
from study.cluster.environment import NoFolder, choose_temporary_folder
from study.plan.completing import complete, told
from study.plan.files import load_plan
from study.plan.loading import loadings
from study.plan.plan import Plan
from study.plan.shelf import shipped_plans
from study.plan.trying import differing, options_to_try
from study.store.provenance import gpu_problem, gpus, package_version
from trainables.common.digits import plain
from trainables.common.errors import UserError
from trainables.common.load import busyness
from trainables.common.machine import cpus, memory, processor
from trainables.contract import Loading, Readiness
from trainables.flux.runtime import check_runtime, find_runtime
from trainables.frameworks import FRAMEWORKS, Framework, framework
from trainables.workloads.datasets import DATASETS, cache_folder, fetch, where_to_get
from trainables.workloads.prepared import facts, prepare
from trainables.workloads.workload import MODEL_FILES, Made, Workload, find

State = Literal["ok", "missing", "problem"]
DEFAULT_PLAN = "quickstart"
_DISK_NEEDED_BYTES = 2**30
_MEMORY_NEEDED_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's answer. ``needed`` marks what the default plan cannot do without."""

    item: str
    state: State
    found: str
    todo: str = ""
    needed: bool = False


def examine(*, data_dir: Path | None = None, workload: str | None = None) -> list[Finding]:
    """Look at everything; takes some seconds, since PyTorch is asked in a process of its own.

    Parameters
    ----------
    workload
        A name or a folder, which is looked at instead of the shipped data sets and plans.
    """
    if workload is not None:
        return [_python(), _package("ray", "Ray"), _package("optuna", "Optuna"), *_workload(find(workload), data_dir)]
    plans = {name: _plan(name) for name in shipped_plans()}
    asked = {name: _loadings(plan) for name, plan in plans.items() if isinstance(plan, Plan)}
    torch = framework("pytorch").examine(device="cuda", loadings=[each for some in asked.values() for each in some])
    answers = iter(torch.no_loading)
    no_loading = {name: [next(answers, None) for _ in some] for name, some in asked.items()}
    return [
        _python(),
        _package("ray", "Ray"),
        _package("optuna", "Optuna"),
        _torch(torch),
        _gpus(),
        _julia(),
        *(_dataset(name, data_dir) for name in DATASETS),
        _cpus(),
        _load(),
        _memory(),
        _disk(),
        _temporary_folder(),
        *(_plan_fits(name, plan, torch, no_loading.get(name, [])) for name, plan in plans.items()),
    ]


def healthy(findings: list[Finding]) -> bool:
    """Whether the default plan can run, or the workload that was looked at."""
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


def _torch(found: Readiness) -> Finding:
    if package_version("torch") is None:
        return Finding("PyTorch", "missing", "not installed", "pip install torch torchvision", needed=True)
    if found.broken:
        todo = "see what `python -c 'import torch'` says; pip install --force-reinstall torch torchvision"
        return Finding("PyTorch", "problem", found.broken, todo, needed=True)
    return Finding("PyTorch", "ok", f"{found.version}, sees {found.gpus}", needed=True)


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
    trainer = f"{found.flux_trainer} of {found.source}" if found.source else found.flux_trainer
    text = f"Julia {found.julia}, Flux {found.flux}, FluxTrainer {trainer}, {cuda}, {runtime.executable}"
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
            path = fetch(name, data_dir=None if embedded else data_dir)
            return Finding(item, "ok", str(path), needed=embedded)
    except UserError as error:
        return Finding(item, "problem", str(error), "see there", needed=embedded)
    if wanted.debian_folder and wanted.debian_folder.is_dir():
        return Finding(item, "ok", str(wanted.debian_folder))
    return Finding(item, "missing", "not here yet", where_to_get(wanted))


def _workload(looked_at: Workload, data_dir: Path | None) -> Iterator[Finding]:
    """Whether a workload can be trained: its data, and its models in every framework."""
    item = f"data of {looked_at.name}"
    try:
        made = prepare(looked_at, data_dir=data_dir, hear=told_of_data)
    except UserError as error:
        yield Finding(item, "problem", str(error), "mend that", needed=True)
        return
    shape = " x ".join(map(str, made.shape))
    kind = "classes" if looked_at.loss == "cross_entropy" else "output" if made.outputs == 1 else "outputs"
    yield Finding(
        item, "ok", f"{made.training_samples} training samples of {shape}, {made.outputs} {kind}", needed=True
    )
    real = [each for each in FRAMEWORKS.values() if each.real]
    models = [_model(each, looked_at, made) for each in real]
    yield from models
    if not any(each.state == "ok" for each in models):
        yield Finding(looked_at.name, "problem", "no framework can train it here", "see above", needed=True)


def _model(asked: Framework, looked_at: Workload, made: Made) -> Finding:
    """Whether a framework can train a workload; that it has no model is no problem."""
    item = f"{looked_at.name} in {asked.title}"
    if asked.language is not None and not asked.trains(looked_at):
        file = MODEL_FILES[asked.language]
        return Finding(item, "missing", f"{looked_at.folder} has no {file}", "write it, or go on without")
    if problem := asked.missing():
        return Finding(item, "missing", problem, "as said, or go on without")
    try:
        plan = complete({"workload": told(looked_at), "frameworks": [asked.name]}, "")
        points = options_to_try(plan, asked.name)
    except UserError as error:
        return Finding(item, "problem", str(error), "mend that", needed=True)
    for point, tried in zip(points, asked.try_models(looked_at, points, made), strict=False):
        if tried.problem is not None:
            return Finding(item, "problem", f"{tried.problem}{differing(point, points[0])}", "mend that", needed=True)
    if asked.check is None or asked.language is None:
        return Finding(item, "ok", "it brings its own model, which was not tried")
    return Finding(item, "ok", "its model can be built, and takes such samples")


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


def _temporary_folder() -> Finding:
    """Whether a local Ray and loader workers can have sockets."""
    try:
        notice = choose_temporary_folder()
    except NoFolder as error:
        return Finding("temporary folder", "problem", str(error), "as said", needed=True)
    return Finding("temporary folder", "ok", notice or tempfile.gettempdir(), needed=True)


def _plan(name: str) -> Plan | str:
    """A shipped plan, or why it cannot run here."""
    try:
        return load_plan(name)
    except UserError as error:
        return str(error)


def _loadings(plan: Plan) -> list[Loading]:
    """What PyTorch's loader workers must do for a plan on this machine."""
    if "pytorch" not in plan.frameworks:
        return []
    return loadings(plan, "pytorch", made=facts(find(plan.workload)), fitting=fitting_here(plan))


def _plan_fits(name: str, plan: Plan | str, torch: Readiness, no_loading: list[str | None]) -> Finding:
    """Whether a shipped plan's slices fit on this machine alone, and its loader workers can work."""
    item, needed = f"plan {name}", name == DEFAULT_PLAN
    if isinstance(plan, str):
        return Finding(item, "problem", plan, "see above", needed=needed)
    if problem := next(filter(None, no_loading), None):
        return Finding(item, "problem", f"loader workers would fail: {problem}", LOADING_TO_DO, needed=needed)
    ours, cards = cpus(), len(torch.devices)
    want = f"{_count(plan.slice.cpus, 'CPU')} and {_count(plan.slice.gpus, 'GPU')} a trial"
    if plan.slice.cpus > ours.usable or plan.slice.gpus > cards:
        todo = "--set slice.cpus=... --set slice.gpus=..., or --address of a larger cluster"
        return Finding(item, "missing", f"{want}; {ours.told} and {_count(cards, 'GPU')}", todo, needed=needed)
    at_once = plan.slice.fitting(ours.usable, cards)
    return Finding(item, "ok", f"{plan.workload}: {want}, {at_once} at once here", needed=needed)


def _count(number: float, what: str) -> str:
    return f"{plain(number)} {what}{'s' * (number != 1)}"
