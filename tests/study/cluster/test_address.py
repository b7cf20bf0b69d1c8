"""Where a study runs: by --address, RAY_ADDRESS and whether it is part of a Ray job; how a cluster is entered."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from study.cluster import admission
from study.cluster.address import JOB, Place, place
from study.cluster.admission import enter
from study.cluster.connection import _leave_job_folder
from study.cluster.environment import prepare
from trainables.common.errors import UserError

CLUSTER = {"RAY_ADDRESS": "10.0.0.1:6379"}
IN_JOB = {JOB: '{"runtime_env": {}}'}


@pytest.mark.parametrize(
    ("given", "environment", "address", "source", "option"),
    [
        (None, {}, None, "", ""),
        (None, {"RAY_ADDRESS": " "}, None, "", ""),
        (None, CLUSTER, "10.0.0.1:6379", "RAY_ADDRESS", " --address 10.0.0.1:6379"),
        ("auto", CLUSTER, "10.0.0.1:6379", "RAY_ADDRESS", " --address 10.0.0.1:6379"),
        ("10.0.0.9:1", CLUSTER, "10.0.0.9:1", "--address", " --address 10.0.0.9:1"),
        ("local", CLUSTER, None, "--address", " --address local"),
        ("local", {**CLUSTER, **IN_JOB}, None, "--address", " --address local"),
        (None, {"RAY_ADDRESS": "local"}, None, "RAY_ADDRESS", " --address local"),
        (None, {"RAY_ADDRESS": "auto"}, "auto", "RAY_ADDRESS", " --address auto"),
        ("auto", {}, "auto", "--address", " --address auto"),
        (None, IN_JOB, "auto", "this Ray job", " --address auto"),
        (None, {**CLUSTER, **IN_JOB}, "10.0.0.1:6379", "this Ray job", " --address auto"),
        ("[::1]:6379", {}, "[::1]:6379", "--address", " --address [::1]:6379"),
    ],
)
def test_where_a_study_runs(
    given: str | None, environment: dict[str, str], address: str | None, source: str, option: str
) -> None:
    found = place(given, environment)
    assert (found.address, found.source, found.option) == (address, source, option)
    assert found.local == (address is None)


@pytest.mark.parametrize(
    ("given", "environment", "said"),
    [
        ("ray://10.0.0.1:10001", {}, "--address ray://10.0.0.1:10001: Ray Tune does not run through Ray Client"),
        (None, {"RAY_ADDRESS": "ray://x:1"}, "RAY_ADDRESS ray://x:1: Ray Tune does not run"),
        (None, {"RAY_ADDRESS": "http://127.0.0.1:8265"}, "RAY_ADDRESS http://127.0.0.1:8265 is where jobs are submi"),
        ("head", {}, "--address head is no address of a Ray cluster"),
        ("head:ray", {}, "--address head:ray is no address"),
        (":6379", {}, "--address :6379 is no address"),
        ("head:99999", {}, "--address head:99999 is no address"),
    ],
)
def test_what_is_no_address_of_a_cluster(given: str | None, environment: dict[str, str], said: str) -> None:
    with pytest.raises(UserError) as refused:
        place(given, environment)
    assert str(refused.value).startswith(said)
    assert "local" in str(refused.value)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, and no variable of Ray's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    monkeypatch.setattr(os, "environ", {**kept, "HOME": str(tmp_path)})
    return tmp_path


class Door:
    """A cluster that wants one token, or none at all; stands in for `study.cluster.knock`."""

    def __init__(self, wants: str | None) -> None:
        self.wants = wants
        self.tried: list[str] = []

    def __call__(self, address: str, mode: str) -> tuple[str, str]:
        self.tried.append(mode)
        token = os.environ.get("RAY_AUTH_TOKEN") or self._file()
        return address, "in" if self.wants is None or (mode == "token" and token == self.wants) else "refused"

    def _file(self) -> str:
        path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or f"{os.environ['HOME']}/.ray/auth_token")
        return path.read_text() if path.exists() else ""


def _at_home(home: Path, token: str = "right") -> None:
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text(token)


OURS = Place("10.0.0.1:6379", "--address")


@pytest.mark.parametrize(
    ("wants", "at_home", "variables", "mode", "tried"),
    [
        (None, False, {}, "disabled", 1),
        (None, True, {}, "disabled", 1),  # the token stays here
        ("right", True, {}, "token", 2),
        ("right", False, {"RAY_AUTH_TOKEN": "right"}, "token", 1),
        ("right", True, {"RAY_AUTH_MODE": "token"}, "token", 1),
        (None, True, {"RAY_AUTH_MODE": "token"}, "token", 1),
        (None, False, {"RAY_AUTH_MODE": "disabled"}, "disabled", 1),
    ],
)
def test_a_cluster_is_entered_as_it_wants(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    wants: str | None,
    at_home: bool,
    variables: dict[str, str],
    mode: str,
    tried: int,
) -> None:
    if at_home:
        _at_home(home)
    os.environ.update(variables)
    door = Door(wants)
    monkeypatch.setattr(admission, "_knock", door)
    assert enter(OURS) == OURS
    assert os.environ["RAY_AUTH_MODE"] == mode
    assert len(door.tried) == tried


def test_a_token_in_a_file_of_its_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "token").write_text("right")
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(home / "token")
    monkeypatch.setattr(admission, "_knock", Door("right"))
    enter(OURS)
    assert os.environ["RAY_AUTH_MODE"] == "token"


@pytest.mark.parametrize(
    ("at_home", "variables", "said"),
    [
        (None, {}, "wants a token, and there is none here; set RAY_AUTH_TOKEN to what `ray get-auth-token` prints"),
        (None, {"RAY_AUTH_MODE": "disabled"}, "on its head and unset RAY_AUTH_MODE"),
        (None, {"RAY_AUTH_MODE": "token"}, "RAY_AUTH_MODE is token, and there is no token here; set RAY_AUTH_TOKEN"),
        ("right", {"RAY_AUTH_MODE": "disabled"}, "RAY_AUTH_MODE is disabled; set RAY_AUTH_MODE=token"),
        ("wrong", {}, "wants a token, and not that of ~/.ray/auth_token; set RAY_AUTH_TOKEN to what"),
        ("right", {"RAY_AUTH_TOKEN": "wrong"}, "not that of RAY_AUTH_TOKEN; set RAY_AUTH_TOKEN to what"),
        ("right", {"RAY_AUTH_TOKEN_PATH": "/nowhere"}, "RAY_AUTH_TOKEN_PATH is /nowhere, which cannot be read"),
    ],
)
def test_who_is_not_let_in_is_told_which_variable_helps(
    home: Path, monkeypatch: pytest.MonkeyPatch, at_home: str | None, variables: dict[str, str], said: str
) -> None:
    if at_home:
        _at_home(home, at_home)
    os.environ.update(variables)
    monkeypatch.setattr(admission, "_knock", Door("right"))
    with pytest.raises(UserError) as refused:
        enter(OURS)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_cluster_on_this_machine_is_one_line(home: Path) -> None:
    os.environ["RAY_TMPDIR"] = str(home)
    address = home / "ray" / "ray_current_cluster"
    address.parent.mkdir()
    address.write_text("127.0.0.1:1")  # of one that is gone
    with pytest.raises(UserError, match=r"^no Ray cluster at \S+:1 \(.*refused\); `ray status` there tells its"):
        enter(Place("auto", "--address"))


def test_a_local_study_meets_no_cluster_and_no_job(home: Path) -> None:
    os.environ.update({**CLUSTER, **IN_JOB})
    prepare(local=True)
    assert not {"RAY_ADDRESS", JOB} & os.environ.keys()


def test_the_folder_of_a_job_is_no_part_of_the_trials(home: Path) -> None:
    runtime = {"working_dir": "gcs://_ray_pkg_1.zip", "py_modules": ["gcs://_ray_pkg_2.zip"], "env_vars": {"A": "1"}}
    os.environ[JOB] = json.dumps({"runtime_env": runtime, "metadata": {"job_name": "one"}})
    _leave_job_folder()
    assert json.loads(os.environ[JOB]) == {"runtime_env": {"env_vars": {"A": "1"}}, "metadata": {"job_name": "one"}}
