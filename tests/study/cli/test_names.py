"""What a study may be called, wherever its name comes from. No Ray in this file."""

from __future__ import annotations

from pathlib import Path

import pytest

from study.cli.running import open_study
from study.plan.files import load_plan
from study.plan.names import check_name
from study.store.folder import create
from tests.study.cli.test_commands import call
from trainables.common.errors import UserError

QUICK = ["quickstart", "--frameworks", "simulated"]
BAD = [
    ("", "'' is empty"),
    (" ", "' ' is empty"),
    ("a/b", "'a/b' has a slash: a name is no path, --out says in which folder"),
    ("/tmp/x", "has a slash"),
    ("..", "'..' begins with a dot"),
    (".", "'.' begins with a dot"),
    (".hidden", "begins with a dot"),
    ("../x", "has a slash"),
    ("-x", "'-x' begins with a dash: commands would take it for an option"),
    ("--name", "begins with a dash"),
    ("a\nb", r"'a\nb' has a control character (U+000A)"),
    ("a\x1b[31m", r"'a\x1b[31m' has a control character (U+001B)"),
    ("a\u202eb", r"has a character that is not seen (U+202E)"),
    ("a\u2028b", "has a line end (U+2028)"),
    ("x ", "begins or ends with a space"),
    ("comparison", "is reserved: `tuneoff compare` writes its page there"),
    ("x" * 201, f"'{'x' * 40}...' is 201 bytes long, more than 200"),
    ("\u00e9" * 150, "is 300 bytes long"),
]


@pytest.mark.parametrize(("name", "problem"), BAD)
def test_a_name_is_a_name(
    name: str, problem: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (
        ["launch", *QUICK],
        ["sweep", "digits-lenet", "--over", "num_workers=0"],
        ["cluster", "slurm", *QUICK, "--out", "/shared"],
        ["cluster", "local", *QUICK],
    ):
        code, out, err = call([*command, f"--name={name}"], capsys, monkeypatch)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("tuneoff: --name ")
        assert problem in err
        assert err.endswith("; choose another with --name, as in --name adam-2\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["adam", "a b", "gr\u00f6\u00dfe", "2026-11-25T21:00:00", "s3:", "x" * 200, "results"])
def test_other_names_are_taken(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["comparison.toml", "-x.toml", ".toml", " .toml"])
def test_a_plans_file_gives_no_bad_name(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text('workload = "digits-lenet"\nframeworks = ["simulated"]\n')
    code, _, err = call(["launch", f"./{name}"], capsys, monkeypatch)
    assert code == 2
    assert err.startswith("tuneoff: the plan's name ")
    assert "choose another with --name" in err


def test_a_study_is_never_called_as_a_way_to_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = create(tmp_path / "s", load_plan("quickstart", frameworks=["simulated"]))
    (folder.path / "report").mkdir()
    monkeypatch.chdir(folder.path / "report")
    for way in ("..", "../../s", "../report/..", str(folder.path)):
        assert open_study(Path(way))[0].name == "s"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["launch", *QUICK, "--out", ""], "--out is empty; give a path"),
        (["launch", *QUICK, "--data-dir", " "], "--data-dir is empty; give a path"),
        (["launch", ""], "PLAN is empty; give a path"),
        (["status", ""], "DIR is empty; give a path"),
        (["launch", *QUICK, "--out", "a\nb"], r"--out 'a\nb' has a control character (U+000A)"),
        (["launch", *QUICK, "--out", "file:///tmp/%00x"], r"--out '/tmp/\x00x' has a control character (U+0000)"),
        (["launch", *QUICK, "--data-dir", "~nobody-of-this-name/x"], "is in the home of a user that is not here"),
        (
            ["launch", *QUICK, "--frameworks", ""],
            "--frameworks names none; give pytorch, flux, pytorch-compile or available",
        ),
        (["launch", *QUICK, "--frameworks", " , "], "--frameworks names none"),
        (["cluster", "local", *QUICK, "--environment", "/nowhere"], "--environment /nowhere has no bin/tuneoff"),
        (["status", "nowhere"], "no folder nowhere; `tuneoff launch` makes one"),
        (["status", __file__], "test_names.py is a file; give the study's folder"),
    ],
)
def test_paths_are_paths(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(arguments, capsys, monkeypatch)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_a_name_with_a_slash_can_raise_anywhere() -> None:
    with pytest.raises(UserError, match="the plan's name 'a/b' has a slash"):
        check_name("a/b", "the plan's name")
