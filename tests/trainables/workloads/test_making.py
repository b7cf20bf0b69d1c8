"""From data of any kind to what trainings read, and what is said of data that cannot be that."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from trainables.common.errors import DatasetError
from trainables.common.house import python
from trainables.contract import Split
from trainables.workloads import columns, prepared, store
from trainables.workloads.making import Answer, Request, make

TOML = "target = 0.9\nevaluate_every_samples = 50\nlimit_s = 5.0\nepochs = 5\n"
FEATURES = np.random.RandomState(0).random_sample((60, 4)).astype(np.float32)
TARGETS = np.arange(60) % 3
ARRAYS = {
    "train_features": FEATURES,
    "train_targets": TARGETS,
    "test_features": FEATURES[:9],
    "test_targets": TARGETS[:9],
}


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """What a process of its own would keep to itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("TUNEOFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(prepared, "_found", {})
    yield
    sys.modules.pop("data", None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workload without data."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "workload.toml").write_text(TOML)
    (folder / "model.py").write_text("")
    return folder


def made(folder: Path, data_dir: str | None = None) -> dict[Split, dict[str, np.ndarray]]:
    answer = make(Request(str(folder), str(folder.parent / "arrays"), data_dir))
    assert answer.made is not None
    return store.read(folder.parent / "arrays" / answer.made["arrays"])  # type: ignore[return-value]


def refused(folder: Path, data_dir: str | None = None) -> str:
    with pytest.raises(DatasetError) as problem:
        make(Request(str(folder), str(folder.parent / "arrays"), data_dir))
    said = str(problem.value)
    assert "\n" not in said
    return said.replace(f"{folder}/", "")


def as_npz(folder: Path, arrays: dict[str, Any]) -> None:
    np.savez(folder / "data.npz", **arrays)


def as_packed_npz(folder: Path, arrays: dict[str, Any]) -> None:
    np.savez_compressed(folder / "data.npz", **arrays)


def as_npy(folder: Path, arrays: dict[str, Any]) -> None:
    (folder / "data").mkdir()
    for name, array in arrays.items():
        np.save(folder / "data" / f"{name}.npy", array)


def as_code(folder: Path, arrays: dict[str, Any]) -> None:
    as_npz(folder, arrays)
    (folder / "data.npz").rename(folder / "mine.npz")
    (folder / "data.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    found = np.load('mine.npz')\n"
        "    splits = {name.partition('_')[0] for name in found}\n"
        "    return {each: (found[f'{each}_features'], found[f'{each}_targets']) for each in splits}\n"
    )


WRITERS: list[Callable[[Path, dict[str, Any]], None]] = [as_npz, as_packed_npz, as_npy, as_code]


@pytest.mark.parametrize("write", WRITERS)
def test_data_of_every_kind_become_the_same_arrays(
    folder: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, dict[str, Any]], None]
) -> None:
    write(folder, {**ARRAYS, "train_features": np.asfortranarray(FEATURES.astype(np.float64))})
    monkeypatch.setattr(columns, "PIECE_BYTES", 100)
    monkeypatch.setattr(store, "PIECE_BYTES", 100)
    found = made(folder)
    kept = np.arange(60) % 6 != 5
    for split, features, targets in (
        ("train", FEATURES[kept], TARGETS[kept]),
        ("validation", FEATURES[~kept], TARGETS[~kept]),
        ("test", FEATURES[:9], TARGETS[:9]),
    ):
        assert np.array_equal(found[split]["features"], features)
        assert np.array_equal(found[split]["targets"], targets)
        assert (found[split]["features"].dtype, found[split]["targets"].dtype) == (np.float32, np.int64)


def test_train_alone_is_cut_in_three(folder: Path) -> None:
    as_npz(folder, {"features": FEATURES, "targets": TARGETS})
    fold = np.arange(60) % 5
    found = made(folder)
    for split, chosen in (("train", fold < 3), ("validation", fold == 3), ("test", fold == 4)):
        assert np.array_equal(found[split]["features"], FEATURES[chosen])
        assert np.array_equal(found[split]["targets"], TARGETS[chosen])


def test_three_splits_stay_what_they_are(folder: Path) -> None:
    as_npz(folder, {**ARRAYS, "validation_features": FEATURES[9:20], "validation_targets": TARGETS[9:20]})
    found = made(folder)
    assert [len(found[split]["targets"]) for split in ("train", "validation", "test")] == [60, 11, 9]


def test_bytes_become_numbers_up_to_1(folder: Path) -> None:
    pixels = (np.arange(60 * 2 * 2) % 256).astype(np.uint8).reshape(60, 2, 2)
    as_npz(folder, {"features": pixels, "targets": TARGETS.astype(np.uint8)})
    train = made(folder)["train"]["features"]
    assert np.array_equal(train, pixels[np.arange(60) % 5 < 3].astype(np.float32) / np.float32(255))


@pytest.mark.parametrize(("targets", "outputs"), [(FEATURES[:, 0], 1), (FEATURES[:, :2], 2), (TARGETS, 1)])
def test_numbers_to_learn_have_columns(folder: Path, targets: np.ndarray, outputs: int) -> None:
    (folder / "workload.toml").write_text(f'loss = "mean_squared_error"\n{TOML}')
    as_npz(folder, {"features": FEATURES, "targets": targets})
    found = made(folder)["test"]["targets"]
    assert (found.dtype, found.shape) == (np.float32, (12, outputs))
    assert np.array_equal(found, targets[4::5].reshape(12, outputs).astype(np.float32))


def other(**changes: Any) -> dict[str, Any]:
    return {name: array for name, array in {**ARRAYS, **changes}.items() if array is not None}


def with_(value: float, row: int) -> np.ndarray:
    changed = FEATURES.astype(np.float64)
    changed[row, 2] = value
    return changed


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no test": (
        other(test_features=None, test_targets=None, validation_features=FEATURES, validation_targets=TARGETS),
        "data.npz: there is no test split; give test, too, or train alone",
    ),
    "no train": (other(train_features=None, train_targets=None), "data.npz: there is no train split; give train alone"),
    "no targets": (other(test_targets=None), "data.npz has no array 'test_targets'; each split needs features and"),
    "no arrays": ({}, "data.npz has no arrays; it needs train_features, train_targets"),
    "a typo": (other(train_feature=FEATURES), "data.npz has an array 'train_feature'; did you mean 'train_features'?"),
    "val": (other(val_features=FEATURES), "has an array 'val_features'; did you mean 'validation_features'?"),
    "lengths": (other(train_targets=TARGETS[1:]), "data.npz: train_features has 60 samples, and train_targets has 59"),
    "NaN": (other(train_features=with_(np.nan, 17)), "data.npz: train_features: sample 17, counted from 0, has a NaN"),
    "NaN in validation": (other(train_features=with_(np.nan, 23)), "train_features: sample 23, counted from 0, has a"),
    "infinity": (other(test_features=with_(-np.inf, 3)[:9]), "test_features: sample 3, counted from 0, has an inf"),
    "too large": (other(train_features=with_(1e300, 59)), "sample 59, counted from 0, has more than float32 can hold"),
    "a gap": (other(train_targets=TARGETS * 2), "data.npz: train_targets: train has classes up to 4, and lacks 1, 3; "),
    "from 1": (other(train_targets=TARGETS + 1), "train_targets: train has classes up to 3, and lacks 0; number them"),
    "codes": (other(train_targets=TARGETS * 10**6), "lacks 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ... (1999998 in all); "),
    "cut": (
        {"features": FEATURES, "targets": np.arange(60) % 5},
        "data.npz: targets: train, which is cut from it by index, lacks the classes 3, 4; shuffle the samples",
    ),
    "negative": (other(train_targets=TARGETS - 1), "data.npz: train_targets has the class -1; classes are whole"),
    "unknown class": (other(test_targets=TARGETS[:9] + 2), "test_targets: test has the classes 3, 4, which train"),
    "one class": (other(train_targets=TARGETS * 0, test_targets=TARGETS[:9] * 0), "every sample of train has the"),
    "objects": (other(train_features=np.array([[1, "a"]] * 60, object)), "train_features holds Python objects"),
    "complex": (other(train_features=FEATURES + 1j), "train_features holds complex numbers; give plain"),
    "texts": (other(train_targets=np.array(["a", "b", "c"] * 20)), "data.npz: train_targets holds texts; give plain"),
    "fields": (other(train_features=np.zeros(60, [("a", float)])), "train_features holds [('a', '<f8')]; give plain"),
    "whole features": (other(train_features=TARGETS[:, None]), 'is int64; features are float32, or uint8, .*.astype("'),
    "empty": (other(test_features=FEATURES[:0], test_targets=TARGETS[:0]), "data.npz: test_features is empty; give it"),
    "too few": ({"features": FEATURES[:3], "targets": TARGETS[:3]}, "features has too few samples to cut validation"),
    "one-hot": (other(train_targets=np.eye(3)[TARGETS]), "has the shape (60, 3); .*: .argmax(axis=1) may make it so"),
    "column": (other(train_targets=TARGETS[:, None]), "train_targets has the shape (60, 1); .*: .ravel() may make it"),
    "float classes": (other(train_targets=TARGETS * 1.0), "train_targets is float64; .*loss = \"mean_squared_error\""),
    "dimensions": (other(train_features=FEATURES.reshape(60, *[1] * 7, 4)), "train_features has 9 dimensions, and 8"),
    "one dimension": (other(train_features=FEATURES[:, 0]), "train_features has one dimension; .*: .reshape(-1, 1)"),
    "no dimension": ({"features": np.float32(1), "targets": np.int64(1)}, "data.npz: features is one number; give an"),
    "no numbers": (other(train_features=FEATURES[:, :0]), "has the shape (60, 0): samples without a number in them"),
    "other shapes": (other(test_features=FEATURES[:9, :3]), "features of shape (3,) in test, and of (4,) in train"),
    "bytes and floats": (other(test_features=np.zeros((9, 4), np.uint8)), "is uint8 in test, and float32 in train"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_with_arrays_is_told_in_a_line(folder: Path, what: str) -> None:
    arrays, told = BAD[what]
    as_npz(folder, arrays)
    said = refused(folder)
    begin, _, end = told.partition(".*")
    assert begin in said
    assert end in said


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        (FEATURES[:, :, None], "targets has the shape (60, 4, 1); mean squared error takes (samples,) or (samples,"),
        (with_(np.nan, 7), "data.npz: targets: sample 7, counted from 0, has a NaN in it"),
        (FEATURES[:, 0] * 1j, "data.npz: targets holds complex numbers"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_numbers_to_learn_is_told(folder: Path, targets: np.ndarray, told: str) -> None:
    (folder / "workload.toml").write_text(f'loss = "mean_squared_error"\n{TOML}')
    as_npz(folder, {"features": FEATURES, "targets": targets})
    assert told in refused(folder)


def whole_npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, **ARRAYS)  # type: ignore[arg-type]
    return file.getvalue()


def bare_npy() -> bytes:
    file = io.BytesIO()
    np.save(file, FEATURES)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "data.npz is no .npz; numpy.savez(path, train_features=..., ...) writes one"),
        (b"<html>", "data.npz is no .npz; "),
        (bare_npy(), "data.npz is no .npz; "),
        (whole_npz()[:-100], "data.npz is a torn .npz; "),
        (whole_npz()[:500] + b"\xff" + whole_npz()[501:], "data.npz: train_features is damaged (Bad CRC-32"),
    ],
    ids=["empty", "page", "npy", "torn", "flipped"],
)
def test_a_file_that_is_no_npz_is_told_to_be_so(folder: Path, content: bytes, told: str) -> None:
    (folder / "data.npz").write_bytes(content)
    assert refused(folder).startswith(told)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "data/features.npy is damaged (EOF: reading magic string, expected 8 bytes got 0); write it again with"),
        (bare_npy()[:-1], "data/features.npy is damaged (mmap length is greater than file size); write it again"),
    ],
    ids=["empty", "torn"],
)
def test_a_file_that_is_no_npy_is_told_to_be_so(folder: Path, content: bytes, told: str) -> None:
    as_npy(folder, {"features": FEATURES, "targets": TARGETS})
    (folder / "data/features.npy").write_bytes(content)
    assert refused(folder).startswith(told)


def test_pickled_arrays_are_not_unpickled(folder: Path) -> None:
    as_npy(folder, {"features": np.array([[print]] * 60, object), "targets": TARGETS})
    assert refused(folder) == "data/features.npy holds Python objects; give plain numbers"


RETURN = 'return a dict like {"train": (features, targets), "test": (features, targets)}'
CODE = {
    "x = 1\n": "data.py has no function load(); write one that returns arrays by split",
    "load = 3\n": "data.py has no function load(); write one that returns arrays by split",
    "def load():\n    return {\n": "data.py, line 2: SyntaxError: '{' was never closed",
    "def load():\n    x = 1\n    raise ValueError('no\\nluck')\n": "data.py, line 3: ValueError: no luck",
    "import numpy\n\ndef load():\n    numpy.load('gone.npy')\n": "data.py, line 4: FileNotFoundError: [Errno 2] No",
    "import no_such_package\n": "data.py, line 1: ModuleNotFoundError: No module named 'no_such_package'",
    "import sys\ndef load():\n    sys.exit(3)\n": "data.py, line 3: SystemExit: 3",
    "def load():\n    raise MemoryError\n": "data.py, line 2: MemoryError",
    "def load():\n    pass\n": f"data.py: load() returns None; {RETURN}",
    "def load():\n    return [1]\n": f"data.py: load() returns a list; {RETURN}",
    "def load():\n    return {}\n": f"data.py: load() returns nothing; {RETURN}",
    "def load():\n    return {'train': 3}\n": f"data.py: load() returns an int for train; {RETURN}",
    "def load():\n    return {'train': (1, 2, 3)}\n": f"data.py: load() returns a tuple for train; {RETURN}",
    "def load():\n    return {'train': ([[1], [1, 2]], [0, 1])}\n": "data.py: train features cannot be made an array",
    "def load():\n    return {0: ([[1.0]], [0])}\n": "data.py: there is a split '0'; valid: train, validation, test",
    "def load():\n    return {'valid': ([[1.0]], [0])}\n": "data.py: there is a split 'valid'; did you mean 'valid",
    "def load(more):\n    return {}\n": "data.py: TypeError: load() missing 1 required positional argument: 'more'",
    "def load(data_dir):\n    return {}\n": "data.py: load() needs a data_dir; pass --data-dir FOLDER",
}


@pytest.mark.parametrize("code", CODE)
def test_what_is_wrong_with_code_is_told_with_its_line(folder: Path, code: str) -> None:
    (folder / "data.py").write_text(code)
    assert refused(folder).startswith(CODE[code])


def test_an_error_in_another_file_of_the_workload_is_told_there(folder: Path) -> None:
    (folder / "helping.py").write_text("def half(x):\n    return x / 0\n")
    (folder / "data.py").write_text("from helping import half\n\ndef load():\n    return half(1)\n")
    assert refused(folder) == "helping.py, line 2: ZeroDivisionError: division by zero"
    sys.modules.pop("helping")


def test_code_is_given_a_folder_where_it_takes_one(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    as_npz(tmp_path / "given", {"features": FEATURES, "targets": TARGETS})
    load = "    found = np.load(data_dir / 'data.npz')\n    return {'train': (found['features'], found['targets'])}\n"
    (folder / "data.py").write_text(f"import numpy as np\n\ndef load(data_dir=None):\n{load}")
    assert len(made(folder, str(tmp_path / "given"))["train"]["targets"]) == 36
    (folder / "data.py").write_text("def load():\n    return {}\n")
    assert refused(folder, "/tmp").startswith("data.py: load() takes no data_dir, so --data-dir is of no use")
    (folder / "data.py").unlink()
    as_npz(folder, ARRAYS)
    assert refused(folder, "/tmp") == "--data-dir has nothing to give own: its data are in data.npz"


def test_arrays_of_other_kinds_are_taken(folder: Path) -> None:
    (folder / "data.py").write_text("def load():\n    return {'train': [[[0.5], [1.5]] * 20, [False, True] * 20]}\n")
    found = made(folder)["train"]
    assert np.array_equal(found["features"].ravel()[:2], [0.5, 1.5])
    assert np.array_equal(found["targets"][:2], [0, 1])


@pytest.mark.parametrize("write", [as_npz, as_packed_npz, as_npy])
def test_files_are_never_read_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, dict[str, Any]], None]
) -> None:
    monkeypatch.setattr(columns, "PIECE_BYTES", 2**16)
    monkeypatch.setattr(store, "PIECE_BYTES", 2**16)
    features = np.zeros((600, 64, 128), np.uint8)
    write(folder, {"features": features, "targets": np.arange(600) % 3})
    tracemalloc.start()
    try:
        made(folder)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < features.nbytes / 2


def test_a_process_answers_on_stdout_whatever_code_prints(folder: Path, tmp_path: Path) -> None:
    as_code(folder, ARRAYS)
    code = (folder / "data.py").read_text()
    noise = "import os\nprint('from Python')\nos.write(1, b'from C\\n')\n"
    (folder / "data.py").write_text(noise + code)
    request = json.dumps(asdict(Request(str(folder), str(tmp_path / "arrays"))))
    answer = subprocess.run(python("trainables.workloads.making", request), capture_output=True, text=True, check=True)
    assert Answer(**json.loads(answer.stdout)).made is not None
    assert answer.stderr == "from Python\nfrom C\n"


def test_what_waits_for_nobody_ends(folder: Path, tmp_path: Path) -> None:
    (folder / "data.py").write_text(
        f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    )
    command = python("trainables.workloads.making", json.dumps(asdict(Request(str(folder), str(tmp_path / "arrays")))))
    asking = subprocess.Popen([sys.executable, "-c", f"import subprocess; subprocess.run({command!r})"])
    until = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < until
        time.sleep(0.05)
    loading = psutil.Process(int((tmp_path / "pid").read_text()))
    asking.kill()
    asking.wait()
    loading.wait(60)


def test_nothing_is_left_in_the_folder(folder: Path) -> None:
    as_code(folder, ARRAYS)
    before = sorted(folder.iterdir())
    made(folder)
    assert sorted(folder.iterdir()) == before
