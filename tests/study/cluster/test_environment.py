"""What a local Ray is given before it starts: a token of its own, kept in no home folder."""

from __future__ import annotations

import os

import pytest

from study.cluster.environment import prepare


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    for name in [name for name in os.environ if name.startswith("RAY_AUTH")]:
        del os.environ[name]


def test_a_local_ray_gets_a_token_of_its_own_each_time() -> None:
    prepare(local=True)
    first = os.environ.pop("RAY_AUTH_TOKEN")
    prepare(local=True)
    assert len(first) == 64
    assert os.environ["RAY_AUTH_TOKEN"] != first


def test_the_users_token_is_kept() -> None:
    os.environ["RAY_AUTH_TOKEN"] = "theirs"
    prepare(local=True)
    assert os.environ["RAY_AUTH_TOKEN"] == "theirs"


def test_a_cluster_is_met_with_the_users_own_token() -> None:
    prepare(local=False)
    assert not [name for name in os.environ if name.startswith("RAY_AUTH")]
