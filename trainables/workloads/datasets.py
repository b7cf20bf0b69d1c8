"""The data sets: where their files come from, what they must contain, and how they are split.

Every data set ends in the cache folder: as it was published in one ``.npz`` file, checked against the checksums below
whenever it is read, and beside it as trainings read it, split and scaled, in the form of `trainables.workloads.store`.
A study has a copy of the latter. All are written in one step: processes that prepare a data set at once are safe.
"""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.common.errors import DatasetError, UserError
from trainables.common.files import replacing
from trainables.common.helpers import ask, telling
from trainables.common.house import python
from trainables.common.places import local_path
from trainables.common.suggest import nearest
from trainables.contract import LabelledImages, Split
from trainables.workloads import idx, store
from trainables.workloads.folders import candidates, check_folder
from trainables.workloads.splits import SPLITS, split_and_scale

DOWNLOAD_TIMEOUT_S = 600
_LEFT_BEHIND_S = 3600.0  # by then a writer has ended, on whatever host
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

Arrays = dict[str, npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Dataset:
    """A data set.

    ``md5`` is of each array as an uncompressed IDX file (``zcat FILE | md5sum``); ``arrays`` is the
    `trainables.workloads.store.content_hash` of what trainings get.
    """

    name: str
    title: str
    brightest: int  # pixel value that becomes 1.0
    training_samples: int  # after the split
    md5: dict[str, str]
    arrays: str
    torchvision: str | None = None  # the class that can download it
    debian_folder: Path | None = None  # where the Debian package puts it
    debian_package: str | None = None


DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="digits",
            title="scikit-learn's handwritten digits (UCI, 1,797 images)",
            brightest=16,
            training_samples=1_079,
            md5={"images": "a5adabccf8d3e2540826a202a7bfb422", "labels": "497796a0698e25d3920a9422b635bf34"},
            arrays="c28448f174491647558a8c6a8b98081f",
        ),
        Dataset(
            name="mnist",
            title="MNIST",
            brightest=255,
            training_samples=50_000,
            md5={
                "train_images": "6bbc9ace898e44ae57da46a324031adb",
                "train_labels": "a25bea736e30d166cdddb491f175f624",
                "test_images": "2646ac647ad5339dbf082846283269ea",
                "test_labels": "27ae3e4e09519cfbb04c329615203637",
            },
            arrays="bcb464d9ee5bb5763fc99ae86627cfbd",
            torchvision="MNIST",
        ),
        Dataset(
            name="fashion",
            title="Fashion-MNIST",
            brightest=255,
            training_samples=50_000,
            md5={
                "train_images": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
                "train_labels": "9018921c3c673c538a1fc5bad174d6f9",
                "test_images": "8181f5470baa50b63fa0f6fddb340f0a",
                "test_labels": "15d484375f8d13e6eb1aabb0c3f46965",
            },
            arrays="220bb6a15f3d9c8e84c5b7ea0e441f8f",
            torchvision="FashionMNIST",
            debian_folder=Path("/usr/share/datasets/fashion-mnist"),
            debian_package="dataset-fashion-mnist",
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


def prepare(name: str, *, data_dir: Path | None = None) -> Path:
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
    cached = cache_folder() / f"{name}.npz"
    data_dir = check_folder(data_dir) if data_dir is not None else None
    if "images" in wanted.md5:
        data_dir = None
    if data_dir is None and cached.exists():
        if not store.seems_whole(_arrays(wanted)):  # else nothing has to be made from it
            _read_cached(wanted, cached)
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


def load(name: str, stored: Path | None = None) -> dict[Split, LabelledImages]:
    """A data set as trainings get it, memory-mapped; see `trainables.workloads.splits` for what that is.

    Parameters
    ----------
    stored
        A folder that holds it, as `store_in` made it. None for the cache's own, made where it is missing or damaged;
        where the cache cannot be written, the arrays are made in memory.

    Returns
    -------
    Images scaled to [0, 1] and labels, by split; see `LabelledImages` for shapes and types. They cannot be written.

    Raises
    ------
    DatasetError
        As `prepare`; when the folder is damaged.
    """
    wanted = dataset(name)
    if stored is None:
        arrays = _from_cache(wanted)
    else:
        try:
            arrays = store.read(stored)
        except store.Damaged as damage:
            raise DatasetError(f"{damage}; `tuneoff resume` makes it again") from None
    return {split: LabelledImages(arrays[split]["images"], arrays[split]["labels"]) for split in SPLITS}


def store_in(parent: Path, name: str, *, say: Callable[[str], None]) -> Path:
    """Make sure that a folder holds the data set as trainings read it, every byte checked.

    Parameters
    ----------
    parent
        The folder, to which no other process writes now.
    say
        Told of what is damaged or missing there, and made again.

    Returns
    -------
    Path of what `load` takes.

    Raises
    ------
    DatasetError
        As `prepare`.
    OSError
        When the folder cannot be written.
    """
    wanted = dataset(name)
    there = parent / wanted.arrays
    store.remove_leftovers(parent)
    problem = store.problem(there)
    if problem is None:
        return there
    if parent.exists():
        say(f"{problem}; the data set is made again")
    try:
        if (made := store.problem(store.copy(_stored(wanted), parent))) is not None:  # the cache's own is damaged
            say(f"{made}; the data set is made again")
            store.copy(_make(wanted, _arrays(wanted).parent), parent)
    except (OSError, store.Damaged):  # the cache cannot be written, or keeps nothing
        _make(wanted, parent)
    if (problem := store.problem(there)) is not None:
        raise DatasetError(f"{problem}, although it was written just now; see to the storage")
    return there


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


def _arrays(wanted: Dataset) -> Path:
    """Where the cache has a data set as trainings read it."""
    return cache_folder() / "arrays" / wanted.arrays


def _stored(wanted: Dataset) -> Path:
    """That folder, made where it is missing or obviously damaged; OSError where it cannot be."""
    there = _arrays(wanted)
    if not store.seems_whole(there):
        with store.alone(there.parent):
            if not store.seems_whole(there):
                store.remove_leftovers(there.parent, older_than_s=_LEFT_BEHIND_S)
                _make(wanted, there.parent)
    return there


def _from_cache(wanted: Dataset) -> store.Arrays:
    try:
        try:
            return store.read(_stored(wanted))
        except store.Damaged:
            return store.read(_make(wanted, _arrays(wanted).parent))
    except (OSError, store.Damaged):
        return _prepared(wanted)


def _make(wanted: Dataset, parent: Path) -> Path:
    """Store the data set as trainings read it below a folder."""
    made = store.write(parent, _prepared(wanted))
    if made.name != wanted.arrays:
        raise DatasetError(
            f"{wanted.title} became other arrays here than it must ({made.name}, not {wanted.arrays}): NumPy "
            f"{np.__version__} does not compute as it should; install another"
        )
    return made


def _prepared(wanted: Dataset) -> store.Arrays:
    arrays = _read_cached(wanted, prepare(wanted.name))
    return {
        split: {"images": part.images, "labels": part.labels}
        for split, part in split_and_scale(arrays, brightest=wanted.brightest).items()
    }


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
            array = idx.read(path)
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
