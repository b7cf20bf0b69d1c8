"""A trial's own checkpoints, the last two: for each a JSON state and the model that belongs to it.

The model is written first, then the state that names it, each replaced in one step; so a crash at any moment leaves a
whole pair. Both carry checksums: a pair that the disk has damaged since is passed over for the one before, and the
trial says so.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.common.files import replacing, write_text

KEPT = 2  # pairs
_STATE, _MODEL = "state-{:06d}.json", "model-{:06d}"


class Damaged(Exception):
    """A file is not what was written."""


@dataclass(frozen=True)
class Checkpoint:
    """What `read` found."""

    state: dict[str, Any]
    model: Path | None  # None for a training that is over
    passed_over: tuple[str, ...]  # of newer ones that are damaged, the reasons


def save(folder: Path, number: int, state: dict[str, Any], *, save_model: Callable[[Path], None] | None) -> None:
    """Write a checkpoint.

    Parameters
    ----------
    folder
        The trial's; made where it does not exist, but not its parent: when storage has gone away, nothing must grow in
        its place.
    number
        Counts up; the two highest are kept.
    save_model
        Writes the model to a path; None for a training that is over, which needs no model any more.

    Raises
    ------
    OSError
        When the folder cannot be written.
    """
    folder.mkdir(exist_ok=True)
    model = None
    if save_model is not None:
        path = folder / _MODEL.format(number)
        with replacing(path) as temporary:
            save_model(temporary)
            model = {"name": path.name, "crc32": _crc32(temporary)}
    content = json.dumps({"state": state, "model": model}, sort_keys=True)
    write_text(folder / _STATE.format(number), json.dumps({"crc32": _crc32_of(content), **json.loads(content)}))
    oldest_kept = sorted(_number(path) for path in folder.glob("state-*.json"))[-KEPT:][0]
    for older in folder.glob("[sm]*-*"):
        if _number(older) < oldest_kept:
            older.unlink(missing_ok=True)


def read(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole; None where none was ever written.

    Damaged states are renamed, so that they are neither read again nor counted among those that are kept.

    Raises
    ------
    Damaged
        When there are checkpoints and none of them is whole.
    """
    passed_over: list[str] = []
    for path in sorted(folder.glob("state-*.json"), reverse=True):
        try:
            state, model = _read_state(path)
            return Checkpoint(state, _whole_model(folder, model), tuple(passed_over))
        except Damaged as problem:
            passed_over.append(str(problem))
            path.rename(path.with_name(f"damaged-{path.name}"))
    if passed_over:
        raise Damaged("; ".join(passed_over))
    return None


def read_state(folder: Path) -> dict[str, Any] | None:
    """The newest whole state, whether its model is there or not: what a trial had done; None where there is none."""
    for path in sorted(folder.glob("state-*.json"), reverse=True):
        try:
            return _read_state(path)[0]
        except Damaged:
            continue
    return None


def drop_models(folder: Path) -> None:
    """Delete the models of a trial that will not go on; its states stay, they hold its evaluations."""
    for model in folder.glob("model-*"):
        model.unlink(missing_ok=True)


def forget(folder: Path) -> None:
    """Delete a trial's checkpoints: it begins anew."""
    for path in folder.glob("*"):
        path.unlink(missing_ok=True)


def _number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def _read_state(path: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    try:
        content = json.loads(path.read_bytes())
        crc32, state, model = content.pop("crc32"), content["state"], content["model"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{path} is damaged ({error})") from None
    if crc32 != _crc32_of(json.dumps(content, sort_keys=True)):
        raise Damaged(f"{path} is damaged (its checksum does not fit)")
    return state, model


def _whole_model(folder: Path, model: dict[str, Any] | None) -> Path | None:
    if model is None:
        return None
    path = folder / str(model["name"])
    if not path.exists():
        raise Damaged(f"{path} is missing")
    if _crc32(path) != model["crc32"]:
        raise Damaged(f"{path} is damaged (its checksum does not fit)")
    return path


def _crc32_of(text: str) -> int:
    return zlib.crc32(text.encode())


def _crc32(path: Path) -> int:
    crc32 = 0
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            crc32 = zlib.crc32(chunk, crc32)
    return crc32
