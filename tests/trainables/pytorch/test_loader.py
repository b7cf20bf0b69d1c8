"""What loader workers say when they fail is what the user reads, and it comes at once."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from trainables.contract import Samples
from trainables.pytorch import loader as loading
from trainables.pytorch.loader import Batch, Loader

COUNT = 64


@pytest.fixture
def loader() -> Iterator[Loader]:
    samples = Samples(np.zeros((COUNT, 1, 28, 28), np.float32), np.arange(COUNT))
    made = Loader(samples, batch_size=16, num_workers=1, pin_memory=False)
    yield made
    made.close()


def epoch(loader: Loader) -> list[int]:
    with loader.telling():
        return [label for _, labels in loader.epoch(np.arange(COUNT)) for label in labels.tolist()]


@pytest.fixture
def long_tmpdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    loading.folder_for_sockets.cache_clear()
    return folder


@pytest.mark.usefixtures("long_tmpdir")
def test_a_tmpdir_too_long_for_sockets_is_none_of_the_workers(loader: Loader) -> None:
    assert epoch(loader) == list(range(COUNT))


def test_a_batch_that_cannot_be_handed_over_is_told_at_once(long_tmpdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "folder_for_sockets", lambda _name: None)
    samples = Samples(np.zeros((COUNT, 1, 28, 28), np.float32), np.arange(COUNT))
    loader = Loader(samples, batch_size=16, num_workers=1, pin_memory=False)
    with pytest.raises(RuntimeError, match=r"exited unexpectedly.*: OSError: AF_UNIX path too long"):
        epoch(loader)
    loader.close()


def test_what_a_dying_worker_wrote_is_in_the_error(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(_self: object, _indices: list[int]) -> Batch:
        os.write(2, b"ERROR: Unexpected bus error encountered in worker.\n")
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    monkeypatch.setattr(loading._ArrayDataset, "__getitems__", die)
    with pytest.raises(RuntimeError, match=r"DataLoader worker .*: ERROR: Unexpected bus error"):
        epoch(loader)


def test_an_exception_in_a_worker_is_a_line(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: object, _indices: list[int]) -> Batch:
        raise IndexError("index 70000 is out of bounds")

    monkeypatch.setattr(loading._ArrayDataset, "__getitems__", fail)
    with pytest.raises(RuntimeError) as raised:
        epoch(loader)
    said = "Caught IndexError in DataLoader worker process 0. IndexError: index 70000 is out of bounds"
    assert str(raised.value) == said


def test_workers_that_cannot_start_name_the_place_that_they_need(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: object) -> Iterator[Batch]:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(DataLoader, "__iter__", refuse)
    with pytest.raises(RuntimeError, match=r"cannot be started \(Read-only file system; .* live in /dev/shm\)"):
        epoch(loader)


def test_an_error_of_the_training_itself_stays_what_it_is(loader: Loader) -> None:
    epoch(loader)
    error = RuntimeError("CUDA out of memory")
    with pytest.raises(RuntimeError) as raised, loader.telling():
        raise error
    assert raised.value is error


def test_closing_leaves_no_file_open(loader: Loader) -> None:
    epoch(loader)
    assert loader._words is not None
    kept = loader._words.file
    loader.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(kept)


SMALL = "mount -t tmpfs -o size=1m tmpfs /dev/shm"


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(["unshare", "-m", "sh", "-c", SMALL], capture_output=True, check=False).returncode != 0,
    reason="cannot mount a small /dev/shm here",
)
def test_shared_memory_that_is_too_small_is_told_at_once() -> None:
    code = (
        "import numpy as np; from tests.trainables.pytorch.test_loader import *; n = 4096;"
        "loader = Loader(Samples(np.zeros((n, 1, 28, 28), np.float32), np.arange(n)), batch_size=n,"
        " num_workers=1, pin_memory=False)\n"
        "with loader.telling(): next(loader.epoch(np.arange(n)))"
    )
    command = ["unshare", "-m", "sh", "-c", f'{SMALL} && exec "$0" -c "$1"', sys.executable, code]
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3], timeout=50
    )
    assert "RuntimeError: DataLoader worker (pid" in answer.stderr
    told = ("No space left on device (28)", "Resource temporarily unavailable (11)")  # the latter by torch 2.11
    assert answer.stderr.strip().endswith(told)
