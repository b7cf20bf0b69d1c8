from __future__ import annotations

import gzip
import multiprocessing
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainables.common.errors import DatasetError, UserError
from trainables.common.helpers import Answer
from trainables.workloads import datasets, download, idx
from trainables.workloads.datasets import DATASETS, Dataset, fetch, images_of

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
    md5 = {name: idx.md5(array) for name, array in arrays.items()}
    made = replace(DATASETS["mnist"], shapes={}, name="small", md5=md5)
    monkeypatch.setitem(datasets.DATASETS, "small", made)
    monkeypatch.setenv("TUNEOFF_CACHE", str(tmp_path / "cache"))
    return made


def test_digits_are_scikit_learns_enlarged() -> None:
    from sklearn.datasets import load_digits

    images, labels = images_of("digits")["train"]
    assert (images.shape, images.dtype) == ((1797, 1, 28, 28), np.float32)
    assert np.array_equal(labels, load_digits().target)
    assert np.array_equal(images[:, 0, 2:26:3, 2:26:3] * 16, load_digits().images)
    assert images[:, :, :2].sum() == images[:, :, :, 26:].sum() == 0
    assert (images.min(), images.max()) == (0.0, 1.0)


def test_mnist_is_what_was_published(small: Dataset, tmp_path: Path) -> None:
    parts = images_of("small", tmp_path / "raw")
    assert list(parts) == ["train", "test"]
    for split, (images, labels) in parts.items():
        assert images.dtype == np.uint8
        assert np.array_equal(images[:, 0], idx.read(tmp_path / "raw" / FILES[f"{split}_images"]))
        assert np.array_equal(labels, idx.read(tmp_path / "raw" / FILES[f"{split}_labels"]))
    assert all(np.array_equal(part, parts["test"][role]) for role, part in enumerate(images_of("small")["test"]))


@pytest.mark.parametrize("layout", ["", "raw", "MNIST/raw"])
def test_gzipped_files_in_every_layout(small: Dataset, tmp_path: Path, layout: str) -> None:
    folder = tmp_path / "elsewhere"
    (folder / layout).mkdir(parents=True)
    for file in FILES.values():
        packed = gzip.compress((tmp_path / "raw" / file).read_bytes())
        (folder / layout / f"{file}.gz").write_bytes(packed)
    assert fetch("small", data_dir=folder).is_file()


def test_a_missing_file_is_named(small: Dataset, tmp_path: Path) -> None:
    (tmp_path / "raw" / FILES["test_labels"]).unlink()
    with pytest.raises(DatasetError, match=r"has no t10k-labels-idx1-ubyte"):
        fetch("small", data_dir=tmp_path / "raw")


def test_another_data_set_is_refused(small: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "raw" / FILES["train_images"]
    array = idx.read(path).copy()
    array[0, 0, 0] ^= 1  # one bit
    path.write_bytes(as_idx(array))
    with pytest.raises(DatasetError, match="this is not the train images of MNIST: train_images has MD5") as refused:
        fetch("small", data_dir=tmp_path / "raw")
    assert "delete" not in str(refused.value)


@pytest.mark.parametrize("cut", [0, 3, 10, 40, -1])
def test_a_torn_file_is_named(small: Dataset, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "raw" / FILES["train_labels"]
    path.write_bytes(gzip.compress(path.read_bytes())[:cut])
    with pytest.raises(DatasetError, match="train-labels-idx1-ubyte is damaged"):
        fetch("small", data_dir=tmp_path / "raw")


def test_a_damaged_cache_is_named(small: Dataset, tmp_path: Path) -> None:
    cached = fetch("small", data_dir=tmp_path / "raw")
    whole = cached.read_bytes()
    for damaged in (whole[:1000], whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:]):
        cached.write_bytes(damaged)
        with pytest.raises(DatasetError, match="delete it"):
            images_of("small")


def test_nowhere_to_be_found(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(datasets.DATASETS, "small", replace(small, torchvision="NoSuchClass"))
    with pytest.raises(DatasetError, match=r"AttributeError: .*NoSuchClass.*; pass --data-dir FOLDER"):
        fetch("small")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", ["{0}", "{0}/{0}", "{1}", "{1}/{1}", "{1}/{0}"])
def test_kaggles_names_are_taken(small: Dataset, tmp_path: Path, name: str, zipped: bool) -> None:
    for file in FILES.values():
        path = tmp_path / "kaggle" / name.format(file, file.replace("-idx", ".idx"))
        path = path.with_name(f"{path.name}.gz") if zipped else path
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = (tmp_path / "raw" / file).read_bytes()
        path.write_bytes(gzip.compress(whole) if zipped else whole)
    assert fetch("small", data_dir=tmp_path / "kaggle").is_file()


def test_a_whole_file_beside_a_damaged_one_is_taken(small: Dataset, tmp_path: Path) -> None:
    for file in FILES.values():
        path = tmp_path / "raw" / file
        path.with_name(f"{file}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.write_bytes(path.read_bytes()[:-1])
    assert fetch("small", data_dir=tmp_path / "raw").is_file()


@pytest.mark.parametrize(
    ("given", "taken_for", "message"),
    [
        ("train_images", "train_images", "these are the train images of MNIST, not the train images of Fashion-MNIST"),
        ("test_labels", "train_labels", "these are the test labels of MNIST, not the train labels of Fashion-MNIST"),
    ],
)
def test_the_files_of_another_data_set_are_named(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, taken_for: str, message: str
) -> None:
    fashion = replace(DATASETS["fashion"], name="other", md5={**small.md5, taken_for: "of another"})
    monkeypatch.setitem(datasets.DATASETS, "other", fashion)
    raw = tmp_path / "raw"
    (raw / FILES[taken_for]).write_bytes((raw / FILES[given]).read_bytes())
    with pytest.raises(DatasetError, match=f"{FILES[taken_for]}: {message}; pass --data-dir FOLDER with") as refused:
        fetch("other", data_dir=raw)
    assert "delete" not in str(refused.value)


def test_train_files_given_as_test_files_are_named(small: Dataset, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    (raw / FILES["test_images"]).write_bytes((raw / FILES["train_images"]).read_bytes())
    with pytest.raises(DatasetError, match="these are the train images of MNIST, not the test images of MNIST"):
        fetch("small", data_dir=raw)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is damaged \(it is empty\)"),
        (b"\0\0", r"is damaged \(it has 2 bytes\)"),
        (b"<!DOCTYPE html><html>403 Forbidden</html>", "it is a web page, perhaps an error or a login"),
        (gzip.compress(b"\n<html><body>log in</body>"), "it is a web page"),
        (b"PK\x03\x04" + bytes(100), "it is a ZIP archive, which must be unpacked"),
        (b"version https://git-lfs.github.com/spec/v1", "it is the pointer that Git LFS leaves"),
        (b"label,pixel1,pixel2", "it is something that begins with b'label,pi'"),
        (b"label,pixel1,pixel2", "its magic number is 0x6c616265, where 0x00000801 is expected"),
        (
            struct.pack(">HBBI", 0, 0x0D, 1, 60) + bytes(240),
            "it is one of 4-byte floats; its magic number is 0x00000d01, where 0x00000801 is expected",
        ),
        (b"\x89PNG\r\n\x1a\n", "it is a PNG picture; its magic number is 0x89504e47, where 0x00000801 is expected"),
        (
            struct.pack(">HBBI", 0, 8, 1, 60) + bytes(59),
            "it has 67 bytes, its header announces 68: 60 and 8 of",
        ),
        (struct.pack(">HBBI", 0, 8, 1, 60) + bytes(61), "it has 69 bytes, its header announces 68"),
        (struct.pack(">HBBI", 0, 8, 3, 60), "it has 8 bytes, where its header alone, of 3 dimensions, takes 16"),
    ],
    ids=[
        "empty",
        "two bytes",
        "page",
        "gzipped page",
        "ZIP",
        "LFS",
        "CSV",
        "magic",
        "floats",
        "PNG",
        "short",
        "long",
        "header",
    ],
)
def test_what_is_wrong_with_a_file_is_told(small: Dataset, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "raw" / FILES["train_labels"]).write_bytes(content)
    with pytest.raises(DatasetError, match=message) as refused:
        fetch("small", data_dir=tmp_path / "raw")
    assert FILES["train_labels"] in str(refused.value)
    assert "delete" not in str(refused.value)


@pytest.mark.parametrize(("shape", "said"), [((60, 28), "60 x 28"), ((59999,), "59999"), ((3, 2, 1), "3 x 2 x 1")])
def test_the_dimensions_that_were_found_and_expected_are_told(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], said: str
) -> None:
    monkeypatch.setitem(datasets.DATASETS, "small", replace(small, shapes={"train_labels": (60000,)}))
    content = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + bytes(int(np.prod(shape)))
    (tmp_path / "raw" / FILES["train_labels"]).write_bytes(content)
    told = f"this is not the train labels of MNIST: its header says {said}, expected is 60000; pass --data-dir"
    with pytest.raises(DatasetError, match=told):
        fetch("small", data_dir=tmp_path / "raw")


@pytest.mark.parametrize("name", ["small", "digits"])
def test_a_data_dir_that_is_none_is_said_to_be_so(small: Dataset, tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="nowhere does not exist"):
        fetch(name, data_dir=tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="train-labels-idx1-ubyte is a file; give the folder"):
        fetch(name, data_dir=tmp_path / "raw" / FILES["train_labels"])


@pytest.mark.parametrize(("method", "what"), [("iterdir", "raw"), ("read_bytes", "train-images-idx3-ubyte")])
def test_what_cannot_be_read_is_told(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, what: str
) -> None:
    def closed(*_: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, method, closed)
    with pytest.raises(DatasetError, match=rf"{what} cannot be read \(Permission denied\)"):
        fetch("small", data_dir=tmp_path / "raw")


def test_digits_take_nothing_from_a_data_dir(small: Dataset, tmp_path: Path) -> None:
    assert fetch("digits", data_dir=tmp_path / "raw").is_file()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("HTTP Error 403: Forbidden by policy", r"403: Forbidden by policy \(from http://a/ and http://b/\), so ask"),
        ("HTTP Error 407: Proxy Authentication Required", ", so ask for this network's proxy and set HTTPS_PROXY"),
        ("<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed>", ", so set SSL_CERT_FILE"),
        ("<urlopen error [Errno -2] Name or service not known>", "Name or service not known.*connect to the internet"),
        ("File not found or corrupted.", ", so look whether this network wants a login first"),
    ],
)  # fmt: skip
def test_what_torchvision_said_is_told(small: Dataset, monkeypatch: pytest.MonkeyPatch, answer: str, said: str) -> None:
    error = RuntimeError(f"Error downloading x.gz:\nTried http://a/, got:\n{answer}\nTried http://b/, got:\n{answer}\n")
    noise = "  0%|          | 0.00/9.91M [00:00<?, ?B/s]\nUserWarning: x"
    told = Answer("", f"{noise}\nerror: {download.reason(error)}\n", "failed with exit code 1")
    monkeypatch.setattr(datasets, "ask", lambda *_, **__: told)
    with pytest.raises(DatasetError, match=f"could not download it: .*{said}"):
        fetch("small")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            Answer("", f"error: {download.reason(OSError(28, 'No space left on device'))}", "failed with exit code 1"),
            "No space left on device, so make room, or set TMPDIR to a folder that has some; pass --data-dir",
        ),
        (Answer("", "99%", "gave no answer in 600 s"), "the process gave no answer in 600 s; pass --data-dir"),
        (Answer("", "", "was ended by SIGKILL"), "the process was ended by SIGKILL; pass --data-dir"),
    ],
    ids=["full disk", "hangs", "dies"],
)
def test_what_else_becomes_of_a_download_is_told(
    small: Dataset, monkeypatch: pytest.MonkeyPatch, answer: Answer, said: str
) -> None:
    monkeypatch.setattr(datasets, "ask", lambda *_, **__: answer)
    with pytest.raises(DatasetError, match=said):
        fetch("small")


def test_no_place_to_download_into(small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(DatasetError, match=r"no temporary folder to download MNIST into .*; set TMPDIR"):
        fetch("small")


def test_debians_folder_is_used(small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(datasets.DATASETS, "small", replace(small, debian_folder=tmp_path / "raw", torchvision=None))
    assert fetch("small").is_file()


def test_an_unwritable_cache(small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEOFF_CACHE", "/proc/nowhere")
    with pytest.raises(DatasetError, match="TUNEOFF_CACHE"):
        fetch("small", data_dir=tmp_path / "raw")


def test_unknown_data_set() -> None:
    with pytest.raises(UserError, match="did you mean 'mnist'"):
        images_of("mnst")


def _fetch_digits(folder: str, barrier: object) -> None:
    import os

    os.environ["TUNEOFF_CACHE"] = folder
    barrier.wait()  # type: ignore[attr-defined]
    fetch("digits")


def test_processes_may_fetch_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    processes = [context.Process(target=_fetch_digits, args=(str(tmp_path), barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["digits.npz"]
