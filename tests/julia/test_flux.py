"""Flux for real. Each test starts Julia in a process of its own: never in pytest's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from trainables.flux.runtime import PACKAGE, find_runtime
from trainables.workloads.weights import WeightsServer
from trainables.workloads.workload import find

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
from dataclasses import replace
from pathlib import Path
from trainables.contract import Execution, Hyperparameters, Samples, Setup, TraceSetup
from trainables.determinism import sample_order
from trainables.flux.backend import start, start_trace, try_model
from trainables.workloads.prepared import load
from trainables.workloads.workload import find
DIGITS = find("digits-lenet")
def begin(*, data=None, seed=0, **knobs):
    chosen = Hyperparameters(**{**dict(learning_rate=0.05, batch_size=64, num_workers=0), **knobs})
    return start(Setup(model=DIGITS.models["julia"], data=data or load(DIGITS), outputs=10, loss="cross_entropy",
                       hyperparameters=chosen, execution=Execution(), seed=seed, device="cpu", threads=1))
def rates(steps):
    return np.full(steps, 0.05)
"""


@pytest.mark.parametrize("name", ["digits-lenet", "fashion-resnet18"])
def test_flux_has_pytorchs_tensors(name: str, tmp_path: Path) -> None:
    """Under the same names, and at the parameters that PyTorch drew."""
    workload = find(name)
    with WeightsServer(workload.models["python"]) as server:
        server.draw(tmp_path / "weights.npz", options={}, seed=7)
    code = f"""
from trainables.workloads.weights import read_weights
drawn = read_weights(Path({str(tmp_path / "weights.npz")!r}))
trace = start_trace(TraceSetup(model=find({name!r}).models["julia"], sample_shape=(1, 28, 28), outputs=10,
    loss="cross_entropy", hyperparameters=Hyperparameters(0.1, 8, 0), seed=0, precision="float32", threads=1))
print(list(trace.parameters()) == list(drawn))
trace.load_parameters(drawn)
print(all(np.array_equal(array, drawn[name]) for name, array in trace.parameters().items()))
"""
    assert python(START + code).splitlines()[-2:] == ["True", "True"]


def test_julias_errors_are_plain_runtime_errors() -> None:
    code = """
for wrong in ({"optimizer": "lion"}, {"options": {"width": 3}}):
    try:
        begin(**wrong)
    except RuntimeError as error:
        print(type(error).__module__, error)
"""
    said = python(START + code).splitlines()
    assert said[-2].startswith('builtins Julia: ArgumentError: unknown optimizer "lion"; there are adam,')
    assert said[-1].endswith("model.jl, line 3: build takes no option 'width'; it takes none")


MODEL = """
using Flux, FluxTrainer, Statistics

struct Block{C,N,D}
    conv::C
    norm::N
    down::D
end
Flux.@layer Block
(block::Block)(x) = relu.(block.down(x) .+ block.norm(block.conv(x)))

build(; width=4, dropout=0.0, norm="group") = Chain(
    Block(Conv((3, 3), 3 => width; pad=1, bias=false), GroupNorm(width, 2), Conv((1, 1), 3 => width)),
    SkipConnection(Conv((3, 3), width => width; pad=1), +),
    GlobalMeanPool(), Flux.flatten, ExactLayerNorm(width), Dropout(dropout), Dense(width => 2),
)
"""
TASK = """
random = np.random.RandomState(0)
def samples(count):
    return Samples(random.rand(count, 3, 8, 8).astype(np.float32), random.rand(count, 2).astype(np.float32))
DATA = {split: samples(40) for split in ("train", "validation", "test")}
def begin_own(seed=0, **options):
    return start(Setup(model=Path(FILE), data=DATA, outputs=2, loss="mean_squared_error",
                       hyperparameters=Hyperparameters(0.05, 16, 1, optimizer="nesterov", options=options),
                       execution=Execution(), seed=seed, device="cpu", threads=1))
def losses(run):
    run.begin_epoch(np.arange(40))
    return run.train(rates(3)).loss
"""


@pytest.fixture
def own_model(tmp_path: Path) -> str:
    """Code that begins trainings of a model in a file."""
    (tmp_path / "model.jl").write_text(MODEL)
    return f"FILE = {str(tmp_path / 'model.jl')!r}" + START + TASK


def test_a_model_of_ones_own_trains_with_its_options(own_model: str) -> None:
    code = """
run = begin_own(width=6, dropout=0.5)
run.warm_up()
run.reset(None)
drawn = run.parameters()
print(list(drawn))
first = losses(run)
run.reset(None)
print(all(np.array_equal(array, drawn[name]) for name, array in run.parameters().items()), losses(run) == first)
run.reset({f"theirs.{place}.{name.split('.')[-1]}": array for place, (name, array) in enumerate(drawn.items())})
print(losses(run) == first, list(run.parameters())[:2], run.evaluate("test").accuracy)
print(losses(begin_own(seed=1, width=6, dropout=0.5)) == first)
"""
    names, same, given, other = python(own_model + code).splitlines()[-4:]
    layers = {"0.conv": 1, "0.norm": 2, "0.down": 2, "1": 2, "4": 2, "6": 2}
    assert names == str([f"{name}.{kind}" for name, count in layers.items() for kind in ("weight", "bias")[:count]])
    assert same == "True True"  # whatever the warm-up did, dropout included
    assert given == "True ['theirs.0.weight', 'theirs.1.weight'] None"
    assert other == "False"


def test_a_model_is_tried_before_anything_starts(own_model: str, tmp_path: Path) -> None:
    code = """
def told(shape=(3, 8, 8), outputs=2, **options):
    print(try_model(model=Path(FILE), options=options, shape=shape, outputs=outputs))
told()
told(heads=2)
told(outputs=3)
told(shape=(1, 8, 8))
told(width="six")
Path(FILE).write_text("using Flux\\nbuild() = Chain(Dense(3 => 2)")
told()
"""
    file = tmp_path / "model.jl"
    good, option, width, channels, kind, syntax = python(own_model + code).splitlines()[-6:]
    assert good == "Tried(problem=None, alone='')"
    assert f"{file}, line 12: build takes no option 'heads'; it takes width, dropout, norm" in option
    assert f"{file}: of 2 samples the model makes (2, 2), and the data ask for (3, 2)" in width
    assert f"{file}, line 10: DimensionMismatch" in channels
    assert re.search(rf"{file}, line 1[23]: MethodError", kind)  # of the call, or of the expression that it is in
    assert f"{file}, line 2: syntax error: " in syntax


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
    run.train(rates(17))
print(len(ticks) > 20)
"""
    assert python(START + code).splitlines()[-1] == "True"


def test_a_checkpoint_continues_in_another_process(tmp_path: Path) -> None:
    first = (
        START
        + f"""
run = begin(optimizer="adam")
order = sample_order(seed=0, epoch=0, samples=1079)
run.begin_epoch(order); run.train(rates(5) / 50)
from pathlib import Path
run.save(Path({str(tmp_path / "model")!r}))
print(run.train(rates(12) / 50).loss.hex())
"""
    )
    second = (
        START
        + f"""
run = begin(optimizer="adam")
from pathlib import Path
run.load(Path({str(tmp_path / "model")!r}))
run.begin_epoch(sample_order(seed=0, epoch=0, samples=1079)[5 * 64:])
print(run.train(rates(12) / 50).loss.hex())
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
    run.train(rates(17)); run.evaluate("validation")
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
    run.train(rates(17)); run.evaluate("validation")
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
data = dict(load(DIGITS))
data["train"] = replace(data["train"], targets=np.full(1079, 11))
run = begin(data=data, num_workers=1)
run.begin_epoch(sample_order(seed=0, epoch=0, samples=1079))
try:
    run.train(rates(2))
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
