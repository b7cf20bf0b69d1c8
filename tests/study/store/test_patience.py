"""What storage refuses for ever is told at once; what may pass is waited for."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from study.store.patience import Patience, StorageGone

FOR_EVER = ["EPERM", "EACCES", "EROFS", "ENOTSUP", "EOPNOTSUPP", "ENAMETOOLONG", "ELOOP", "ENOTDIR", "EINVAL"]
PASSING = ["ENOSPC", "EDQUOT", "EIO", "ESTALE", "ENOENT", "EHOSTDOWN", "ETIMEDOUT", "EFBIG"]


def refusing(name: str, times: int) -> tuple[Callable[[], None], list[int]]:
    """An action that fails so often, and the list that counts its calls."""
    calls: list[int] = []

    def action() -> None:
        calls.append(1)
        if len(calls) <= times:
            number = getattr(errno, name)
            raise OSError(number, os.strerror(number))

    return action, calls


@pytest.mark.parametrize("name", FOR_EVER)
def test_a_refusal_that_never_passes_is_told_at_once(name: str) -> None:
    said: list[str] = []
    action, calls = refusing(name, 10**9)
    with pytest.raises(StorageGone, match=r"^cannot use /x/records\.jsonl \(.+\), and no waiting changes that$"):
        Patience(said.append, limit_s=2.0, retry_s=0.01).attempt(Path("/x/records.jsonl"), action)
    assert (len(calls), said) == (1, [])


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_waited_for(name: str) -> None:
    said: list[str] = []
    action, calls = refusing(name, 2)
    Patience(said.append, limit_s=60.0, retry_s=0.0).attempt(Path("/x/records.jsonl"), action)
    assert len(calls) == 3
    assert "waiting for the storage" in said[0]
    assert "can be used again" in said[1]


def test_a_name_that_is_too_long_for_real(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 300)
    with pytest.raises(StorageGone, match="File name too long"):
        Patience(print, limit_s=5.0).attempt(path, path.touch)


def test_a_file_where_a_folder_should_be_for_real(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "records.jsonl"
    with pytest.raises(StorageGone, match="Not a directory"):
        Patience(print, limit_s=5.0).attempt(path, path.touch)
