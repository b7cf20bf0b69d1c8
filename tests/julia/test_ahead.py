"""A model compiled beforehand: what Julia is asked, and what is told where it fails; this Julia is a shell script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trainables.common.errors import UserError
from trainables.flux import runtime as julia_runtime
from trainables.flux.ahead import compile_model, literal
from trainables.flux.environment import EXE, PROJECT

Compile = Callable[..., list[str]]


@pytest.fixture
def compile_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compile:
    """Compile a model with a Julia that runs these lines of shell; what it was called with."""
    executable, project = tmp_path / "julia", tmp_path / "project"
    project.mkdir()
    monkeypatch.setenv(EXE, str(executable))
    monkeypatch.setenv(PROJECT, str(project))
    julia_runtime.forget_probes()

    def compiled(shell: str, *, limit_s: float = 20.0) -> list[str]:
        executable.write_text(f'#!/bin/sh\nprintf "%s\\0" "$@" > "$0.asked"\n{shell}\n')
        executable.chmod(0o755)
        compile_model(
            tmp_path / "task" / "model.jl",
            shape=(3, 32, 16),
            outputs=4,
            loss="cross_entropy",
            options={"hidden": 64, "bias": True, "rate": 1e-05, "kind": 'a "b" $c'},
            limit_s=limit_s,
            say=lambda _: None,
            hear=lambda _: None,
        )
        return Path(f"{executable}.asked").read_text().split("\0")

    return compiled


def test_julia_is_asked_with_sizes_in_its_order_and_options_as_it_writes_them(
    compile_with: Compile, tmp_path: Path
) -> None:
    asked = compile_with("exit 0")
    assert asked[0] == f"--project={tmp_path / 'project'}"
    assert asked[-2] == str(tmp_path / "task" / "model.jl")
    code = asked[-3]
    assert 'shape=(16, 32, 3, ), outputs=4, loss="cross_entropy"' in code
    assert 'options=(; hidden=64, bias=true, rate=1e-05, kind="a \\"b\\" \\$c", ))' in code


@pytest.mark.parametrize(
    ("value", "written"), [(True, "true"), (3, "3"), (0.5, "0.5"), ("\N{SNOWMAN}\\n$", '"\\u2603\\\\n\\$"')]
)
def test_values_are_written_as_julia_writes_them(value: object, written: str) -> None:
    assert literal(value) == written  # type: ignore[arg-type]


def test_a_fault_of_the_file_is_told_as_it_is(compile_with: Compile, tmp_path: Path) -> None:
    told = f"{tmp_path}/task/model.jl, line 3: UndefVarError: `Con` not defined"
    with pytest.raises(UserError) as error:
        compile_with(f"echo 'Info: something'; echo 'ERROR: {told}'; exit 1")
    assert str(error.value) == told


@pytest.mark.parametrize(
    ("shell", "said"),
    [
        ("echo 'ERROR: LoadError: no space left on device'; exit 1", r"failed with exit code 1 \(.*no space left"),
        ("sleep 30", "was not done in 1 s"),
    ],
)
def test_what_else_fails_is_told_with_the_file(compile_with: Compile, tmp_path: Path, shell: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        compile_with(shell, limit_s=1.0 if "sleep" in shell else 20.0)
    assert str(error.value).startswith(f"{tmp_path}/task/model.jl was not compiled: Julia ")
