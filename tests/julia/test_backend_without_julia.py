"""The Flux backend against a stub juliacall, in a process of its own: names, shapes, dtypes and memory order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

STUB = '''
"""Records what it is asked."""
import json, os
import numpy as np

class JuliaError(Exception):
    pass

calls = []

def described(value):
    if isinstance(value, np.ndarray):
        return [list(value.shape), str(value.dtype), "F" if value.flags.f_contiguous else "C"]
    if isinstance(value, dict):
        return {key: described(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [described(each) for each in value]
    return value if isinstance(value, (int, float, str)) else type(value).__name__

class Result:
    loss, samples, data_s, accuracy = 0.5, 64, 0.25, 0.75

class Function:
    def __init__(self, name):
        self.name = name
    def __call__(self, *arguments, **keywords):
        calls.append([self.name, described(arguments), described(keywords)])
        if self.name == "load_b":
            raise JuliaError("no such file\\nStacktrace:\\n [1] pages of it")
        if self.name == "parameters":
            return [("fc3.weight", np.asfortranarray(np.arange(6, dtype=np.float32).reshape(3, 2)))]
        return 1 if self.name == "loader_workers" else Result()
    def _jl_call_nogil(self, *arguments):
        calls.append(["without the GIL", self.name])
        return self(*arguments)

class Module:
    def __getattr__(self, name):
        return Function(name)

class Main:
    FluxTrainer = Module()
    @staticmethod
    def seval(code):
        calls.append(["seval", code])

environment = {key: value for key, value in os.environ.items() if key.startswith("PYTHON_JULIACALL_")}
'''

SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
from trainables.contract import LabelledImages
from trainables.flux.backend import start
split = LabelledImages(np.zeros((5, 1, 28, 28), np.float32), np.arange(5))
assert "juliacall" not in sys.modules
run = start(model="lenet", data={"train": split}, parameters={"fc3.weight": np.zeros((2, 3), np.float32)},
            learning_rate=0.1, batch_size=4, num_workers=1, optimizer="sgd", momentum=0.9, weight_decay=0.0,
            precision="float32", memory_format="contiguous", data_on_device=False,
            device=sys.argv[1], threads=int(sys.argv[2]))
import juliacall
run.warm_up()
run.begin_epoch(np.arange(5))
progress, score = run.train(2), run.evaluate("train")
array = run.parameters()["fc3.weight"]
run.load_parameters({"fc3.weight": array})
run.save(Path("model"))
try:
    run.load(Path("model"))
except Exception as error:
    failure = [type(error).__module__, type(error).__name__, str(error)]
workers = run.loader_workers()
run.close()
print(json.dumps(dict(calls=juliacall.calls, environment=juliacall.environment, failure=failure, workers=workers,
                      progress=progress, score=score, array=array.tolist(), order=bool(array.flags.c_contiguous))))
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


def test_start_hands_over_every_keyword_with_arrays_as_julia_sees_them(driven: dict[str, object]) -> None:
    name, arguments, keywords = calls(driven)[1]
    assert (name, arguments) == ("start", [])
    assert keywords == {
        "model": "lenet",
        "data": {"train": [[[28, 28, 1, 5], "float32", "F"], [[5], "int64", "F"]]},
        "parameters": {"fc3.weight": [[3, 2], "float32", "F"]},
        "learning_rate": 0.1,
        "batch_size": 4,
        "num_workers": 1,
        "optimizer": "sgd",
        "momentum": 0.9,
        "weight_decay": 0.0,
        "precision": "float32",
        "memory_format": "contiguous",
        "data_on_device": False,
        "device": "cpu",
        "threads": 1,
    }


def test_methods_call_their_julia_namesakes_and_long_ones_release_the_gil(driven: dict[str, object]) -> None:
    names = [call[0] for call in calls(driven) if call[0] not in ("seval", "without the GIL")]
    assert names == [
        "start", "warm_up_b", "begin_epoch_b", "train_b", "evaluate", "parameters", "load_parameters_b", "save",
        "load_b", "loader_workers", "close_b",
    ]  # fmt: skip
    released = [call[1] for call in calls(driven) if call[0] == "without the GIL"]
    assert released == ["warm_up_b", "train_b", "evaluate"]


def test_results_come_back_in_python_types_and_c_order(driven: dict[str, object]) -> None:
    assert driven["progress"] == [0.5, 64, 0.25]
    assert driven["score"] == [0.75, 0.5]
    assert driven["workers"] == 1
    assert driven["array"] == [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]
    assert driven["order"] is True


def test_a_julia_error_becomes_a_plain_runtime_error_without_its_stack(driven: dict[str, object]) -> None:
    assert driven["failure"] == ["builtins", "RuntimeError", "Julia: no such file"]


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
    assert [asked[0], asked[2]] == ["using CUDA, cuDNN", "using FluxTrainer"]
    assert "CUDA.functional(true)" in asked[1]
