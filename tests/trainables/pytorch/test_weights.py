"""Initial parameters in a file, drawn by another process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.trainables.pytorch.files import DROPOUT, write
from trainables.pytorch.building import draw
from trainables.workloads.weights import WeightsServer, read_weights, write_weights


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeightsServer]:
    text = DROPOUT + "\n\n    print('hello')  # which must not be taken for an answer\n"
    with WeightsServer(write(tmp_path_factory.mktemp("model"), text)) as started:
        yield started


def test_a_file_holds_what_the_constructor_draws(server: WeightsServer, tmp_path: Path) -> None:
    for seed, hidden in ((0, 16), (5, 3)):
        server.draw(tmp_path / "weights.npz", options={"hidden": hidden}, seed=seed)
        found, expected = read_weights(tmp_path / "weights.npz"), draw(server._model, {"hidden": hidden}, seed)
        assert list(found) == list(expected)
        for name, array in found.items():
            assert array.dtype == np.float32
            assert np.array_equal(array, expected[name])
    assert [path.name for path in tmp_path.iterdir()] == ["weights.npz"]


def test_a_mistake_is_told_by_file_and_line_and_the_process_goes_on(server: WeightsServer, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"model.py, line 4: build takes no option 'width'; valid: hidden, dropout$"):
        server.draw(tmp_path / "weights.npz", options={"width": 3}, seed=0)
    assert not list(tmp_path.iterdir())
    images = np.zeros((2, 1, 28, 28), np.float32)
    assert server.problem(options={}, features=images, outputs=10) is None
    found = server.problem(options={}, features=images, outputs=7)
    assert found is not None
    assert found.endswith("line 4: of 2 samples the model makes (2, 10), and the data ask for (2, 7)")


def test_a_folder_that_is_gone_is_told(server: WeightsServer, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="No such file or directory"):
        server.draw(tmp_path / "gone" / "weights.npz", options={}, seed=0)


def test_a_process_that_dies_is_told_and_the_next_question_starts_another(
    server: WeightsServer, tmp_path: Path
) -> None:
    server.draw(tmp_path / "weights.npz", options={}, seed=0)
    assert server._process is not None
    os.kill(server._process.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"model.py: drawing initial parameters was ended by SIGKILL$"):
        server.draw(tmp_path / "weights.npz", options={}, seed=0)
    server.draw(tmp_path / "weights.npz", options={}, seed=0)


def test_the_process_ends_with_the_one_that_asks(server: WeightsServer, tmp_path: Path) -> None:
    server.draw(tmp_path / "weights.npz", options={}, seed=0)
    assert server._process is not None
    process = psutil.Process(server._process.pid)
    assert server._pipe is not None
    server._pipe.close()  # as the system does when the asking process is killed
    process.wait(30)
    server.close()


def test_writing_is_all_or_nothing(tmp_path: Path) -> None:
    write_weights(tmp_path / "weights.npz", {"a": np.ones(3, np.float32), "b": np.float32(2) * np.ones(())})
    found = read_weights(tmp_path / "weights.npz")
    assert {name: array.shape for name, array in found.items()} == {"a": (3,), "b": ()}
