"""What is told of Julia's errors, as Julia 1.10 shows them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainables.flux.errors import in_a_line, told_why_julia_does_not_start

ROOT = Path(__file__).parents[2]
TASK = """TaskFailedException
Stacktrace:
 [1] wait
   @ ./task.jl:359 [inlined]

    nested task error: loader died
    in two lines
    Stacktrace:
     [1] error(s::String)
       @ Base ./error.jl:35"""
TASK_OF_A_TASK = """TaskFailedException
Stacktrace:
 [1] wait

    nested task error: TaskFailedException
    Stacktrace:
     [1] wait

        nested task error: DimensionMismatch: no
        Stacktrace:
         [1] error(s::String)"""
TWO_TASKS = """TaskFailedException

    nested task error: thread 1
    Stacktrace:
     [1] error(s::String)

...and 2 more exceptions.

Stacktrace:
 [1] sync_end(c::Channel{Any})"""
COMPOSITE = "x\n\n...and 1 more exception.\n\nStacktrace:\n [1] top-level scope"
INIT = "InitError: no GPU\nStacktrace:\n [1] error\nduring initialization of module CUDA"
LOAD = "LoadError: no file\nStacktrace:\n [1] error\nin expression starting at /x/FluxTrainer.jl:3"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("no such file\nStacktrace:\n [1] pages of it", "no such file"),
        ("two\nlines", "two lines"),
        (TASK, "loader died in two lines (in a task)"),
        (TASK_OF_A_TASK, "DimensionMismatch: no (in a task)"),
        (TWO_TASKS, "thread 1 (in a task, and 2 more exceptions)"),
        (COMPOSITE, "x (and 1 more exception)"),
        (INIT, "InitError: no GPU (during initialization of module CUDA)"),
        (LOAD, "LoadError: no file (in expression starting at /x/FluxTrainer.jl:3)"),
    ],
)
def test_an_error_is_a_line_with_its_cause(said: str, told: str) -> None:
    assert in_a_line(said) == told


STARTED = "ERROR: ArgumentError: Package PythonCall not found\nStacktrace:\n" + " [1] a frame\n" * 40


@pytest.mark.parametrize(
    ("error", "said", "told"),
    [
        (
            Exception("PythonCall.jl did not start properly"),
            STARTED,
            r"properly \(ArgumentError: Package PythonCall not",
        ),
        (
            subprocess.CalledProcessError(1, ["/x/julia"], stderr="ERROR: broken\n"),
            "",
            r"/x/julia failed \(ERROR: brok",
        ),
        (subprocess.CalledProcessError(127, ["/x/julia"], stderr=""), "", r"/x/julia failed \(exit code 127\)"),
        (AssertionError(), "", "its library is not where it says"),
        (OSError("libjulia.so.1: cannot open shared object file"), "", "libjulia.so.1: cannot open"),
        (RuntimeError("Julia: Failed to precompile X"), "in passing\nERROR: LoadError: y\n", r"X \(LoadError: y\)"),
    ],
)
def test_a_start_that_fails_is_a_line(
    error: Exception, said: str, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        with told_why_julia_does_not_start():
            os.write(2, said.encode())
            raise error

    with pytest.raises(RuntimeError, match=f"^Julia did not start: .*{told}") as raised:
        fails()
    assert "\n" not in str(raised.value)
    assert capfd.readouterr().err == ""


def test_what_is_said_at_a_start_that_succeeds_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with told_why_julia_does_not_start():
        os.write(2, b"WARNING: old\n")
    assert capfd.readouterr().err == "WARNING: old\n"


@pytest.mark.julia
def test_the_cause_of_a_loaders_failure_is_told() -> None:
    code = """
from trainables.flux import backend
from trainables.flux.errors import julia_errors
trainer = backend._flux_trainer(1, "cpu")
import juliacall
for code in (
    'take!(Channel{Int}(channel -> error("the disk is gone"), 2; spawn=true))',
    'wait(Threads.@spawn wait(Threads.@spawn throw(ArgumentError("deep"))))',
    '@sync (Threads.@spawn error("one"); Threads.@spawn error("two"))',
    '(() -> begin; Threads.@threads for _ in 1:1; sqrt(-1.0); end; end)()',
):
    try:
        with julia_errors():
            juliacall.Main.seval(code)
    except RuntimeError as error:
        print(error)
"""
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = answer.stdout.splitlines()
    assert lines[:3] == [
        "Julia: the disk is gone (in a task)",
        "Julia: ArgumentError: deep (in a task)",
        "Julia: one (in a task, and 1 more exception)",
    ]
    assert lines[3].startswith("Julia: DomainError with -1.0")
