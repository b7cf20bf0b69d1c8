"""The data sets: where their files come from, and what they must contain.

Every data set ends as one ``.npz`` file in the cache folder, written in one step (two processes that fetch it at once
are safe) and checked against the checksums below whenever it is read. The shipped workloads' data.py ask for it here.
"""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.common.errors import DatasetError, UserError
from trainables.common.files import replacing
from trainables.common.helpers import ask, telling
from trainables.common.house import python
from trainables.common.places import local_path
from trainables.common.suggest import nearest
from trainables.workloads import idx
from trainables.workloads.folders import candidates, check_folder

DOWNLOAD_TIMEOUT_S = 600
_IDX_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
_REMEDIES = {
    "certificate": "set SSL_CERT_FILE to the certificates of this network",
    "no space left|errno 28|quota": "make room, or set TMPDIR to a folder that has some",
    "forbidden|proxy|HTTP Error 40[137]": "ask for this network's proxy and set HTTPS_PROXY",
    "not found or corrupted": "look whether this network wants a login first",
}

_BRIGHTEST_DIGIT = 16  # pixel value that becomes 1.0

Arrays = dict[str, npt.NDArray[np.uint8]]
Images = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Dataset:
    """A data set; ``md5`` is of each array as an uncompressed IDX file (``zcat FILE | md5sum``)."""

    name: str
    title: str
    md5: dict[str, str]
    torchvision: str | None = None  # the class that can download it
    debian_folder: Path | None = None  # where the Debian package puts it
    debian_package: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # of the IDX files


_SHAPES = {  # of MNIST and of all that are made to stand in its place
    "train_images": (60_000, 28, 28),
    "train_labels": (60_000,),
    "test_images": (10_000, 28, 28),
    "test_labels": (10_000,),
}

DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="digits",
            title="scikit-learn's handwritten digits (UCI, 1,797 images)",
            md5={"images": "a5adabccf8d3e2540826a202a7bfb422", "labels": "497796a0698e25d3920a9422b635bf34"},
        ),
        Dataset(
            name="mnist",
            title="MNIST",
            md5={
                "train_images": "6bbc9ace898e44ae57da46a324031adb",
                "train_labels": "a25bea736e30d166cdddb491f175f624",
                "test_images": "2646ac647ad5339dbf082846283269ea",
                "test_labels": "27ae3e4e09519cfbb04c329615203637",
            },
            torchvision="MNIST",
            shapes=_SHAPES,
        ),
        Dataset(
            name="fashion",
            title="Fashion-MNIST",
            md5={
                "train_images": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
                "train_labels": "9018921c3c673c538a1fc5bad174d6f9",
                "test_images": "8181f5470baa50b63fa0f6fddb340f0a",
                "test_labels": "15d484375f8d13e6eb1aabb0c3f46965",
            },
            torchvision="FashionMNIST",
            debian_folder=Path("/usr/share/datasets/fashion-mnist"),
            debian_package="dataset-fashion-mnist",
            shapes=_SHAPES,
        ),
    )
}


def dataset(name: str) -> Dataset:
    """The data set of this name; `UserError` when there is none."""
    if name not in DATASETS:
        raise UserError(f"unknown data set '{name}'{nearest(name, DATASETS)}")
    return DATASETS[name]


def cache_folder() -> Path:
    """``$TUNEOFF_CACHE``, or tuneoff's folder in the user's cache directory (XDG).

    Raises
    ------
    UserError
        When there is neither: a container may run as a user without a home. When it is a URL.
    """
    if folder := os.environ.get("TUNEOFF_CACHE"):
        return local_path(folder, "TUNEOFF_CACHE")
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return local_path(folder, "XDG_CACHE_HOME") / "tuneoff"
    try:
        return Path.home() / ".cache" / "tuneoff"
    except RuntimeError:
        raise UserError("this user has no home folder; set TUNEOFF_CACHE to a folder for data sets") from None


def images_of(name: str, data_dir: Path | None = None) -> dict[str, tuple[Images, Labels]]:
    """A data set as data.py gives it: images of one channel of 28 x 28, and labels.

    MNIST and its like were published as train and test. Digits, of which every pixel is made 3 x 3 with a border of 2,
    were not split.

    Raises
    ------
    DatasetError
        As `fetch`.
    """
    arrays = published(dataset(name), data_dir)
    if "images" in arrays:
        images = _enlarged(arrays["images"]).astype(np.float32) / np.float32(_BRIGHTEST_DIGIT)
        return {"train": (images[:, None], arrays["labels"])}
    return {split: (arrays[f"{split}_images"][:, None], arrays[f"{split}_labels"]) for split in ("train", "test")}


def fetch(name: str, *, data_dir: Path | None = None) -> Path:
    """Make sure that the data set lies in the cache, checked.

    Sources, in this order: ``data_dir`` if given; the cache; scikit-learn's own file (digits); Debian's package;
    torchvision's mirrors.

    Parameters
    ----------
    name
        A name of `DATASETS`.
    data_dir
        A folder with the IDX files, gzipped or not, directly or below ``NAME/raw`` as torchvision lays them, or as
        Kaggle does; nothing is taken from it for digits, which are installed.

    Returns
    -------
    Path of the ``.npz`` file.

    Raises
    ------
    DatasetError
        When no source has it, or a file is not what its checksum says.
    """
    wanted = dataset(name)
    cached = _cached(wanted)
    data_dir = check_folder(data_dir) if data_dir is not None else None
    if "images" in wanted.md5:
        data_dir = None
    if data_dir is None and cached.exists():
        return cached
    arrays = _from_idx_folder(wanted, data_dir) if data_dir is not None else _from_anywhere(wanted)
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with replacing(cached) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise DatasetError(
            f"cannot write {cached} ({error.strerror}); set TUNEOFF_CACHE to a folder you can write"
        ) from None
    return cached


def published(wanted: Dataset, data_dir: Path | None = None) -> Arrays:
    """The arrays of a data set as they were published, each byte checked; fetches them where that was not done.

    Raises
    ------
    DatasetError
        As `fetch`; when the cache's file is damaged.
    """
    return _read_cached(wanted, fetch(wanted.name, data_dir=data_dir))


def checksums(name: str) -> dict[str, str]:
    """MD5 of each array of the data set, for a study's provenance."""
    return dict(dataset(name).md5)


def where_to_get(wanted: Dataset) -> str:
    """What a user can do when the data set is nowhere."""
    ways = ["pass --data-dir FOLDER with the IDX files (train-images-idx3-ubyte, ..., gzipped or not)"]
    if wanted.debian_package:
        ways.append(f"or `apt-get install {wanted.debian_package}`")
    ways.append("or connect to the internet, so that torchvision can download it")
    return ", ".join(ways)


def _enlarged(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """8 x 8 to 28 x 28."""
    larger = images.repeat(3, axis=1).repeat(3, axis=2)
    return np.pad(larger, ((0, 0), (2, 2), (2, 2)))


def _cached(wanted: Dataset) -> Path:
    return cache_folder() / f"{wanted.name}.npz"


def _read_cached(wanted: Dataset, path: Path) -> Arrays:
    try:
        with np.load(path) as file:
            arrays: Arrays = {name: file[name] for name in wanted.md5}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path} is damaged ({error}); delete it and start again") from None
    for name in wanted.md5:
        if problem := _problem(wanted, name, arrays[name]):
            raise DatasetError(f"{path} is damaged ({problem}); delete it and start again")
    return arrays


def _problem(wanted: Dataset, name: str, array: npt.NDArray[np.uint8]) -> str | None:
    """What else than it should be an array is."""
    found = idx.md5(array)
    if found == wanted.md5[name]:
        return None
    should = f"the {name.replace('_', ' ')} of {wanted.title}"
    for other in DATASETS.values():
        for role, md5 in other.md5.items():
            if md5 == found:
                return f"these are the {role.replace('_', ' ')} of {other.title}, not {should}"
    if (shape := wanted.shapes.get(name, array.shape)) != array.shape:
        return f"this is not {should}: its header says {idx.spelled(array.shape)}, expected is {idx.spelled(shape)}"
    return f"this is not {should}: {name} has MD5 {found}, not {wanted.md5[name]}"


def _from_anywhere(wanted: Dataset) -> Arrays:
    if wanted.name == "digits":
        return _from_scikit_learn(wanted)
    if wanted.debian_folder and wanted.debian_folder.is_dir():
        return _from_idx_folder(wanted, wanted.debian_folder)
    return _from_torchvision(wanted)


def _from_scikit_learn(wanted: Dataset) -> Arrays:
    from sklearn.datasets import load_digits  # here, because it takes a second

    digits = load_digits()
    arrays: Arrays = {"images": digits.images.astype(np.uint8), "labels": digits.target.astype(np.uint8)}
    for name, array in arrays.items():
        if problem := _problem(wanted, name, array):
            raise DatasetError(f"scikit-learn's load_digits(): {problem}; pip install --force-reinstall scikit-learn")
    return arrays


def _from_idx_folder(wanted: Dataset, folder: Path) -> Arrays:
    places = [folder, folder / "raw"]
    if wanted.torchvision:
        places.append(folder / wanted.torchvision / "raw")
    return {name: _from_idx_file(wanted, folder, places, name) for name in _IDX_FILES}


def _from_idx_file(wanted: Dataset, folder: Path, places: list[Path], name: str) -> npt.NDArray[np.uint8]:
    """The first file of its name that is what it should be; where none is, what is wrong with the first."""
    problems = []
    for path in candidates(places, _IDX_FILES[name]):
        try:
            array = idx.read(path, 3 if name.endswith("images") else 1)
        except DatasetError as error:
            problems.append(str(error))
            continue
        problem = _problem(wanted, name, array)
        if problem is None:
            return array
        problems.append(f"{path}: {problem}; pass --data-dir FOLDER with {wanted.title}'s own files")
    if problems:
        raise DatasetError(problems[0])
    raise DatasetError(f"{folder} has no {_IDX_FILES[name]}[.gz], which {wanted.title} needs; {where_to_get(wanted)}")


def _from_torchvision(wanted: Dataset) -> Arrays:
    assert wanted.torchvision is not None
    try:
        with tempfile.TemporaryDirectory(prefix="tuneoff-") as folder:
            command = python("trainables.workloads.download", wanted.torchvision, folder)
            answer = ask(command, timeout_s=DOWNLOAD_TIMEOUT_S)
            if answer.problem is None:
                return _from_idx_folder(wanted, Path(folder))
    except OSError as error:
        raise DatasetError(f"no temporary folder to download {wanted.title} into ({error}); set TMPDIR") from None
    line = telling(answer.err)
    said = line.removeprefix("error: ") if line.startswith("error: ") else f"the process {answer.problem}"
    failed = f"{wanted.title} is not here and torchvision could not download it: {said}{_remedy(said)}"
    raise DatasetError(f"{failed}; {where_to_get(wanted)}")


def _remedy(said: str) -> str:
    """What to do about a download that failed so, where that is known."""
    return next((f", so {todo}" for pattern, todo in _REMEDIES.items() if re.search(pattern, said, re.IGNORECASE)), "")
