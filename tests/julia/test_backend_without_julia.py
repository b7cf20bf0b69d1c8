"""The Flux backend against C functions of ours, in a process of its own: names, types, shapes and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

STUB = '''
"""FluxTrainer's C functions, written in Python: they record what they are asked."""
import os
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_double, c_float, c_int64, c_void_p, cast
from trainables.flux import seam

class JuliaError(Exception):
    pass

calls = []
C_TYPES = (c_float, c_double, c_int64)

def array(lent):
    length = 1
    for size in lent.sizes[: lent.dimensions]:
        length *= size
    return cast(lent.address, POINTER(C_TYPES[lent.type] * length)).contents

def described(lents, count):
    found = [lents[place] for place in range(count)]
    return {each.name.decode(): [each.type, list(each.sizes[: each.dimensions]), array(each)[-1]] for each in found}

def start(held, settings, options, count, data, pieces):
    asked = {name: getattr(settings[0], name) for name, _ in seam.Settings._fields_}
    asked = {name: value.decode() if isinstance(value, bytes) else value for name, value in asked.items()}
    told = [[getattr(options[place], name) for name, _ in seam.ModelOption._fields_] for place in range(count)]
    told = [[value.decode() if isinstance(value, bytes) else value for value in each] for each in told]
    calls.append(["start", asked, told, described(data, pieces)])
    held[0] = 7

def reset(held, lents, count):
    calls.append(["reset", held, described(lents, count)])

TENSORS = b"out.weight\\t2,3\\ttrained\\nout.seen\\t2\\tkept"

def tensors(held, text):
    text[0] = TENSORS

def train(held, rates, steps, loss, samples, data_s):
    calls.append(["train", held, rates[:steps]])
    loss[0], samples[0], data_s[0] = 0.5, 64, 0.25

def evaluate(held, split, accuracy, loss):
    calls.append(["evaluate", held, split.decode()])
    accuracy[0], loss[0] = float("nan") if split == b"test" else 0.75, 0.5

def begin_epoch(held, order, samples):
    calls.append(["begin_epoch", held, order[:samples]])

def parameters(held, lents, count):
    calls.append(["parameters", held])
    array(lents[0])[:], array(lents[1])[:] = [0, 1, 2, 3, 4, 5], [6, 7]

def load_parameters(held, lents, count):
    calls.append(["load_parameters", held, described(lents, count)])

def loader_workers(held, workers):
    calls.append(["loader_workers", held])
    workers[0] = 1

def save(held, path):
    calls.append(["save", held, path.decode()])

FAILURE = "Julia: no such file \N{SNOWMAN}".encode() + b"\\0"

def load(held, path):
    calls.append(["load", held, path.decode()])
    return cast(FAILURE, c_void_p).value

def warm_up(held):
    calls.append(["warm_up", held])

def close(held):
    calls.append(["close", held])

functions = {name: globals().get(name, lambda *_: None) for name in seam.SIGNATURES}
callbacks = {name: CFUNCTYPE(c_void_p, *seam.SIGNATURES[name])(each) for name, each in functions.items()}

class Main:
    @staticmethod
    def seval(code):
        calls.append(["seval", code])
        if code == "FluxTrainer.entry_points()":
            return " ".join(f"{name}={cast(each, c_void_p).value}" for name, each in callbacks.items())

environment = {key: value for key, value in os.environ.items() if key.startswith("PYTHON_JULIACALL_")}
'''

SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
from trainables.contract import Execution, Hyperparameters, Samples, Setup
from trainables.flux.backend import start
split = Samples(np.zeros((5, 1, 28, 28), np.float32), np.arange(5))
options = {"hidden": 64, "dropout": 0.5, "norm": "batch", "bias": True}
knobs = Hyperparameters(0.1, 4, 1, optimizer="adamw", weight_decay=0.25, options=options)
assert "juliacall" not in sys.modules
run = start(Setup(model=Path("/task/model.jl"), data={"train": split}, outputs=5, loss="cross_entropy",
                  hyperparameters=knobs, execution=Execution(), seed=11, device=sys.argv[1], threads=int(sys.argv[2])))
import juliacall
run.warm_up()
run.begin_epoch(np.arange(5))
progress, scores = run.train(np.array([0.25, 0.5])), [run.evaluate("train"), run.evaluate("test")]
own = run.parameters()
array = own["out.weight"]
run.reset(None)
run.reset({"fc3.weight": array, "fc3.seen": own["out.seen"]})
run.load_parameters({"fc3.weight": array, "fc3.seen": own["out.seen"]})
names = [list(own), list(run.parameters())]
try:
    run.reset({"fc3.weight": array.T.copy(), "fc3.seen": own["out.seen"]})
except Exception as error:
    mismatch = str(error)
run.save(Path("model"))
try:
    run.load(Path("model"))
except Exception as error:
    failure = [type(error).__module__, type(error).__name__, str(error)]
workers = run.loader_workers()
from trainables.flux.backend import _lent_to
lent = [sorted(_lent_to[7])]
run.close()
lent.append(sorted(_lent_to))
print(json.dumps(dict(calls=juliacall.calls, environment=juliacall.environment, failure=failure, workers=workers,
                      progress=progress, scores=scores, lent=lent, array=array.tolist(), names=names,
                      mismatch=mismatch,
                      order=bool(array.flags.c_contiguous))))
"""


def drive(folder: Path, *, device: str = "cpu", threads: int = 1) -> dict[str, object]:
    (folder / "juliacall").mkdir()
    (folder / "juliacall" / "__init__.py").write_text(STUB)
    environment = {
        **os.environ,
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "PYTHON_JULIACALL_EXE": "/opt/julia",
        "PYTHON_JULIACALL_PROJECT": "/opt/project",
    }
    command = [sys.executable, "-c", SCRIPT, device, str(threads)]
    answer = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    found: dict[str, object] = json.loads(answer.stdout)
    return found


@pytest.fixture
def driven(tmp_path: Path) -> dict[str, object]:
    return drive(tmp_path)


def calls(driven: dict[str, object]) -> list[list[object]]:
    assert isinstance(driven["calls"], list)
    return driven["calls"]


def test_start_hands_over_all_of_a_setup_with_arrays_as_julia_sees_them(driven: dict[str, object]) -> None:
    name, settings, options, data = calls(driven)[2]
    assert name == "start"
    assert data == {"train/features": [0, [28, 28, 1, 5], 0.0], "train/targets": [2, [5], 4]}
    assert options == [
        ["hidden", 1, 64, 0.0, None],
        ["dropout", 2, 0, 0.5, None],
        ["norm", 3, 0, 0.0, "batch"],
        ["bias", 0, 1, 0.0, None],
    ]
    assert settings == {
        "model": "/task/model.jl",
        "loss": "cross_entropy",
        "outputs": 5,
        "batch_size": 4,
        "num_workers": 1,
        "optimizer": "adamw",
        "momentum": 0.9,
        "weight_decay": 0.25,
        "precision": "float32",
        "memory_format": "contiguous",
        "data_on_device": 0,
        "device": "cpu",
        "seed": 11,
        "threads": 1,
    }


def test_methods_call_their_julia_namesakes(driven: dict[str, object]) -> None:
    given = {"out.weight": [0, [3, 2], 5.0], "out.seen": [0, [2], 7.0]}
    assert [call for call in calls(driven) if call[0] not in ("seval", "start")] == [
        ["warm_up", 7],
        ["begin_epoch", 7, [0, 1, 2, 3, 4]],
        ["train", 7, [0.25, 0.5]],
        ["evaluate", 7, "train"],
        ["evaluate", 7, "test"],
        ["parameters", 7],
        ["reset", 7, {}],
        ["reset", 7, given],
        ["load_parameters", 7, given],
        ["parameters", 7],
        ["save", 7, "model"],
        ["load", 7, "model"],
        ["loader_workers", 7],
        ["close", 7],
    ]


def test_tensors_have_fluxs_names_until_pytorchs_are_given(driven: dict[str, object]) -> None:
    assert driven["names"] == [["out.weight", "out.seen"], ["fc3.weight", "fc3.seen"]]


def test_parameters_of_another_model_are_refused_before_julia_is_asked(driven: dict[str, object]) -> None:
    first, *lists = str(driven["mismatch"]).splitlines()
    assert first == "PyTorch's model has fc3.weight 3x2 where Flux's has out.weight 2x3:"
    assert lists == [
        "   PyTorch          Flux",
        "-> fc3.weight 3x2   out.weight 2x3",
        "   fc3.seen 2       out.seen 2",
    ]


def test_data_is_kept_until_the_run_is_closed(driven: dict[str, object]) -> None:
    assert driven["lent"] == [["train/features", "train/targets"], []]


def test_results_come_back_in_python_types_and_c_order(driven: dict[str, object]) -> None:
    assert driven["progress"] == [0.5, 64, 0.25]
    assert driven["scores"] == [[0.75, 0.5], [None, 0.5]]  # no accuracy where there are no classes
    assert driven["workers"] == 1
    assert driven["array"] == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert driven["order"] is True


def test_a_failure_in_julia_is_a_plain_runtime_error(driven: dict[str, object]) -> None:
    assert driven["failure"] == ["builtins", "RuntimeError", "Julia: no such file \N{SNOWMAN}"]


def test_the_environment_is_set_before_juliacall_is_imported(driven: dict[str, object]) -> None:
    assert driven["environment"] == {
        "PYTHON_JULIACALL_EXE": "/opt/julia",
        "PYTHON_JULIACALL_PROJECT": "/opt/project",
        "PYTHON_JULIACALL_THREADS": "1,2",
        "PYTHON_JULIACALL_HANDLE_SIGNALS": "yes",
        "PYTHON_JULIACALL_STARTUP_FILE": "no",
        "PYTHON_JULIACALL_AUTOLOAD_IPYTHON_EXTENSION": "no",
    }


def test_threads_and_cuda_are_asked_for(tmp_path: Path) -> None:
    driven = drive(tmp_path, device="cuda", threads=4)
    assert driven["environment"]["PYTHON_JULIACALL_THREADS"] == "4"  # type: ignore[index]
    asked = [str(call[1]) for call in calls(driven) if call[0] == "seval"]
    assert [asked[0], *asked[2:]] == ["using CUDA, cuDNN", "using FluxTrainer", "FluxTrainer.entry_points()"]
    assert "CUDA.functional(true)" in asked[1]
