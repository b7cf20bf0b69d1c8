"""nvidia-smi and git that hang or answer nonsense: told, and no study ends of it. Here they are shell scripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reports.tables.provenance import facts
from study.plan.files import load_plan
from study.store import provenance
from study.store.folder import create
from study.store.provenance import gpu_problem, gpus, record_nodes, record_stops, write_provenance
from trainables.common.errors import UserError
from trainables.common.load import Busyness
from trainables.workloads.workload import find

Program = Callable[[str, str], Path]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Put a shell script of this name and content first on PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setattr(provenance, "_ANSWER_S", 0.5)

    def make(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def said(tmp_path: Path) -> Callable[[], tuple[list[str], dict[str, object]]]:
    """Write the provenance of a study that is about to begin; what was told, and what was written."""

    def write() -> tuple[list[str], dict[str, object]]:
        plan = load_plan("quickstart", frameworks=["simulated"])
        folder = create(tmp_path / "study", plan)
        told: list[str] = []
        write_provenance(plan, folder, find(plan.workload), Busyness(0.5, 2, 1.0), say=told.append)
        return told, json.loads(folder.provenance.read_text())

    return write


def test_what_a_search_began_with_and_why_it_stopped_is_kept(tmp_path: Path) -> None:
    plan = load_plan("quickstart", settings=["search.budget=2h"], frameworks=["simulated"])
    point = {"learning_rate": 0.05, "batch_size": 32, "num_workers": 0}
    warm = {"warm_start": {"simulated": (point, point)}, "warm_start_from": "results/other"}
    plan = plan.model_copy(update={"search": plan.search.model_copy(update=warm)})
    folder = create(tmp_path / "study", plan)
    write_provenance(plan, folder, find(plan.workload), Busyness(0.5, 2, 1.0), say=print)
    record_stops(folder, {"simulated": {"trials": 3, "planned": 9, "why": "budget"}})
    write_provenance(plan, folder, find(plan.workload), Busyness(0.5, 2, 1.0), say=print)  # of a resume
    known = json.loads(folder.provenance.read_text())
    assert known["stopped"] == {"simulated": {"trials": 3, "planned": 9, "why": "budget"}}
    assert known["plan"]["search"] == {"trials": 10, "budget": "2h", "pays_after": 0}
    told = dict(facts(known))
    assert told["searches began with the best of"] == "results/other (2 in Simulated)"
    record_stops(folder, {})  # it went on, to its last trial
    assert json.loads(folder.provenance.read_text())["stopped"] == {}


@pytest.mark.parametrize("place", ["", " --address 10.0.0.1:6379", " --address auto"])
def test_the_command_that_goes_on_leads_to_where_the_study_ran_last(tmp_path: Path, place: str) -> None:
    plan = load_plan("quickstart", frameworks=["simulated"])
    folder = create(tmp_path / "a study", plan)
    assert folder.resume_command() == f"tuneoff resume '{folder.path}'"
    for each in (" --address elsewhere:1", place):
        write_provenance(plan, folder, find(plan.workload), Busyness(0.5, 2, 1.0), say=print, place=each)
    assert folder.resume_command() == f"tuneoff resume '{folder.path}'{place}"
    assert folder.resume_command(" --address local") == f"tuneoff resume '{folder.path}' --address local"
    with pytest.raises(UserError, match=f"`tuneoff resume '{folder.path}'{place}` continues it"):
        create(folder.path, plan)
    for damaged in ("{", "[1]", '{"place": null}'):
        folder.provenance.write_text(damaged)
        assert folder.resume_command() == f"tuneoff resume '{folder.path}'"


def test_gpus_are_named(program: Program) -> None:
    program("nvidia-smi", "echo 'NVIDIA H100 80GB HBM3, 81559 MiB'; echo 'NVIDIA Thor, [N/A]'")
    assert gpus() == ["NVIDIA H100 80GB HBM3, 81559 MiB", "NVIDIA Thor, [N/A]"]
    assert gpu_problem() is None


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("sleep 60", "nvidia-smi gave no answer in 0.5 s"),
        ("echo 'NVIDIA-SMI has failed'; exit 9", "nvidia-smi failed with exit code 9 (NVIDIA-SMI has failed)"),
        ("printf '\\377\\001\\n'", "nvidia-smi answers '\\ufffd\\x01', which is no GPU"),
        ("echo Unable to determine the device handle", "nvidia-smi answers 'Unable to determine"),
        ("yes gpu | head -c 3000000", "nvidia-smi answers 'gpu', which is no GPU"),
    ],
    ids=["hangs", "fails", "binary", "words", "flood"],
)
def test_an_nvidia_smi_that_is_ill_is_told_and_asked_once(
    program: Program, said: Callable[[], tuple[list[str], dict[str, object]]], script: str, problem: str
) -> None:
    path = program("nvidia-smi", f'echo once >> "$0.calls"\n{script}')
    assert gpus() == []
    told, written = said()
    assert [line for line in told if line.startswith(problem)] == [f"{gpu_problem()}; no GPU is recorded"]
    assert written["gpus"] == []
    assert Path(f"{path}.calls").read_text() == "once\n"


def test_an_nvidia_smi_that_says_nothing_or_cannot_be_run_is_none(program: Program) -> None:
    path = program("nvidia-smi", "exit 0")
    assert (gpus(), gpu_problem()) == ([], None)
    path.chmod(0o644)
    assert (gpus(), gpu_problem()) == ([], None)
    path.unlink()
    path.mkdir()
    assert (gpus(), gpu_problem()) == ([], None)


@pytest.mark.parametrize(
    ("script", "git"),
    [
        ("echo 0123456789012345678901234567890123456789-dirty", "0123456789012345678901234567890123456789-dirty"),
        ("sleep 60", "unknown: git gave no answer in 0.5 s"),
        ("echo 'fatal: detected dubious ownership' >&2; echo 'To add, call:' >&2; exit 128", "unknown: git failed"),
        ("read answer; echo $answer", "unknown: git answers '', which is no commit"),
        ("printf '\\377\\376'", "unknown: git answers '\\ufffd\\ufffd', which is no commit"),
    ],
    ids=["commit", "hangs", "refuses", "asks", "binary"],
)
def test_a_git_that_is_ill_is_recorded_as_such(
    program: Program,
    said: Callable[[], tuple[list[str], dict[str, object]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    git: str,
) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "study" / "store" / "provenance.py"))
    program("git", script)
    assert str(said()[1]["git"]).startswith(git)


def test_nodes_are_kept_by_address_and_what_differed_for_good(tmp_path: Path) -> None:
    folder = create(tmp_path / "s", load_plan("quickstart", frameworks=["simulated"]))
    one, two = {"address": "10.0.0.1", "cpus": 1}, {"address": "10.0.0.2", "cpus": 2}
    record_nodes(folder, [one, two], ["processor: a on 10.0.0.1; b on 10.0.0.2"], {"10.0.0.3": "gone"})
    record_nodes(folder, [{**two, "cpus": 4}], [], {})
    known = json.loads(folder.provenance.read_text())
    assert known["nodes"] == [one, {**two, "cpus": 4}]
    assert known["nodes_differ"] == ["processor: a on 10.0.0.1; b on 10.0.0.2"]
    assert known["nodes_left_out"] == {}
