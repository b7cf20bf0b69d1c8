"""What trainings read: the bytes of ever, from the cache or from a study, mended where damaged."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainables.common.errors import DatasetError
from trainables.spec import TrainingSpec
from trainables.training import Training, run_to_end
from trainables.workloads import datasets, store
from trainables.workloads.datasets import DATASETS, arrays_folder, prepare
from trainables.workloads.prepared import is_stored_in, load, store_in

# SHA-256 of the bytes of images and labels: of the version before arrays were stored. A difference would make trainings
# of before and after incomparable.
DIGITS = {
    "train": "b1845b8e42002cf26868371932b4eef638bf85f448d9d31cdeb2ee3d07d63833",
    "validation": "20d8fcf8d978614c6165ad0ec175bf2301341c73598f64f382f41e1ed52caaad",
    "test": "54b99b877b6e12e351e4c80da1c4cd8c894077c20e7ec62241cb0888e490b94a",
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache and a temporary folder of its own."""
    monkeypatch.setenv("TUNEOFF_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return tmp_path / "cache"


@pytest.fixture
def said() -> list[str]:
    return []


def digest(part: datasets.Dataset | object) -> str:
    return hashlib.sha256(part.images.tobytes() + part.labels.tobytes()).hexdigest()  # type: ignore[attr-defined]


def damage(path: Path) -> None:
    path.chmod(0o644)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def same(stored: Path | None) -> bool:
    return {split: digest(part) for split, part in load("digits", stored).items()} == DIGITS


@pytest.mark.parametrize("place", ["cache", "study"])
def test_trainings_get_the_bytes_of_ever(tmp_path: Path, said: list[str], place: str) -> None:
    stored = None if place == "cache" else store_in(tmp_path / "data", "digits", say=said.append)
    for part in load("digits", stored).values():
        assert part.images.dtype == np.float32
        assert part.labels.dtype == np.int64
        assert part.images.flags.c_contiguous
        assert not part.images.flags.writeable
    assert same(stored)
    assert said == []


def test_the_hashes_in_the_catalogue_are_those_of_the_arrays() -> None:
    assert load("digits")  # digits are here; the other two are held by `_make`, wherever their files are
    assert [path.name for path in arrays_folder(DATASETS["digits"]).parent.glob("[!.]*")] == [DATASETS["digits"].arrays]
    assert len({each.arrays for each in DATASETS.values()}) == len(DATASETS)


def test_arrays_that_are_not_those_of_the_catalogue_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "digits", replace(DATASETS["digits"], arrays="0" * 32))
    with pytest.raises(DatasetError, match="became other arrays here than it must"):
        load("digits")


def test_the_published_file_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    read = datasets._read_cached
    monkeypatch.setattr(
        datasets, "_read_cached", lambda wanted, path: (reads.append(wanted.name), read(wanted, path))[1]
    )
    for _ in range(3):
        prepare("digits")
        load("digits")
    assert reads == ["digits"]


def test_a_study_is_told_what_was_damaged_or_missing_and_has_it_again(tmp_path: Path, said: list[str]) -> None:
    parent = tmp_path / "data"
    stored = store_in(parent, "digits", say=said.append)
    assert store_in(parent, "digits", say=said.append) == stored
    assert said == []
    for harm in (damage, Path.unlink):
        harm(stored / "train.images.npy")
        with pytest.raises(DatasetError, match=r"train\.images\.npy .*; `tuneoff resume` makes it again"):
            load("digits", stored)
        store_in(parent, "digits", say=said.append)
        assert "train.images.npy" in said[0]
        assert said[-1].endswith("; the data set is made again")
        assert same(stored)
        said.clear()
    shutil.rmtree(stored)
    assert not is_stored_in(parent, "digits")
    store_in(parent, "digits", say=said.append)
    assert len(said) == 1
    assert is_stored_in(parent, "digits")
    assert [path.name for path in parent.iterdir()] == [stored.name]


def test_damage_that_the_cache_shares_is_mended_in_both(tmp_path: Path, said: list[str]) -> None:
    """Hard links: what damages one damages both."""
    stored = store_in(tmp_path / "data", "digits", say=said.append)
    ours = arrays_folder(DATASETS["digits"])
    assert (ours / "test.images.npy").samefile(stored / "test.images.npy")
    damage(stored / "test.images.npy")
    store_in(tmp_path / "data", "digits", say=said.append)
    assert store.problem(ours) is None
    assert same(stored)
    assert same(None)


def test_a_damaged_cache_is_made_again_by_who_reads_it() -> None:
    assert same(None)
    damage(arrays_folder(DATASETS["digits"]) / "train.images.npy")
    assert same(None)
    assert store.problem(arrays_folder(DATASETS["digits"])) is None


def test_a_study_needs_no_cache_once_it_has_the_arrays(tmp_path: Path, cache: Path, said: list[str]) -> None:
    stored = store_in(tmp_path / "data", "digits", say=said.append)
    shutil.rmtree(cache)
    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "data", moved)
    shutil.rmtree(tmp_path / "data")
    assert is_stored_in(moved, "digits")
    assert same(store_in(moved, "digits", say=said.append))
    assert not cache.exists()
    assert not stored.exists()
    assert said == []


@pytest.fixture
def closed_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache to which nothing can be added: full, or read-only. (A test may run as root, whom no mode stops.)"""
    prepare("digits")
    write = store.write

    def refused(parent: Path, arrays: store.Arrays) -> Path:
        if cache in parent.parents:
            raise OSError(errno.EROFS, "Read-only file system")
        return write(parent, arrays)

    monkeypatch.setattr(store, "write", refused)
    return cache


def test_a_cache_that_cannot_be_written_still_serves(closed_cache: Path, tmp_path: Path, said: list[str]) -> None:
    assert same(None)
    assert same(store_in(tmp_path / "data", "digits", say=said.append))
    assert not arrays_folder(DATASETS["digits"]).exists()


def test_a_study_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "_publish", full)
    with pytest.raises(OSError, match="No space left"):
        store_in(tmp_path / "data", "digits", say=print)


def _read(folder: str, temporary: str, barrier: object, checks: object) -> None:
    import tempfile

    os.environ["TUNEOFF_CACHE"], tempfile.tempdir = folder, temporary
    whole = store._check_whole

    def counted(*arguments: object) -> None:
        with checks.get_lock():  # type: ignore[attr-defined]
            checks.value += 1  # type: ignore[attr-defined]
        whole(*arguments)  # type: ignore[arg-type]

    store._check_whole = counted  # type: ignore[assignment]
    barrier.wait()  # type: ignore[attr-defined]
    load("digits")


def test_trials_at_once_make_and_check_it_once(tmp_path: Path, cache: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, checks = context.Barrier(4), context.Value("i", 0)
    arguments = (str(cache), str(tmp_path / "tmp"), barrier, checks)
    processes = [context.Process(target=_read, args=arguments) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert checks.value == 1
    assert [path.name for path in (cache / "arrays").glob("[!.]*")] == [DATASETS["digits"].arrays]
    assert list((cache / "arrays").glob(".*.tmp")) == []


def test_a_training_reads_the_folder_that_it_is_given(spec: TrainingSpec, tmp_path: Path, cache: Path) -> None:
    stored = store_in(tmp_path / "data", "digits", say=print)
    shutil.rmtree(cache)
    assert run_to_end(Training(spec, data=stored))["outcome"] == "reached"
    assert not cache.exists()
    shutil.rmtree(stored)
    with pytest.raises(DatasetError, match="makes it again"):
        run_to_end(Training(spec, data=stored))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_pytorch_reads_the_map_itself_and_does_not_warn(num_workers: int) -> None:
    from trainables.pytorch.loader import Loader

    train = load("digits")["train"]
    order = np.arange(len(train))[::-1].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loader = Loader(train, batch_size=100, num_workers=num_workers, pin_memory=False)
        batches = list(loader.epoch(order))
        loader.close()
    assert np.array_equal(np.concatenate([images for images, _ in batches]), train.images[::-1])
    assert np.array_equal(np.concatenate([labels for _, labels in batches]), train.labels[::-1])
