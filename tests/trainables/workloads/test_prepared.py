"""What trainings read: the bytes of ever, from the cache or from a study, mended where damaged."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import signal
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from trainables.common.errors import DatasetError
from trainables.contract import Samples
from trainables.spec import TrainingSpec
from trainables.workloads import prepared, store
from trainables.workloads.datasets import fetch
from trainables.workloads.prepared import facts, is_stored_in, load, outputs_of, prepare, store_in
from trainables.workloads.workload import Made, Workload, find, read, shipped

WORKLOAD = find("digits-lenet")
assert WORKLOAD.made is not None
HASH = WORKLOAD.made.arrays

# SHA-256 of the bytes of features and targets: of the version before arrays were stored. A difference would make
# trainings of before and after incomparable.
DIGITS = {
    "train": "b1845b8e42002cf26868371932b4eef638bf85f448d9d31cdeb2ee3d07d63833",
    "validation": "20d8fcf8d978614c6165ad0ec175bf2301341c73598f64f382f41e1ed52caaad",
    "test": "54b99b877b6e12e351e4c80da1c4cd8c894077c20e7ec62241cb0888e490b94a",
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published arrays, for which scikit-learn is loaded once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNEOFF_CACHE", str(tmp_path_factory.mktemp("digits")))
        return fetch("digits")


@pytest.fixture(autouse=True)
def cache(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache and a temporary folder of its own."""
    (tmp_path / "cache").mkdir()
    shutil.copyfile(digits, tmp_path / "cache" / digits.name)
    monkeypatch.setenv("TUNEOFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(prepared, "_found", {})
    monkeypatch.setattr(prepared, "_unkept", set())
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return tmp_path / "cache"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def makings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Commands of the processes that read data."""
    asked: list[str] = []
    ask = prepared.ask
    monkeypatch.setattr(prepared, "ask", lambda command, **more: (asked.append(command[-1]), ask(command, **more))[1])
    return asked


def digest(part: Samples) -> str:
    return hashlib.sha256(part.features.tobytes() + part.targets.tobytes()).hexdigest()


def arrays(cache: Path) -> Path:
    return cache / "arrays" / HASH


def damage(path: Path) -> None:
    path.chmod(0o644)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def same(stored: Path | None) -> bool:
    return {split: digest(part) for split, part in load(WORKLOAD, stored).items()} == DIGITS


@pytest.mark.parametrize("place", ["cache", "study"])
def test_trainings_get_the_bytes_of_ever(tmp_path: Path, said: list[str], place: str) -> None:
    stored = None if place == "cache" else store_in(tmp_path / "data", WORKLOAD, say=said.append)
    for part in load(WORKLOAD, stored).values():
        assert part.features.dtype == np.float32
        assert part.targets.dtype == np.int64
        assert part.features.flags.c_contiguous
        assert not part.features.flags.writeable
    assert same(stored)
    assert said == []


# Of each array: the bytes that were stored as images and labels before workloads were folders.
OLD = {
    "digits-lenet": (
        "c28448f174491647558a8c6a8b98081f",
        (1079, 359, 359),
        "35072babb98e05257d510f52933f42b8667b7344948f3b69dfc89016adc83c64",
        "f00226536de8c1b885aa37f80c276036b1fef0138ec2e40217d32e1ace25c6a0",
        "5a2384f9c6bcaa109f7d944bf37a2147595d17cd1c84e52fa922561b3f71c763",
        "f7b62d04ff635384f5e3ccb028dd82a1524885e066c8c07e948b90ee13a64f7b",
        "93d52ac520b27e0459e7e0cc3fb3c39866de9588a23e9988b964f0c4f2256eb4",
        "5b60d960d691c63f4e10de32b748c8dadcfa8c4000d9b6fe5efbd78200686ddc",
    ),
    "mnist-lenet": (
        "bcb464d9ee5bb5763fc99ae86627cfbd",
        (50_000, 10_000, 10_000),
        "0be4ef9fda76d5f828fa2953e9cafba78ae934fc0ac25257b3b9bd90bca2e908",
        "4a677e4a4d6ad0d81be0aa560aff34aae6c19b048ad56dc9a470800203325d42",
        "a1491184603b3f93c392818d5604229f2d292c7628ced91d841fb451cd0d4c74",
        "7e1de6caee7e77ad599bb37fb0c46109919aa2fa239d8241da4d3f9ca00f9407",
        "bc9f8f501f39b3ca61f899a2f402edf2024bde012b73223431b6bd735e47a165",
        "2fd8de6bdb8d11780b4b96dc57847bcfe6953f7c32aa48bfcd8237c3b7847243",
    ),
    "fashion-lenet": (
        "220bb6a15f3d9c8e84c5b7ea0e441f8f",
        (50_000, 10_000, 10_000),
        "4f9d3f975b2f605b1e207e546e21958cba2db6d6e90533039d2d4ef7d5ab0509",
        "d5aace675facd14afe0d241a9685e16098858d72dc89ef07a78fb49760db0a86",
        "91cd11fcefdb045487d347813d700be838a14f17d650f30bade23210be10f58d",
        "616fee5c9c9db98eac165be841b757b2b112647c830cad0378d9fbc034052489",
        "0c0f08b9d95e81a9c662a7e200cbb82a22e7669e3a79c4e861585d1dbf736efd",
        "d51d859896c55775b9e9e219b77ff03bcec1b6ac322f313544dc3f9e7bc94fae",
    ),
}


@pytest.mark.parametrize("name", shipped())
def test_what_a_shipped_workload_says_of_its_data_is_the_old_bytes_under_new_names(name: str) -> None:
    """A set's name is the hash of its arrays' names, types, shapes and bytes."""
    old, counts, *digests = OLD[name.replace("resnet18", "lenet")]

    def named(features: str, targets: str) -> str:
        kinds = (
            (split, *kind)
            for split, count in zip(("train", "validation", "test"), counts, strict=True)
            for kind in ((features, "<f4", (count, 1, 28, 28)), (targets, "<i8", (count,)))
        )
        return store._hash([store._Entry(*kind, sha) for kind, sha in zip(kinds, digests, strict=True)])

    made = find(name).made
    assert named("images", "labels") == old
    assert made == Made(arrays=named("features", "targets"), training_samples=counts[0], shape=(1, 28, 28), outputs=10)


def test_what_a_workload_says_of_its_data_is_what_they_come_to(cache: Path) -> None:
    assert prepare(replace(WORKLOAD, made=None)) == WORKLOAD.made
    assert [path.name for path in (cache / "arrays").glob("[!.]*")] == [HASH]
    train = load(WORKLOAD)["train"]
    assert (len(train), train.features.shape[1:], outputs_of(train, "cross_entropy")) == (1079, (1, 28, 28), 10)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"arrays": "0" * 32}, "became other arrays than they must"),
        ({"outputs": 9}, "in \\[made\\], outputs = 10 would be right"),
    ],
)
def test_arrays_that_are_not_those_that_must_come_are_refused(wrong: dict[str, object], said: str) -> None:
    assert WORKLOAD.made is not None
    with pytest.raises(DatasetError, match=said):
        load(replace(WORKLOAD, made=WORKLOAD.made.model_copy(update=wrong)))


def test_data_are_read_once(makings: list[str]) -> None:
    for workload in (WORKLOAD, replace(WORKLOAD, made=None), find("digits-lenet")):
        facts(workload)
        prepare(workload)
        load(workload)
    assert len(makings) == 1


def test_what_must_come_and_is_there_is_not_read_again(makings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(WORKLOAD)
    monkeypatch.setattr(prepared, "_found", {})  # another process
    assert prepare(WORKLOAD) == facts(WORKLOAD) == WORKLOAD.made
    assert same(None)
    assert len(makings) == 1
    prepare(replace(WORKLOAD, made=None))  # who knows what a function returns today
    assert len(makings) == 2


def test_a_study_is_told_what_was_damaged_or_missing_and_has_it_again(tmp_path: Path, said: list[str]) -> None:
    parent = tmp_path / "data"
    stored = store_in(parent, WORKLOAD, say=said.append)
    assert store_in(parent, WORKLOAD, say=said.append) == stored
    assert said == []
    for harm in (damage, Path.unlink):
        harm(stored / "train.features.npy")
        with pytest.raises(DatasetError, match=r"train\.features\.npy .*; `tuneoff resume` makes it again"):
            load(WORKLOAD, stored)
        store_in(parent, WORKLOAD, say=said.append)
        assert "train.features.npy" in said[0]
        assert said[-1].endswith("; the data are made again")
        assert same(stored)
        said.clear()
    shutil.rmtree(stored)
    assert not is_stored_in(parent, WORKLOAD)
    store_in(parent, WORKLOAD, say=said.append)
    assert len(said) == 1
    assert is_stored_in(parent, WORKLOAD)
    assert [path.name for path in parent.iterdir()] == [stored.name]


def test_damage_that_the_cache_shares_is_mended_in_both(tmp_path: Path, cache: Path, said: list[str]) -> None:
    """Hard links: what damages one damages both."""
    stored = store_in(tmp_path / "data", WORKLOAD, say=said.append)
    ours = arrays(cache)
    assert (ours / "test.features.npy").samefile(stored / "test.features.npy")
    damage(stored / "test.features.npy")
    store_in(tmp_path / "data", WORKLOAD, say=said.append)
    assert store.problem(ours) is None
    assert same(stored)
    assert same(None)


def test_a_damaged_cache_is_made_again_by_who_reads_it(cache: Path) -> None:
    assert same(None)
    damage(arrays(cache) / "train.features.npy")
    assert same(None)
    assert store.problem(arrays(cache)) is None


def test_a_study_needs_no_cache_once_it_has_the_arrays(tmp_path: Path, cache: Path, said: list[str]) -> None:
    stored = store_in(tmp_path / "data", WORKLOAD, say=said.append)
    shutil.rmtree(cache)
    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "data", moved)
    shutil.rmtree(tmp_path / "data")
    assert is_stored_in(moved, WORKLOAD)
    assert same(store_in(moved, WORKLOAD, say=said.append))
    assert not cache.exists()
    assert not stored.exists()
    assert said == []


@pytest.fixture
def closed_cache(cache: Path) -> Path:
    """A cache in which nothing can be made. (A test may run as root, whom no mode stops.)"""
    prepare(WORKLOAD)
    shutil.rmtree(cache / "arrays")
    (cache / "arrays").write_text("no folder")
    return cache


def test_a_cache_that_cannot_be_written_still_serves(closed_cache: Path, tmp_path: Path, said: list[str]) -> None:
    assert prepare(WORKLOAD) == WORKLOAD.made
    assert same(None)
    assert same(store_in(tmp_path / "data", WORKLOAD, say=said.append))
    assert {path.name for path in closed_cache.iterdir()} == {"digits.npz", "arrays"}
    assert list((tmp_path / "tmp").glob("tuneoff-*/*.npy")) == []


def test_a_cache_that_cannot_be_written_costs_a_reading_each_time_and_no_more(
    own: Workload, cache: Path, makings: list[str], tmp_path: Path
) -> None:
    shutil.rmtree(cache)
    cache.write_text("no folder")
    made = prepare(own)
    assert prepare(own) == facts(own) == made
    assert len(makings) == 1
    assert len(load(own)["train"]) == 36
    assert len(makings) == 2
    with pytest.raises(DatasetError, match=r"cannot write below .*; set TUNEOFF_CACHE to a folder you can write"):
        prepare(own, data_dir=tmp_path)


@pytest.fixture
def own(tmp_path: Path) -> Workload:
    """A workload of a user's, with code."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "workload.toml").write_text("target = 0.9\nevaluate_every_samples = 50\nlimit_s = 5.0\nepochs = 5\n")
    (folder / "model.py").touch()
    (folder / "data.py").write_text(
        "import numpy as np\n"
        "def load(data_dir=None):\n"
        "    print('reading')\n"
        "    shift = 0 if data_dir is None else 1\n"
        "    return {'train': (np.arange(60, dtype=np.float32)[:, None] + shift, np.arange(60) % 3)}\n"
    )
    return read(folder)


@pytest.fixture
def own_npz(own: Workload) -> Workload:
    """The same, with a file."""
    own.data.unlink()
    write_npz(own.folder, 0)
    return read(own.folder)


def write_npz(folder: Path, shift: int) -> None:
    features = np.arange(60, dtype=np.float32)[:, None] + shift
    np.savez(folder / "data.npz", features=features, targets=np.arange(60) % 3)


def test_code_runs_once_in_a_process_and_what_it_prints_is_kept(own: Workload, makings: list[str]) -> None:
    heard: list[str] = []
    made = prepare(own, hear=heard.append)
    assert (made.training_samples, made.shape, made.outputs) == (36, (1,), 3)
    assert facts(own) == prepare(own, hear=heard.append) == made
    assert load(own)["train"].features[:3].tolist() == [[0], [1], [2]]
    assert (len(makings), heard) == (1, ["reading"])
    prepared._found.clear()  # another process
    assert prepare(own) == made
    assert len(makings) == 2


def test_code_that_changed_runs_again(own: Workload, makings: list[str]) -> None:
    before = prepare(own)
    own.data.write_text(own.data.read_text().replace("else 1", "else 1.5").replace("shift = 0", "shift = 2"))
    assert prepare(own) != before
    assert len(makings) == 2


def test_a_folder_that_is_given_is_what_counts_from_then_on(own: Workload, tmp_path: Path, said: list[str]) -> None:
    before = prepare(own)
    made = prepare(own, data_dir=tmp_path)
    assert made != before
    assert facts(own) == made
    assert load(own)["train"].features[0] == 1
    assert store_in(tmp_path / "data", own, say=said.append).name == made.arrays


def test_files_are_read_again_when_they_changed_and_not_before(own_npz: Workload, makings: list[str]) -> None:
    made = prepare(own_npz)
    prepared._found.clear()  # another process
    assert facts(own_npz) == prepare(own_npz) == made
    assert len(makings) == 1
    state = own_npz.data.stat()
    write_npz(own_npz.folder, 1)  # as large as before
    assert own_npz.data.stat().st_size == state.st_size
    assert load(own_npz)["train"].features[0] == 1
    assert len(makings) == 2


def test_files_of_which_the_cache_lost_the_arrays_are_read_again(own_npz: Workload, cache: Path) -> None:
    made = prepare(own_npz)
    shutil.rmtree(cache / "arrays")
    assert prepare(own_npz) == made
    assert len(load(own_npz)["test"]) == 12


def test_a_study_keeps_its_data_whatever_becomes_of_the_workloads(
    own_npz: Workload, tmp_path: Path, cache: Path, said: list[str]
) -> None:
    """Its copy of the workload says what its data must come to."""
    kept = replace(own_npz, made=prepare(own_npz))
    stored = store_in(tmp_path / "data", kept, say=said.append)
    write_npz(own_npz.folder, 1)
    shutil.rmtree(cache)
    assert is_stored_in(tmp_path / "data", kept)
    assert store_in(tmp_path / "data", kept, say=said.append) == stored
    assert load(kept, stored)["train"].features[0] == 0
    assert said == []
    shutil.rmtree(stored)
    with pytest.raises(DatasetError, match="became other arrays than they must"):
        store_in(tmp_path / "data", kept, say=said.append)
    write_npz(own_npz.folder, 0)
    assert store_in(tmp_path / "data", kept, say=said.append) == stored


def test_data_that_are_others_each_time_cannot_be_mended(own: Workload, cache: Path, tmp_path: Path) -> None:
    own.data.write_text(own.data.read_text().replace("shift = 0", "shift = np.random.rand()"))
    made = prepare(own)
    damage(cache / "arrays" / made.arrays / "test.features.npy")
    with pytest.raises(DatasetError, match=r"are others each time they are read; in .*, seed what draws"):
        store_in(tmp_path / "data", own, say=print)


@pytest.mark.parametrize(("code", "note"), [("print('a')\nprint('b')\n1 / 0\n", ["a\nb"]), ("1 / 0\n", [])])
def test_what_was_printed_before_code_failed_is_its_note(own: Workload, code: str, note: list[str]) -> None:
    own.data.write_text(code)
    with pytest.raises(DatasetError, match=r"data\.py, line \d: ZeroDivisionError: division by zero") as failed:
        prepare(own)
    assert getattr(failed.value, "__notes__", []) == note
    assert "ZeroDivisionError" in str(failed.value.__cause__)


def test_a_process_that_dies_is_told(own: Workload) -> None:
    own.data.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    told = r"data\.py cannot be read: the process that does was ended by SIGKILL; it may have had too little memory"
    with pytest.raises(DatasetError, match=told):
        prepare(own)


def test_a_slow_loader_is_waited_for_and_ends_with_who_waits(own: Workload, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    own.data.write_text(f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n")

    def interrupt() -> None:
        while not pid.exists() or not pid.read_text():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        prepare(own)
    assert not psutil.pid_exists(int(pid.read_text())) or psutil.Process(int(pid.read_text())).status() == "zombie"


def test_a_study_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(OSError, match=r"cannot write below .*data \(File exists\)"):
        store_in(tmp_path / "data", WORKLOAD, say=print)


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
    load(WORKLOAD)


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
    assert [path.name for path in (cache / "arrays").glob("[!.]*")] == [HASH]
    assert list((cache / "arrays").glob(".*.tmp")) == []


def test_a_training_reads_the_folder_that_it_is_given(spec: TrainingSpec, tmp_path: Path, cache: Path) -> None:
    from trainables.training import Training, run_to_end

    stored = store_in(tmp_path / "data", WORKLOAD, say=print)
    shutil.rmtree(cache)
    assert run_to_end(Training(spec, data=stored))["outcome"] == "reached"
    assert not cache.exists()
    shutil.rmtree(stored)
    with pytest.raises(DatasetError, match="makes it again"):
        run_to_end(Training(spec, data=stored))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_pytorch_reads_the_map_itself_and_does_not_warn(num_workers: int) -> None:
    from trainables.pytorch.loader import Loader

    train = load(WORKLOAD)["train"]
    order = np.arange(len(train))[::-1].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loader = Loader(train, batch_size=100, num_workers=num_workers, pin_memory=False)
        batches = list(loader.epoch(order))
        loader.close()
    assert np.array_equal(np.concatenate([images for images, _ in batches]), train.features[::-1])
    assert np.array_equal(np.concatenate([labels for _, labels in batches]), train.targets[::-1])
