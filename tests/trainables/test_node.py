"""What a node is asked, here: in processes of their own, as on a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from trainables.common.helpers import Answer
from trainables.common.house import HOUSE, code_digest
from trainables.frameworks import FRAMEWORKS, Framework
from trainables.node import NodeFacts, Request, clock, look
from trainables.rehearsal import Piece, rehearse
from trainables.spec import TrainingSpec
from trainables.workloads.prepared import facts
from trainables.workloads.workload import find


def piece(spec: TrainingSpec, workload: str = "") -> Piece:
    found = find(workload or spec.workload)
    return Piece(spec, workload or spec.workload, facts(found))


def asked(spec: TrainingSpec, marker: Path | None = None, code: str | None = None) -> NodeFacts:
    return NodeFacts("here", **look(Request(code or code_digest(), str(marker) if marker else None, (piece(spec),))))


def test_a_machine_that_can_take_part(spec: TrainingSpec, tmp_path: Path) -> None:
    marker = tmp_path / ".probe-1"
    marker.write_text("driver")
    found = asked(spec, marker)
    assert found.lacks == ()
    assert len(list(tmp_path.iterdir())) == 2  # it has written there
    assert found.python == sys.version.split()[0]
    assert found.niceness == os.nice(0)
    assert 0 < found.free_memory_bytes <= found.memory_bytes
    assert found.as_record()["lacks"] == []
    assert abs(clock() - clock()) < 60


def test_everything_that_is_lacking_is_named(spec: TrainingSpec, tmp_path: Path) -> None:
    found = asked(spec, tmp_path / "away" / ".probe-1", code="another")
    assert [line.partition(";")[0] for line in found.lacks] == [
        "its code of this project is not the driver's",
        f"it does not see {tmp_path / 'away'}",
    ]


def test_a_step_of_pytorch(pytorch_spec: TrainingSpec) -> None:
    found = rehearse(piece(pytorch_spec))
    assert found.problem is None
    assert ", CUDA " in found.versions["torch"]


def test_a_library_that_is_broken_is_named(
    pytorch_spec: TrainingSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libgomp.so.1: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert rehearse(piece(pytorch_spec)).problem == (
        "a training step of PyTorch failed with exit code 1 (ImportError: libgomp.so.1: cannot open shared object file)"
    )


def test_a_loss_that_is_no_number_is_named(spec: TrainingSpec) -> None:
    diverging = replace(spec, hyperparameters=replace(spec.hyperparameters, learning_rate=2.0))
    assert rehearse(piece(diverging)).problem == "a training step of Simulated gives nan"


def test_gpus_that_are_not_there_are_named(pytorch_spec: TrainingSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    problem = rehearse(piece(replace(pytorch_spec, device="cuda"))).problem
    assert problem is not None
    assert problem.startswith("PyTorch sees no GPU (")


@pytest.mark.parametrize("loss", ["cross_entropy", "mean_squared_error"])
def test_a_step_is_taken_with_the_workloads_own_shapes(pytorch_spec: TrainingSpec, tmp_path: Path, loss: str) -> None:
    """Three numbers in, two classes or outputs out, and an option of the model."""
    task = tmp_path / "task"
    task.mkdir()
    (task / "workload.toml").write_text(
        f'loss = "{loss}"\ntarget = 0.9\nevaluate_every_samples = 9\nlimit_s = 9.0\nepochs = 9\n'
    )
    targets = "np.arange(9) % 2" if loss == "cross_entropy" else "np.zeros((9, 2), np.float32)"
    (task / "data.py").write_text(
        f"import numpy as np\n\n\ndef load():\n    return {{'train': (np.zeros((9, 3), np.float32), {targets})}}\n"
    )
    (task / "model.py").write_text(
        "from torch import nn\n\n\ndef build(width):\n    return nn.Sequential("
        "nn.Linear(3, width), nn.Linear(width, 2))\n"
    )
    knobs = replace(pytorch_spec.hyperparameters, batch_size=4, options={"width": 5})
    spec = replace(pytorch_spec, workload="task", hyperparameters=knobs)
    assert rehearse(piece(spec, str(task))).problem is None
    (task / "workload.toml").unlink()
    gone = rehearse(Piece(spec, str(task), facts(find("digits-lenet")))).problem
    assert gone is not None
    assert gone.startswith("it does not see the workload (")


def test_a_studys_own_copy_of_a_shipped_workload_is_seen(spec: TrainingSpec, tmp_path: Path) -> None:
    shipped = find("digits-lenet")
    copy = shipped.copy_to(tmp_path / "workload" / "digits-lenet")
    assert rehearse(Piece(spec, str(copy.folder), facts(shipped))).problem is None


BARE = """
import sys
import ray.tune  # itself needs pandas
for name in [each for each in sys.modules if each.partition(".")[0] in ("optuna", "pandas")]:
    del sys.modules[name]
sys.modules |= {"optuna": None, "pandas": None, "study": None, "reports": None, "search_spaces": None}
import trainables.node, trainables.tune_trainable
from ray import cloudpickle
"""


def test_a_worker_needs_nothing_that_the_driver_needs() -> None:
    """What Tune sends there is unpickled where neither Optuna nor pandas nor the driver's code is."""
    sent = (
        "import sys; from functools import partial; from ray import cloudpickle; from ray.tune import with_resources\n"
        "from study.driver.tuning import _slices; from study.plan.files import load_plan\n"
        "from trainables.tune_trainable import TrainingTrainable, placement\n"
        "plan = load_plan('quickstart', frameworks=['simulated'])\n"
        "sent = with_resources(TrainingTrainable, partial(placement, _slices(plan)))\n"
        "sys.stdout.buffer.write(cloudpickle.dumps(sent))"
    )
    pickled = subprocess.run([sys.executable, "-c", sent], capture_output=True, check=True, cwd=HOUSE).stdout
    received = f"{BARE}\nprint(cloudpickle.loads(sys.stdin.buffer.read()).__name__)"
    answer = subprocess.run(
        [sys.executable, "-c", received], input=pickled, capture_output=True, check=False, cwd=HOUSE
    )
    assert answer.returncode == 0, answer.stderr.decode()
    assert b"TrainingTrainable" in answer.stdout


@pytest.mark.parametrize("name", ["pytorch", "pytorch-compile", "flux"])
def test_a_framework_that_compiles_has_longer_for_its_first_step(
    name: str, pytorch_spec: TrainingSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(pytorch_spec, framework=name)
    monkeypatch.setattr(Framework, "missing", lambda _: None)
    limits = []

    def slow(_: object, *, timeout_s: float) -> Answer:
        limits.append(timeout_s)
        return Answer("", "", f"gave no answer in {timeout_s:g} s")

    monkeypatch.setattr("trainables.rehearsal.ask", slow)
    found = rehearse(piece(asked))
    assert limits == [FRAMEWORKS[name].first_step_s]
    assert found.problem == f"a training step of {FRAMEWORKS[name].title} gave no answer in {limits[0]:g} s"
    assert FRAMEWORKS["pytorch-compile"].first_step_s >= 10 * 30  # a tenth of a CPU is enough
