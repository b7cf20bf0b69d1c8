from __future__ import annotations

import gzip
import multiprocessing
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainables.common.errors import DatasetError, UserError
from trainables.workloads import datasets, idx
from trainables.workloads.datasets import DATASETS, Dataset, load, prepare

FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


def as_idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Dataset:
    """A data set in MNIST's form, 60 and 10 images, that nothing but a folder can provide."""
    random = np.random.RandomState(0)
    arrays = {
        "train_images": random.randint(0, 256, (60, 28, 28)).astype(np.uint8),
        "train_labels": random.randint(0, 10, 60).astype(np.uint8),
        "test_images": random.randint(0, 256, (10, 28, 28)).astype(np.uint8),
        "test_labels": random.randint(0, 10, 10).astype(np.uint8),
    }
    raw = tmp_path / "raw"
    raw.mkdir()
    for name, array in arrays.items():
        (raw / FILES[name]).write_bytes(as_idx(array))
    made = replace(DATASETS["mnist"], name="small", md5={name: idx.md5(array) for name, array in arrays.items()})
    monkeypatch.setitem(datasets.DATASETS, "small", made)
    monkeypatch.setenv("TUNEOFF_CACHE", str(tmp_path / "cache"))
    return made


def test_digits_splits() -> None:
    data = load("digits")
    assert {split: len(part) for split, part in data.items()} == {"train": 1079, "validation": 359, "test": 359}
    assert len(data["train"]) == DATASETS["digits"].training_samples
    for part in data.values():
        assert part.images.shape == (len(part), 1, 28, 28)
        assert part.images.dtype == np.float32
        assert part.images.flags.c_contiguous
        assert part.images.min() == 0.0
        assert part.images.max() == 1.0
        assert set(part.labels) == set(range(10))


def test_digits_are_scikit_learns_enlarged() -> None:
    from sklearn.datasets import load_digits

    original = load_digits().images[3]  # index 3 is the first of the validation split
    image = load("digits")["validation"].images[0, 0]
    assert np.array_equal(image[2:26:3, 2:26:3] * 16, original)
    assert image[:2].sum() == image[:, 26:].sum() == 0


def test_mnist_splits_are_disjoint_and_by_index(small: Dataset, tmp_path: Path) -> None:
    prepare("small", data_dir=tmp_path / "raw")
    data = load("small")
    assert {split: len(part) for split, part in data.items()} == {"train": 50, "validation": 10, "test": 10}
    everything = idx.read(tmp_path / "raw" / FILES["train_images"])
    assert np.array_equal(np.rint(data["validation"].images[:, 0] * 255), everything[5::6])
    kept = np.delete(everything, np.arange(5, 60, 6), axis=0)
    assert np.array_equal(np.rint(data["train"].images[:, 0] * 255), kept)


@pytest.mark.parametrize("layout", ["", "raw", "MNIST/raw"])
def test_gzipped_files_in_every_layout(small: Dataset, tmp_path: Path, layout: str) -> None:
    folder = tmp_path / "elsewhere"
    (folder / layout).mkdir(parents=True)
    for file in FILES.values():
        packed = gzip.compress((tmp_path / "raw" / file).read_bytes())
        (folder / layout / f"{file}.gz").write_bytes(packed)
    assert prepare("small", data_dir=folder).is_file()


def test_a_missing_file_is_named(small: Dataset, tmp_path: Path) -> None:
    (tmp_path / "raw" / FILES["test_labels"]).unlink()
    with pytest.raises(DatasetError, match=r"has no t10k-labels-idx1-ubyte"):
        prepare("small", data_dir=tmp_path / "raw")


def test_another_data_set_is_refused(small: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "raw" / FILES["train_images"]
    array = idx.read(path).copy()
    array[0, 0, 0] ^= 1  # one bit
    path.write_bytes(as_idx(array))
    with pytest.raises(DatasetError, match="train_images has MD5"):
        prepare("small", data_dir=tmp_path / "raw")


@pytest.mark.parametrize("cut", [0, 3, 10, 40, -1])
def test_a_torn_file_is_named(small: Dataset, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "raw" / FILES["train_labels"]
    path.write_bytes(gzip.compress(path.read_bytes())[:cut])
    with pytest.raises(DatasetError, match="train-labels-idx1-ubyte is damaged"):
        prepare("small", data_dir=tmp_path / "raw")


def test_a_damaged_cache_is_named(small: Dataset, tmp_path: Path) -> None:
    cached = prepare("small", data_dir=tmp_path / "raw")
    whole = cached.read_bytes()
    for damaged in (whole[:1000], whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:]):
        cached.write_bytes(damaged)
        with pytest.raises(DatasetError, match="delete it"):
            load("small")


def test_nowhere_to_be_found(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(datasets.DATASETS, "small", replace(small, torchvision="NoSuchClass"))
    with pytest.raises(DatasetError, match="pass --data-dir FOLDER"):
        prepare("small")


def test_debians_folder_is_used(small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(datasets.DATASETS, "small", replace(small, debian_folder=tmp_path / "raw", torchvision=None))
    assert prepare("small").is_file()


def test_an_unwritable_cache(small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEOFF_CACHE", "/proc/nowhere")
    with pytest.raises(DatasetError, match="TUNEOFF_CACHE"):
        prepare("small", data_dir=tmp_path / "raw")


def test_unknown_data_set() -> None:
    with pytest.raises(UserError, match="did you mean 'mnist'"):
        load("mnst")


def _prepare_digits(folder: str, barrier: object) -> None:
    import os

    os.environ["TUNEOFF_CACHE"] = folder
    barrier.wait()  # type: ignore[attr-defined]
    prepare("digits")


def test_processes_may_prepare_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    processes = [context.Process(target=_prepare_digits, args=(str(tmp_path), barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["digits.npz"]
