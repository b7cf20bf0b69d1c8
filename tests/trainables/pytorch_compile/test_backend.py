"""PyTorch compiled: when it compiles, from what, and that it computes the same."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from tests.trainables.pytorch.files import DROPOUT, write
from tests.trainables.setups import setup
from trainables.contract import Samples, Split
from trainables.pytorch.backend import start as start_eager
from trainables.pytorch_compile import runtime
from trainables.pytorch_compile.backend import start
from trainables.verify.compare import compare
from trainables.workloads.workload import find

pytestmark = pytest.mark.skipif(runtime.missing() is not None, reason=str(runtime.missing()))
SAMPLES, BATCH = 24, 16  # so that the last batch is another shape
TASK = """
    target = 0.5
    evaluate_every_samples = 24
    limit_s = 60.0
    epochs = 3
"""


def rates(count: int) -> np.ndarray:
    return np.linspace(0.05, 0.01, count)


def graphs() -> int:
    """How many were compiled in this process."""
    from torch._dynamo.utils import counters

    return counters["stats"]["unique_graphs"]


def images(samples: int = SAMPLES) -> dict[Split, Samples]:
    stream = np.random.RandomState(0)
    features = stream.rand(samples, 1, 28, 28).astype(np.float32)
    return dict.fromkeys(get_args(Split), Samples(features, stream.randint(10, size=samples)))


def test_all_is_compiled_in_the_warm_up_and_a_process_keeps_it(tmp_path: Path) -> None:
    model, begun, found = write(tmp_path, DROPOUT), graphs(), []
    for seed in (5, 5, 6):
        run = start(setup("pytorch-compile", model=model, data=images(), outputs=10, batch_size=BATCH, seed=seed))
        run.warm_up()
        assert graphs() == begun + 3  # batches of 16 and 8 in training, of 24 in evaluation; the second run finds them
        run.reset(None)
        run.begin_epoch(np.arange(SAMPLES))
        found.append(run.train(rates(2)).loss)
        run.begin_epoch(np.arange(SAMPLES))
        run.train(rates(2))
        for split in get_args(Split):
            run.evaluate(split)
        assert graphs() == begun + 3
    assert found[0] == found[1] != found[2]


def test_dropout_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    model = write(tmp_path, DROPOUT)
    run = start(setup("pytorch-compile", model=model, data=images(), outputs=10, batch_size=BATCH))
    run.reset(None)
    found = []
    run.save(tmp_path / "saved")
    for again in (True, True, False):
        if again:
            run.load(tmp_path / "saved")
        run.begin_epoch(np.arange(BATCH))
        found.append(run.train(np.zeros(1)).loss)
    assert found[0] == found[1] != found[2]


def test_it_computes_what_pytorch_does(tmp_path: Path) -> None:
    model = write(tmp_path, DROPOUT)
    runs = []
    for name, begin in (("pytorch", start_eager), ("pytorch-compile", start)):
        chosen = setup(name, model=model, data=images(), outputs=10, batch_size=BATCH, options={"dropout": 0.0})
        runs.append(begin(chosen))
        runs[-1].reset(None)
        runs[-1].begin_epoch(np.arange(SAMPLES))
    assert runs[0].train(rates(2)).loss == pytest.approx(runs[1].train(rates(2)).loss, rel=1e-5)
    assert runs[0].evaluate("test").loss == pytest.approx(runs[1].evaluate("test").loss, rel=1e-5)


@pytest.mark.long
def test_verify_compares_it_with_pytorch(tmp_path: Path) -> None:
    write(tmp_path, DROPOUT)
    write(tmp_path, TASK, "workload.toml")
    data = images(200)["train"]
    targets = np.arange(200) % 10
    arrays = {
        f"{split}_{name}": each
        for split in get_args(Split)
        for name, each in (("features", data.features), ("targets", targets))
    }
    np.savez(tmp_path / "data.npz", **arrays)
    pair = ("pytorch", "pytorch-compile")
    assert compare(find(str(tmp_path)), "sgd", "float64", frameworks=pair, steps=2).failure is None
