"""Stored arrays: what is written is what is read, once checked, shared and never written to."""

from __future__ import annotations

import errno
import json
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from trainables.common.machine import Memory
from trainables.workloads import store


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of its own, in which this machine has checked nothing yet."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


ARRAYS = {
    "train": {
        "images": np.arange(5000, dtype=np.float32).reshape(50, 1, 10, 10),
        "labels": np.arange(50, dtype=np.int64),
        "weights": np.float64(2.5) * np.ones(()),
    },
    "test": {"images": np.empty((0, 1, 10, 10), dtype=np.float32), "words": np.array(["a", "bcd"])},
}


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Sets whose every byte was read."""
    seen: list[Path] = []
    whole = store._check_whole
    monkeypatch.setattr(store, "_check_whole", lambda stored, entries: (seen.append(stored), whole(stored, entries)))
    return seen


def mapped(array: np.ndarray) -> bool:
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap.mmap)


def test_arrays_of_any_type_and_shape_come_back_as_they_were(tmp_path: Path) -> None:
    stored = store.write(tmp_path / "data", ARRAYS)
    assert stored.name == store.content_hash(ARRAYS)
    found = store.read(stored)
    assert {split: list(part) for split, part in found.items()} == {
        "test": ["images", "words"],
        "train": ["images", "labels", "weights"],
    }
    for split, part in ARRAYS.items():
        for name, array in part.items():
            assert found[split][name].dtype == array.dtype
            assert found[split][name].shape == array.shape
            assert np.array_equal(found[split][name], array)
    assert mapped(found["train"]["images"])
    with pytest.raises(ValueError, match="read-only"):
        found["train"]["images"][0] = 1
    assert store.seems_whole(stored)
    assert store.problem(stored) is None


def test_arrays_that_are_not_contiguous_are_stored_as_they_look(tmp_path: Path) -> None:
    turned = {"train": {"images": ARRAYS["train"]["images"][::-2].T}}
    assert np.array_equal(store.read(store.write(tmp_path, turned))["train"]["images"], turned["train"]["images"])


def test_an_array_that_comes_in_pieces_is_stored_as_if_it_came_whole(tmp_path: Path) -> None:
    class Halves:
        dtype, shape = np.dtype(np.float32), (50, 1, 10, 10)

        def pieces(self) -> Iterator[np.ndarray]:
            yield from (ARRAYS["train"]["images"][:20], ARRAYS["train"]["images"][20:])

    given = {"train": {"images": Halves()}}
    whole = {"train": {"images": ARRAYS["train"]["images"]}}
    assert store.content_hash(given) == store.content_hash(whole)
    stored = store.write(tmp_path, given)
    assert np.array_equal(store.read(stored)["train"]["images"], whole["train"]["images"])
    np.save(tmp_path / "whole.npy", whole["train"]["images"])
    assert (tmp_path / "whole.npy").read_bytes() == (stored / "train.images.npy").read_bytes()


@pytest.mark.parametrize("array", [np.arange(100).reshape(50, 2), np.arange(12.0).reshape(3, 4).T, np.ones((0, 3))])
def test_pieces_are_the_array(monkeypatch: pytest.MonkeyPatch, array: np.ndarray) -> None:
    monkeypatch.setattr(store, "PIECE_BYTES", 50)
    found = list(store.pieces(array))
    assert np.array_equal(np.concatenate(found), array)
    assert all(each.flags.c_contiguous and each.nbytes <= 50 for each in found)


def test_the_hash_tells_bytes_types_shapes_and_names_apart() -> None:
    base = np.arange(4, dtype=np.int64)
    others = [base + 1, base.astype(np.int32), base.reshape(2, 2), base.view(np.float64)]
    hashes = {store.content_hash({"train": {"labels": each}}) for each in [base, *others]}
    hashes |= {store.content_hash({"train": {"images": base}}), store.content_hash({"test": {"labels": base}})}
    assert len(hashes) == 7


def test_nothing_but_the_set_is_left(tmp_path: Path) -> None:
    stored = store.write(tmp_path, ARRAYS)
    store.write(tmp_path, ARRAYS)
    assert list(tmp_path.glob("*")) == [tmp_path / "tmp", stored] or set(tmp_path.glob("*")) == {
        tmp_path / "tmp",
        stored,
    }
    files = {"manifest.json", "train.images.npy", "train.labels.npy", "train.weights.npy", "test.images.npy"}
    assert {path.name for path in stored.iterdir()} == files | {"test.words.npy"}


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.np.lib.format, "write_array_header_1_0", full)
    with pytest.raises(OSError, match="No space"):
        store.write(tmp_path / "data", ARRAYS)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_set_is_checked_once_on_a_machine(tmp_path: Path, checks: list[Path]) -> None:
    stored = store.write(tmp_path / "data", ARRAYS)
    for _ in range(3):
        store.read(stored)
    assert checks == [stored]


def test_a_set_that_changed_is_checked_again(tmp_path: Path, checks: list[Path]) -> None:
    stored = store.write(tmp_path / "data", ARRAYS)
    store.read(stored)
    _flip(stored / "train.images.npy")
    with pytest.raises(store.Damaged, match=r"train\.images\.npy is damaged \(its SHA-256"):
        store.read(stored)
    assert len(checks) == 2


def test_where_no_mark_can_be_kept_every_reader_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checks: list[Path]
) -> None:
    stored = store.write(tmp_path / "data", ARRAYS)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    for _ in range(2):
        assert np.array_equal(store.read(stored)["train"]["labels"], ARRAYS["train"]["labels"])
    assert len(checks) == 2


def test_the_word_of_another_user_is_not_taken(
    tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch, checks: list[Path]
) -> None:
    stored = store.write(tmp_path / "data", ARRAYS)
    store.read(stored)
    (machine / f"tuneoff-{os.getuid()}").rename(machine / "tuneoff-12345")  # made by this user, for that one
    monkeypatch.setattr(store.os, "getuid", lambda: 12345)
    store.read(stored)
    assert len(checks) == 2


def _flip(path: Path) -> None:
    path.chmod(0o644)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def _cut(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-10])


def _other(path: Path) -> None:
    path.unlink()
    np.save(path, np.zeros(3))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _no_header(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"<html>")


def _empty(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flipped": _flip,
    "cut": _cut,
    "missing": Path.unlink,
    "other": _other,
    "folder": _folder,
    "no header": _no_header,
    "empty": _empty,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_by_readers_told_and_mended_by_a_copy(tmp_path: Path, damage: str) -> None:
    stored = store.write(tmp_path / "data", ARRAYS)
    whole = store.write(tmp_path / "cache", ARRAYS)
    DAMAGES[damage](stored / "train.images.npy")
    assert store.seems_whole(stored) == (damage == "flipped")
    assert "train.images.npy" in (store.problem(stored) or "")
    with pytest.raises(store.Damaged, match=r"train\.images\.npy"):
        store.read(stored)
    assert store.copy(whole, tmp_path / "data") == stored
    assert store.problem(stored) is None
    assert [path.name for path in (tmp_path / "data").iterdir()] == [stored.name]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"arrays": 1}', '{"arrays": {"train": {"images": {}}}}', "\0"])
def test_a_damaged_manifest_is_damage(tmp_path: Path, text: str) -> None:
    stored = store.write(tmp_path / "data", ARRAYS)
    (stored / store.MANIFEST).chmod(0o644)
    (stored / store.MANIFEST).write_text(text)
    assert store.MANIFEST in (store.problem(stored) or "")
    assert not store.seems_whole(stored)


def test_a_manifest_cannot_say_what_the_folders_name_does_not(tmp_path: Path) -> None:
    stored = store.write(tmp_path / "data", ARRAYS)
    manifest = stored / store.MANIFEST
    values = json.loads(manifest.read_text())
    values["arrays"]["train"]["images"]["sha256"] = "0" * 64
    manifest.chmod(0o644)
    manifest.write_text(json.dumps(values))
    assert "does not belong to a folder of this name" in (store.problem(stored) or "")


def test_a_copy_takes_no_room_on_the_same_file_system_and_a_real_one_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = store.write(tmp_path / "cache", ARRAYS)
    linked = store.copy(stored, tmp_path / "one")
    assert (linked / "train.images.npy").samefile(stored / "train.images.npy")

    def refused(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    copied = store.copy(stored, tmp_path / "two")
    assert not (copied / "train.images.npy").samefile(stored / "train.images.npy")
    assert store.problem(copied) is None


def test_a_reader_keeps_its_arrays_while_they_are_made_again(tmp_path: Path) -> None:
    stored = store.write(tmp_path / "data", ARRAYS)
    labels = store.read(stored)["train"]["labels"]
    (stored / "train.images.npy").unlink()
    store.write(tmp_path / "data", ARRAYS)
    assert np.array_equal(labels, ARRAYS["train"]["labels"])
    assert store.problem(stored) is None


def test_a_file_system_without_memory_maps_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = store.write(tmp_path / "data", ARRAYS)
    load = np.load

    def without(path: Path, mmap_mode: str | None = None, **more: bool) -> object:
        if mmap_mode is not None:
            raise OSError(errno.ENODEV, "No such device")
        return load(path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(store.np, "load", without)
    images = store.read(stored)["train"]["images"]
    assert np.array_equal(images, ARRAYS["train"]["images"])
    assert not mapped(images)
    assert not images.flags.writeable


@pytest.mark.parametrize(("room", "touched"), [(10**9, 5), (1000, 0)])
def test_pages_are_brought_into_memory_where_there_is_room_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, touched: int
) -> None:
    seen: list[np.ndarray] = []
    monkeypatch.setattr(store, "memory", lambda: Memory(room, room))
    monkeypatch.setattr(store, "_touch", seen.append)
    found = store.read(store.write(tmp_path / "data", ARRAYS))
    assert len(seen) == touched
    assert np.array_equal(found["train"]["images"], ARRAYS["train"]["images"])


def test_leftovers_of_killed_writers_go_and_living_ones_stay(tmp_path: Path) -> None:
    left = tmp_path / ".arrays.x.tmp"
    left.mkdir()
    (left / "train.images.npy").write_bytes(b"half")
    store.remove_leftovers(tmp_path, older_than_s=60.0)
    assert left.exists()
    store.remove_leftovers(tmp_path)
    assert not left.exists()
