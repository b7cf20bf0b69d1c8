"""In which folder a local Ray keeps its sockets; no Ray in this file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.cluster import environment
from study.cluster.environment import NoFolder, choose_temporary_folder

OURS = f"tuneoff-{os.getuid()}"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "restored afterwards")
    for name in ("RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The only place for folders of our own; short."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr(environment, "PLACES", (folder,))
        yield folder


@pytest.fixture
def lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """The length of a path alone decides, but in /tmp."""

    def problem(folder: str | Path, _name: str) -> str | None:
        return "is too long" if len(str(folder)) > 60 else "is full" if str(folder) == "/tmp" else None

    monkeypatch.setattr(environment, "socket_problem", problem)


@pytest.mark.parametrize("variables", [{}, {"TMPDIR": "/tmp"}, {"RAY_TMPDIR": "/tmp", "TMPDIR": "/x" * 60}])
def test_a_choice_that_works_is_kept(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert choose_temporary_folder() is None
    assert os.environ.get("RAY_TMPDIR") == variables.get("RAY_TMPDIR")


@pytest.mark.parametrize("name", ["RAY_TMPDIR", "TMPDIR"])
@pytest.mark.parametrize(
    ("value", "why"), [("/" + "x" * 93, "is 94 bytes long"), ("/nonexistent", "does not exist"), ("/proc", "cannot be")]
)
def test_one_that_does_not_work_is_replaced_and_told(
    place: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str
) -> None:
    monkeypatch.setenv(name, value)
    notice = choose_temporary_folder()
    assert os.environ["RAY_TMPDIR"] == f"{place}/{OURS}"
    assert notice is not None
    assert notice.startswith(f"{name} ({value}) {why}")
    assert notice.endswith(f"; Ray uses {place}/{OURS}")
    assert Path(place, OURS).stat().st_mode & 0o077 == 0
    assert choose_temporary_folder() is None


@pytest.mark.usefixtures("lengths")
def test_the_next_place_is_tried(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PLACES", ("/tmp", place))
    monkeypatch.setenv("TMPDIR", "/x" * 60)
    assert str(choose_temporary_folder()).endswith(f"; Ray uses {place}/{OURS}")


def test_a_folder_of_somebody_else_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / OURS).symlink_to("/var/tmp")
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    monkeypatch.setattr(environment, "PLACES", (str(tmp_path),))
    monkeypatch.setattr(environment, "socket_problem", lambda folder, _: "is bad" if "none" in str(folder) else None)
    with pytest.raises(NoFolder, match=f"has a {OURS} of somebody else"):
        choose_temporary_folder()


def test_no_folder_at_all_is_a_line_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/scratch/job")
    monkeypatch.setattr(environment, "socket_problem", lambda _folder, _name: "cannot be written")
    with pytest.raises(NoFolder) as raised:
        choose_temporary_folder()
    assert str(raised.value) == (
        "Ray finds no folder for its sockets: TMPDIR (/scratch/job) cannot be written; /tmp cannot be written; "
        "/var/tmp cannot be written; /dev/shm cannot be written. Set RAY_TMPDIR or TMPDIR to a short path on a "
        "local disk that can be written"
    )
    assert "RAY_TMPDIR" not in os.environ
