from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from trainables.common import temporary
from trainables.common.temporary import LONGEST_SOCKET, folder_for_sockets, socket_problem

NAME = "pymp-12345678/listener-12345678"


def test_a_folder_that_works_is_left_as_it_was(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        assert socket_problem(folder, NAME) is None
        assert list(Path(folder).iterdir()) == []


def test_the_longest_path_that_works_is_the_systems() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        for extra, works in ((0, True), (1, False)):
            length = LONGEST_SOCKET - len(NAME) - 1 + extra
            folder = Path(short, "x" * (length - len(short) - 1))
            (folder / Path(NAME).parent).mkdir(parents=True)
            assert (socket_problem(folder, NAME) is None) == works
            with socket.socket(socket.AF_UNIX) as tried:
                if works:
                    tried.bind(str(folder / NAME))
                else:
                    with pytest.raises(OSError, match="too long"):
                        tried.bind(str(folder / NAME))


def test_what_is_wrong_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary, "LONGEST_SOCKET", 1000)
    assert socket_problem(tmp_path / "away", "s") == "does not exist"
    (tmp_path / "file").touch()
    assert socket_problem(tmp_path / "file", "s") == "is not a folder"
    assert "cannot be written" in str(socket_problem("/proc/self", "s"))
    assert "is 1003 bytes long" in str(socket_problem("/" + 1002 * "x", "s"))


def test_storage_without_sockets_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(socket.socket):
        def bind(self, _address: object) -> None:
            raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(socket, "socket", Refusing)
    monkeypatch.setattr(temporary, "LONGEST_SOCKET", 1000)
    assert socket_problem(tmp_path, "s") == "has no room or takes no sockets (Operation not permitted)"
    assert list(tmp_path.iterdir()) == []


def test_another_folder_is_found_where_the_usual_one_does_not_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_for_sockets.cache_clear()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("x" * 100)))
    assert folder_for_sockets(NAME) == "/tmp"
    folder_for_sockets.cache_clear()
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    assert folder_for_sockets(NAME) is None
    folder_for_sockets.cache_clear()
