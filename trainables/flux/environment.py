"""Which variables reach Julia: each that it or juliacall reads is set, cleared or honoured, on purpose.

A check and a trial get the same, so that what a check has found holds in the trial; and no variable that happens to be
there changes what is compiled or how fast it runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

EXE, PROJECT = "PYTHON_JULIACALL_EXE", "PYTHON_JULIACALL_PROJECT"


@dataclass(frozen=True)
class Rule:
    """What becomes of a variable; ``*`` in its name stands for anything."""

    variable: str
    treatment: Literal["set", "cleared", "honoured"]
    why: str


RULES = (  # the first that fits
    Rule(EXE, "set", "to the runtime that was checked; where it is there before, it names that one"),
    Rule(PROJECT, "set", "the same"),
    Rule("PYTHON_JULIACALL_THREADS", "set", "from the slice"),
    Rule("PYTHON_JULIACALL_HANDLE_SIGNALS", "set", "to yes: with threads Julia stops them by SIGSEGV"),
    Rule("PYTHON_JULIACALL_STARTUP_FILE", "set", "to no: a user's startup.jl is no part of a training"),
    Rule("PYTHON_JULIACALL_AUTOLOAD_IPYTHON_EXTENSION", "set", "to no: there is no notebook"),
    Rule("PYTHON_JULIACALL_LIB", "set", "to the executable's, where that is seen: no other Julia need be asked"),
    Rule("PYTHON_JULIACALL_BINDIR", "set", "the same"),
    Rule("PYTHON_JULIACALL_*", "cleared", "another system image, other optimisation or bounds checks: other times"),
    Rule("JULIA_PYTHONCALL_EXE", "set", "to this Python, by juliacall and setup-julia"),
    Rule("JULIA_DEPOT_PATH", "honoured", "where the packages are; checked"),
    Rule("JULIA_CPU_TARGET", "honoured", "for nodes of different types; setup-julia and trials must have the same"),
    Rule("JULIA_LOAD_PATH", "cleared", "packages come from the project"),
    Rule("JULIA_PROJECT", "cleared", "it is given"),
    Rule("JULIA_BINDIR", "cleared", "it is the executable's"),
    Rule("JULIA_NUM_THREADS", "cleared", "threads are the slice's"),
    Rule("JULIA_NUM_GC_THREADS", "cleared", "the same"),
    Rule("JULIA_CPU_THREADS", "cleared", "the same"),
    Rule("JULIA_THREAD_SLEEP_THRESHOLD", "cleared", "threads that spin take a neighbour's CPU"),
    Rule("JULIA_EXCLUSIVE", "cleared", "it binds the threads of trials that run at once to the same CPUs"),
    Rule("JULIA_HEAP_SIZE_HINT", "cleared", "it changes how often memory is collected"),
    Rule("JULIA_LLVM_ARGS", "cleared", "it changes what is compiled"),
    Rule("JULIA_*", "honoured", "downloads, certificates, CUDA.jl, debugging: they change nothing that is timed"),
)


def rule(variable: str) -> Rule | None:
    """The rule for a variable; None for one that is none of Julia's."""
    return next((each for each in RULES if fnmatchcase(variable, each.variable)), None)


def withheld(inherited: Mapping[str, str] = os.environ) -> dict[str, None]:
    """Those of the inherited variables that are not honoured, as `helpers.ask` takes them."""
    found = {name: rule(name) for name in inherited}
    return {name: None for name, fitting in found.items() if fitting and fitting.treatment != "honoured"}
