"""What can be checked of the Julia side without Julia."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from ctypes import POINTER, Structure, c_char_p, c_double, c_int32, c_int64, c_void_p
from dataclasses import fields
from pathlib import Path

import pytest
import tree_sitter_julia
from tree_sitter import Language, Node, Parser

from trainables.contract import Execution, Hyperparameters, Run, Setup
from trainables.flux import seam

ROOT = Path(__file__).parents[2]
JULIA = ROOT / "julia"
SEAM = JULIA / "src" / "seam.jl"
SOURCES = sorted(JULIA.rglob("*.jl"))
PARSER = Parser(Language(tree_sitter_julia.language()))


def nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from nodes(child)


def syntax_errors(source: bytes) -> list[int]:
    """Lines with something that does not parse."""
    found = nodes(PARSER.parse(source).root_node)
    return [node.start_point[0] + 1 for node in found if node.is_error or node.is_missing]


def keywords(source: str, function: str) -> list[str]:
    """Names after the semicolon in the definition of a Julia function."""
    match = re.search(rf"^function {function}\(;\s*(.*?)\)$", source, flags=re.MULTILINE | re.DOTALL)
    assert match, f"no function {function} with keywords"
    return [name.strip() for name in match[1].split(",") if name.strip()]


def trainer() -> str:
    return (JULIA / "src" / "FluxTrainer.jl").read_text()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(JULIA)))
def test_sources_parse_and_are_tidy(path: Path) -> None:
    assert syntax_errors(path.read_bytes()) == []
    text = path.read_text()
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    for number, line in enumerate(text.splitlines(), start=1):
        assert len(line) <= 120, f"{path.name}:{number} has {len(line)} characters"
        assert line == line.rstrip(), f"{path.name}:{number} ends in blanks"
        assert "\t" not in line, f"{path.name}:{number} has a tab"
    if path.parent.name == "src":
        assert not re.search(r"\bprintln\(|@show\b|PythonCall|juliacall", text)


def test_the_parser_notices_an_error() -> None:
    assert syntax_errors(b"function f(x\n    x +\nend\n") != []
    assert syntax_errors(b"f(x) = x + 1\n") == []


def test_every_export_is_defined_and_documented() -> None:
    sources = "\n".join(path.read_text() for path in SOURCES if path.parent.name == "src")
    exported = [
        name.strip() for line in re.findall(r"^export (.*)$", trainer(), flags=re.M) for name in line.split(",")
    ]
    assert {"start", "warm_up!", "train!", "evaluate"} <= set(exported)
    for name in exported:
        assert re.search(rf'"""\n    {re.escape(name)}\(', sources), f"{name} has no docstring that shows its call"
        assert re.search(rf"^(function )?{re.escape(name)}\(", sources, flags=re.M), f"{name} is not defined"


def test_every_source_is_included() -> None:
    included = set(re.findall(r'include\("(.*)"\)', trainer()))
    assert included == {path.name for path in (JULIA / "src").glob("*.jl")} - {"FluxTrainer.jl"}


def asked_of_start() -> set[str]:
    """What `Setup` holds, its groups taken apart; the learning rate comes with each step, its schedule is Python's."""
    groups = {"hyperparameters": Hyperparameters, "execution": Execution}
    names = {each.name for each in fields(Setup)} - set(groups)
    names |= {each.name for group in groups.values() for each in fields(group)}
    return names - {"learning_rate", "schedule", "warm_up"}


def test_start_takes_what_a_setup_holds() -> None:
    asked = {word.split("=")[0] for word in keywords((JULIA / "src" / "run.jl").read_text(), "start")}
    assert asked == asked_of_start()


CALLERS = {
    JULIA / "src" / "seam.jl": r"start\(;(.*?)\n        \)",
    JULIA / "test" / "runtests.jl": r"= start\(;(.*?)changes",
    JULIA / "README.md": r"start\(; model=lenet(.*?)\);",
    ROOT / "tests" / "bench" / "plain_flux.jl": r"start\(;(.*?)threads=1\)",
    ROOT / "trainables" / "flux" / "setup.py": r"start\(;(.*?)threads=1\)",
}


@pytest.mark.parametrize("path", CALLERS, ids=lambda path: path.name)
def test_whoever_calls_start_gives_it_every_keyword(path: Path) -> None:
    call = re.search(CALLERS[path], path.read_text(), flags=re.S)
    assert call is not None
    missing = [name for name in sorted(asked_of_start()) if not re.search(rf"\b{name}\b", call.group(0))]
    assert missing == []


def test_a_run_has_the_contracts_functions_in_the_contracts_order() -> None:
    # Python keeps the clock, and what came before the run.
    expected = [name for name in vars(Run) if not name.startswith("_") and name not in ("clock", "start_up")]
    sources = (JULIA / "src" / "run.jl").read_text()
    checkpoint = (JULIA / "src" / "checkpoint.jl").read_text()
    documented = re.findall(r'"""\n    (\w+)!?\(run', sources)
    saved = re.findall(r'"""\n    (\w+)!?\(run', checkpoint)
    at = documented.index("loader_workers")
    assert documented[:at] + saved + documented[at:] == expected


C_TYPES = {
    "Int64": c_int64,
    "Int32": c_int32,
    "Float64": c_double,
    "Cstring": c_char_p,
    "Ptr{Cvoid}": c_void_p,
    "NTuple{8,Int64}": c_int64 * seam.DIMENSIONS,
    "Ptr{Int64}": POINTER(c_int64),
    "Ptr{Float64}": POINTER(c_double),
    "Ptr{Lent}": POINTER(seam.Lent),
    "Ptr{Settings}": POINTER(seam.Settings),
    "Ptr{Option}": POINTER(seam.ModelOption),
    "Ptr{Cstring}": POINTER(c_char_p),
}


@pytest.mark.parametrize(
    ("structure", "there"), [(seam.Lent, "Lent"), (seam.Settings, "Settings"), (seam.ModelOption, "Option")]
)
def test_structures_are_the_same_on_both_sides(structure: type[Structure], there: str) -> None:
    body = re.search(rf"^struct {there}\n(.*?)^end$", SEAM.read_text(), flags=re.M | re.S)
    assert body is not None
    fields = re.findall(r"^    (\w+)::([\w{},]+)", body[1], flags=re.M)
    assert [(name, C_TYPES[kind]) for name, kind in fields] == list(structure._fields_)


def test_the_c_functions_take_the_same_on_both_sides() -> None:
    found = re.findall(
        r"^        (\w+)=@cfunction\(\s*c_(\w+), Cstring, \((.*?),?\)\s*\),$", SEAM.read_text(), flags=re.M
    )
    assert all(name == function for name, function, _ in found)
    taken = {name: tuple(C_TYPES[kind] for kind in kinds.split(", ")) for name, _, kinds in found}
    assert taken == seam.SIGNATURES


def test_project_and_juliapkg_agree_and_everything_has_a_compat() -> None:
    project = tomllib.loads((JULIA / "Project.toml").read_text())
    package = json.loads((JULIA / "juliapkg.json").read_text())["packages"]["FluxTrainer"]
    assert package == {"uuid": project["uuid"], "dev": True, "path": "."}
    bounded = set(project["compat"]) - {"julia"}
    assert bounded == {*project["deps"], *project["weakdeps"], *project["extras"]}
    assert set(project["weakdeps"]) == {"CUDA", "cuDNN"} == set(project["extensions"]["FluxTrainerCUDAExt"])
    assert project["compat"]["julia"] == "1.10"
    assert project["compat"]["Flux"] == "0.16"
