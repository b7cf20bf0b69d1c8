"""Help pages, read at 80 columns: whole sentences, defaults, examples that can be typed; and what a shell completes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from study.cli.commands import app
from study.plan.files import load_plan
from study.plan.plan import SlicePlan
from study.plan.shelf import shipped_plans, told
from study.store.folder import create
from tests.study.cli.test_commands import call

TUNEOFF = typer.main.get_command(app)


def pages(command: Any = TUNEOFF, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, each in getattr(command, "commands", {}).items():
        yield from pages(each, (*words, name))


PAGES = dict(pages())
COMMANDS = {words: command for words, command in PAGES.items() if not hasattr(command, "commands")}


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_a_page_is_whole_at_80_columns(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, page, err = call([*words, "--help"], capsys, monkeypatch)
    assert (code, err) == (0, "")
    assert page == call([*words, "-h"], capsys, monkeypatch)[1]
    assert page.startswith(f"Usage: {' '.join(['tuneoff', *words])} [OPTIONS]")
    assert max(map(len, page.splitlines())) <= 80
    assert not re.search(r"<\w+|\blist\[|\{[A-Z]|\w\.\.\.$", page.replace("VALUE,...", "").replace("DIR...", ""))
    assert not re.search(r"`tuneoff[^`\n]*\n[^`]*`", page), "a command is broken"
    assert "\ue000" not in page
    assert "x>=" not in page
    assert len(words) == 0 or "Examples:\n  tuneoff " in page or words == ("cluster",)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_has_a_sentence_a_metavar_and_its_default(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    with command.make_context(words[-1], [], resilient_parsing=True) as context:
        options = [each for each in command.get_params(context) if each.param_type_name == "option" and not each.hidden]
        for each in options:
            assert re.fullmatch(r"\S.{9,}\.", each.help), each.opts
            assert each.is_flag or each.metavar, each.opts
            shown = each.get_help_record(context)[1]
            if each.default not in (None, False):
                assert "[default: " in shown or each.is_flag, each.opts
        flags = {flag for each in options for flag in each.opts}
    assert flags >= {"--help", "-q", "--quiet", "-v", "--verbose"}


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_examples_can_be_typed(words: tuple[str, ...]) -> None:
    epilog = (PAGES[words].epilog or "").replace("\\\n", " ")
    for line in re.findall(r"^  (tuneoff .*?)(?:  .*)?$", re.sub(r"(?<=\S) +(?=--)", " ", epilog), re.MULTILINE):
        typed = shlex.split(line.split(";")[0].split(">")[0])[1:]
        found: Any = TUNEOFF
        while typed and typed[0] in getattr(found, "commands", {}):
            found = found.commands[typed.pop(0)]
        assert found is not TUNEOFF or "COMMAND" in typed, line
        known = {flag for each in found.params for flag in (*each.opts, *each.secondary_opts)} | {"--help"}
        assert {word for word in typed if word.startswith("--")} <= known, line


def test_the_bare_command_shows_what_to_do_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, page, _ = call([], capsys, monkeypatch)
    assert code == 0
    first = page.index("First steps:")
    assert first < page.index("tuneoff doctor", first) < page.index("tuneoff launch quickstart", first)
    for words, command in PAGES.items():
        if len(words) == 1:
            assert f"\n  {words[0]} " in page
            assert " ".join(page.split()).find(command.get_short_help_str(limit=1000)) > 0


def test_the_page_of_launch_lists_the_plans_and_points_to_their_keys(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = call(["launch", "-h"], capsys, monkeypatch)[1]
    for name in shipped_plans():
        assert re.search(rf"^  {name} +{re.escape(told(name))}$", page, re.MULTILINE)
    assert "`tuneoff plan PLAN` prints all the keys of one, with what they mean." in page


@pytest.mark.parametrize("command", ["launch", "status", "confirm"])
def test_pages_say_what_the_words_of_a_study_mean(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = call([command, "-h"], capsys, monkeypatch)[1]
    for word in ("trial", "reached", "race", "confirmed", "warm, cold", "slice"):
        assert re.search(rf"^  {word} +\S+", page, re.MULTILINE), word


def test_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(["--version"], capsys, monkeypatch) == (0, f"tuneoff {version('tuneoff')}\n", "")


@pytest.mark.parametrize(
    ("arguments", "page"),
    [
        (["launch", "--nme"], "tuneoff launch --help"),
        (["lunch"], "tuneoff --help"),
        (["cluster", "slurm", "--nme"], "tuneoff cluster slurm --help"),
    ],
)
def test_bad_input_points_to_the_page_that_has_the_answer(
    arguments: list[str], page: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = call(arguments, capsys, monkeypatch)
    assert code == 2
    assert err.endswith(f"(see {page})\n")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["la"], ["launch"]),
        (["launch", ""], shipped_plans()),
        (["launch", "mnist-l"], ["mnist-lenet"]),
        (["plan", "quick"], ["quickstart"]),
        (["status", ""], ["results/one", "results/two"]),
        (["resume", "results/o"], ["results/one"]),
        (["report", "nowhere/"], []),
        (["launch", "quickstart", "--frameworks", "pytorch,f"], ["pytorch,flux"]),
        (["train", "--framework", "f"], ["flux"]),
        (["sweep", "digits"], ["digits-lenet"]),
        (["launch", "--allow-s"], ["--allow-shared-gpu"]),
        (["launch", "quickstart", "--set", "training.o"], ["training.optimizer="]),
        (["plan", "quickstart", "--set", "space.all.l"], ["space.all.learning_rate="]),
        (["sweep", "digits-lenet", "--set", "s"], [f"slice.{key}=" for key in SlicePlan.model_fields]),
        (["sweep", "digits-lenet", "--over", "b"], ["batch_size="]),
        (["resume", "results/one", "--set", "confirm"], ["confirm.runs="]),
        (["replay", "fash"], ["fashion-lenet"]),
        (["replay", "results/t"], ["results/two"]),
        (["replay", "fashion-lenet", "--set", "race.r"], ["race.runs="]),
    ],
)
def test_a_shell_completes(
    typed: list[str],
    offered: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in ("one", "two"):
        create(tmp_path / "results" / name, load_plan("quickstart", frameworks=["simulated"]))
    (tmp_path / "results" / "comparison").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("_TUNEOFF_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(["tuneoff", *typed]))
    monkeypatch.setenv("COMP_CWORD", str(len(typed)))
    code, out, err = call([], capsys, monkeypatch)
    assert (code, out.split(), err) == (0, offered, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shells_script_is_typers_own(shell: str) -> None:
    command = Path(sys.executable).with_name("tuneoff")
    environment = {**os.environ, "_TUNEOFF_COMPLETE": f"source_{shell}"}
    answer = subprocess.run([command], env=environment, capture_output=True, text=True, check=True)
    assert "_TUNEOFF_COMPLETE=complete_" in answer.stdout
