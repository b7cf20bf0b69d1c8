"""Flux for real. Each test starts Julia in a process of its own: never in pytest's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trainables.flux.runtime import PACKAGE, find_runtime
from trainables.workloads.architectures import MODELS

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.julia


def run(*arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False
    )


def python(code: str) -> str:
    """Standard output of a snippet that drives the Flux backend."""
    answer = run("-c", code)
    assert answer.returncode == 0, answer.stderr[-3000:]
    return answer.stdout


def test_the_contract_holds_for_flux() -> None:
    answer = run("-m", "pytest", "-q", "tests/trainables/test_contract.py", "--framework", "flux")
    assert answer.returncode == 0, answer.stdout[-3000:]
    assert "skipped" not in answer.stdout


START = """
import numpy as np
from trainables.frameworks import framework
from trainables.workloads.architectures import MODELS
from trainables.determinism import initial_parameters, sample_order
from trainables.workloads.prepared import load
def begin(**changes):
    model = changes.get("model", "lenet")
    return framework("flux").start()(**{**dict(
        model=model, data=load("digits"), parameters=initial_parameters(MODELS[model](), seed=0), learning_rate=0.05,
        batch_size=64, num_workers=0, optimizer="sgd", momentum=0.9, weight_decay=0.0, precision="float32",
        memory_format="contiguous", data_on_device=False, device="cpu", threads=1),
        **changes})
"""


@pytest.mark.parametrize("model", list(MODELS))
def test_flux_has_the_canonical_tensors(model: str) -> None:
    code = f"import json; print(json.dumps({{k: v.shape for k, v in begin(model={model!r}).parameters().items()}}))"
    found = json.loads(python(START + code).splitlines()[-1])
    assert {name: tuple(shape) for name, shape in found.items()} == {each.name: each.shape for each in MODELS[model]()}
    assert list(found) == [each.name for each in MODELS[model]()]


def test_julias_errors_are_plain_runtime_errors() -> None:
    code = """
try:
    begin(optimizer="adamw")
except RuntimeError as error:
    print(type(error).__module__, error)
"""
    assert 'builtins Julia: ArgumentError: unknown optimizer "adamw"; there are sgd and adam' in python(START + code)


def test_other_python_threads_run_while_julia_trains() -> None:
    code = """
import threading, time
ticks, run = [], begin()
run.warm_up()
def tick():
    while True:
        ticks.append(time.perf_counter())
        time.sleep(0.01)
threading.Thread(target=tick, daemon=True).start()
began = time.perf_counter()
while time.perf_counter() - began < 1.0:
    run.begin_epoch(sample_order(seed=0, epoch=0, samples=1079))
    before = len(ticks)
    run.train(17)
print(len(ticks) > 20)
"""
    assert python(START + code).splitlines()[-1] == "True"


def test_a_checkpoint_continues_in_another_process(tmp_path: Path) -> None:
    first = (
        START
        + f"""
run = begin(optimizer="adam", learning_rate=1e-3)
order = sample_order(seed=0, epoch=0, samples=1079)
run.begin_epoch(order); run.train(5)
from pathlib import Path
run.save(Path({str(tmp_path / "model")!r}))
print(run.train(12).loss.hex())
"""
    )
    second = (
        START
        + f"""
run = begin(optimizer="adam", learning_rate=1e-3)
from pathlib import Path
run.load(Path({str(tmp_path / "model")!r}))
run.begin_epoch(sample_order(seed=0, epoch=0, samples=1079)[5 * 64:])
print(run.train(12).loss.hex())
"""
    )
    assert python(first).splitlines()[-1] == python(second).splitlines()[-1]


def test_memory_does_not_grow_from_training_to_training() -> None:
    code = """
import psutil
resident = []
for seed in range(20):
    run = begin(optimizer=("sgd", "adam")[seed % 2], num_workers=seed % 3 % 2)
    run.warm_up()
    run.begin_epoch(sample_order(seed=seed, epoch=0, samples=1079))
    run.train(17); run.evaluate("validation")
    run.close()
    resident.append(psutil.Process().memory_info().rss / 2**20)
print(max(resident[4:]) - resident[3])
"""
    # MiB; between two full collections 60 come and go. One copy of the data set a training would be 85.
    assert float(python(START + code).splitlines()[-1]) < 75


def test_nothing_of_a_training_stays_in_julia() -> None:
    code = """
def living():
    import juliacall
    juliacall.Main.seval("GC.gc()")
    return juliacall.Main.seval("Base.gc_live_bytes()") / 2**20
for seed in range(16):
    run = begin(optimizer=("sgd", "adam")[seed % 2], num_workers=1)
    run.warm_up()
    run.begin_epoch(sample_order(seed=seed, epoch=0, samples=1079))
    run.train(17); run.evaluate("validation")
    run.close()
    if seed == 3:
        before = living()
print(living() - before)
"""
    # MiB; a run that is not forgotten holds 1.7. What is resident comes and goes by 40 besides: Julia collects what is
    # old about once in 70 such trainings.
    assert float(python(START + code).splitlines()[-1]) < 2


def test_a_failure_in_a_loader_task_is_told_by_its_cause() -> None:
    code = """
import numpy as np
from trainables.contract import LabelledImages
data = dict(load("digits"))
data["train"] = LabelledImages(data["train"].images, np.full(1079, 11))
run = begin(data=data, num_workers=1)
run.begin_epoch(sample_order(seed=0, epoch=0, samples=1079))
try:
    run.train(2)
except RuntimeError as error:
    print(error)
"""
    said = python(START + code).splitlines()[-1]
    assert "11" in said
    assert "TaskFailed" not in said


def test_flux_refuses_a_process_that_has_torch() -> None:
    code = (
        "import torch"
        + START
        + """
try:
    begin()
except RuntimeError as error:
    print(error)
"""
    )
    assert "torch is loaded in this process" in python(code)


def test_the_runtime_of_these_tests_holds_this_very_package() -> None:
    code = "using FluxTrainer; print(pkgdir(FluxTrainer))"
    runtime = find_runtime()
    command = [runtime.executable, f"--project={runtime.project}", "-e", code]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert Path(answer.stdout).resolve() == PACKAGE.resolve()


def test_the_julia_packages_own_tests_pass() -> None:
    runtime = find_runtime()
    code = 'import Pkg; Pkg.test("FluxTrainer"; julia_args=["--check-bounds=auto"])'  # auto: compiled already
    command = [runtime.executable, f"--project={runtime.project}", "-e", code]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert answer.returncode == 0, (answer.stdout + answer.stderr)[-3000:]
    assert "a trace takes the same step as a run" in answer.stdout + answer.stderr
