"""Paths as users give them; a URL is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainables.common.errors import UserError
from trainables.common.places import local_path


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/x",
        "S3://UPPER/x",
        "gs://b",
        "hdfs://n:9000/x",
        "http://h/x",
        "https://h",
        "s3a://b/x",
        "memory://x",
    ],
)
def test_urls_are_refused_in_a_line_that_says_where_and_what_to_do(url: str) -> None:
    with pytest.raises(UserError, match=r"; give a path, on a cluster one on storage that all nodes share") as refused:
        local_path(url, "--out")
    assert str(refused.value).startswith(f"--out {url} is a URL, ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "path",
    [
        "results",
        "/abs/x",
        "a:b",
        "s3:",
        "s3:/x",
        "c:/x",
        "./s3://x",
        "/x/s3://y",
        "2026-11-25T21:00:00/x",
        "~/x",
        "1://x",
    ],
)
def test_paths_stay_what_they_are(path: str) -> None:
    assert local_path(path, "--out") == Path(path)
    assert local_path(Path(path), "--out") == Path(path)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///abs/path", "/abs/path"),
        ("FILE:///abs/path", "/abs/path"),
        ("file://localhost/abs/a%20b", "/abs/a b"),
        ("file:///a:b", "/a:b"),
    ],
)
def test_a_file_url_is_the_path_it_names(url: str, path: str) -> None:
    assert local_path(url, "--out") == Path(path)


@pytest.mark.parametrize("url", ["file://host/share", "file://relative", "file://", "file:///x?y", "file:///x#y"])
def test_a_file_url_of_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(UserError, match=r"names no path of this machine; write file:///PATH, or the path alone"):
        local_path(url, "DIR")
