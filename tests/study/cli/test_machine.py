"""A machine of which only a part is ours, and one that is busy: what the commands say of it. No Ray in this file."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from study.cli import doctor, running, single
from study.cli.running import check_local_slice
from study.cluster.address import Place
from study.console import Screen, SteadyConsole
from study.driver import phases
from study.driver.progress import Progress
from study.plan.files import load_plan
from study.plan.plan import Plan
from study.store import provenance
from study.store.folder import create
from tests.study.cli.test_commands import call
from trainables.common import machine
from trainables.common.errors import UserError
from trainables.common.load import Busyness
from trainables.common.machine import Cpus, Memory
from trainables.contract import Readiness
from trainables.flux import setup
from trainables.flux.runtime import JuliaVersions
from trainables.workloads.workload import find

OURS = Cpus(1, 2, "affinity")
TRAIN = ["train", "--framework", "simulated", "--workload", "digits-lenet", "--learning-rate", "0.1", "--batch-size"]


@pytest.fixture(autouse=True)
def one_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in (machine, doctor, single):
        monkeypatch.setattr(each, "cpus", lambda: OURS)
    for each in (machine, doctor, provenance):
        monkeypatch.setattr(each, "memory", lambda: Memory(4 * 2**30, 3 * 2**30, "cgroup limit"))


def plan(*settings: str) -> Plan:
    return load_plan("quickstart", settings=list(settings), frameworks=["simulated"])


def test_a_slice_that_is_too_large_is_refused_and_says_what_limits() -> None:
    check_local_slice(plan("slice.cpus=1"), Place())
    check_local_slice(plan("slice.cpus=2"), Place("10.0.0.1:6379", "--address"))  # the cluster knows what it has
    with pytest.raises(UserError) as refused:
        check_local_slice(plan("slice.cpus=2"), Place())
    assert str(refused.value) == (
        "slice.cpus is 2, but this process may use 1 of 2 CPUs (affinity); --set slice.cpus=1 "
        "or give the --address of a larger cluster"
    )


@pytest.mark.parametrize("command", ["resume", "confirm"])
def test_a_study_goes_on_only_where_its_slices_fit(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    create(tmp_path / "s", plan("slice.cpus=2"))
    monkeypatch.setattr(running, "drive", lambda *given, **named: pytest.fail("it was started"))
    code, _, err = call([command, str(tmp_path / "s")], capsys, monkeypatch)
    assert code == 2
    assert "slice.cpus is 2, but this process may use 1 of 2 CPUs (affinity); go on where there are 2" in err


def test_train_takes_the_usable_cpus_and_refuses_more(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = call([*TRAIN, "32", "--epochs", "1", "--json"], capsys, monkeypatch)
    assert (code, json.loads(out)["spec"]["threads"]) == (0, 1)
    code, out, err = call([*TRAIN, "32", "--threads", "2"], capsys, monkeypatch)
    assert (code, out) == (2, "")
    assert "--threads is 2, but this process may use 1 of 2 CPUs (affinity); use --threads 1 or fewer" in err


def test_doctor_says_what_is_ours_and_what_fits_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "busyness", lambda: Busyness(7.0, 2, 0.49))
    assert doctor._cpus().found.startswith("1 of 2 CPUs (affinity), ")
    assert doctor._memory().found == "3.0 of 4.0 GiB (cgroup limit) available"
    quickstart, mnist = (
        doctor._plan_fits(name, load_plan(name), Readiness(), []) for name in ("quickstart", "mnist-lenet")
    )
    assert (quickstart.state, mnist.state) == ("ok", "missing")
    assert "1 at once here" in quickstart.found
    assert "this process may use 1 of 2 CPUs (affinity)" in mnist.found
    assert (doctor._load().state, doctor._load().needed) == ("problem", False)
    monkeypatch.setattr(doctor, "busyness", lambda: Busyness(0.7, 2, 0.99))
    assert doctor._load().state == "ok"


def test_provenance_says_what_was_ours_and_how_busy_it_was(tmp_path: Path) -> None:
    study = create(tmp_path / "s", plan())
    provenance.write_provenance(plan(), study, find("digits-lenet"), Busyness(4.04, 2, 0.4118), say=print)
    provenance.write_provenance(plan(), study, find("digits-lenet"), Busyness(None, 2, 1.0), say=print)
    found = json.loads(study.provenance.read_text())
    assert (found["cpus"], found["cpus_present"], found["cpus_limited_by"]) == (1, 2, "affinity")
    assert (found["memory_bytes"], found["memory_limited_by"]) == (4 * 2**30, "cgroup limit")
    assert (found["load_average"], found["cpu_share"]) == (4.04, 0.412)
    assert (found["resumed"][0]["load_average"], found["resumed"][0]["cpu_share"]) == (None, 1.0)


@pytest.mark.parametrize(
    ("found", "local", "told"),
    [
        (Busyness(4.04, 2, 0.41), True, True),
        (Busyness(0.2, 2, 1.0), True, False),
        (Busyness(4.04, 2, 0.41), False, False),  # the trials run elsewhere
    ],
)
def test_a_busy_machine_is_told_before_the_study(
    monkeypatch: pytest.MonkeyPatch, found: Busyness, local: bool, told: bool
) -> None:
    monkeypatch.setattr(phases, "busyness", lambda: found)
    said = StringIO()
    assert phases._looked_at(Progress(Screen(SteadyConsole(file=said, width=200))), local=local) is found
    line = (
        "this machine is busy (load average 4.0 on 2 CPUs, a thread of this process gets 41% of a CPU): "
        "times will be too long, and fewer trials will be in time\n"
    )
    assert said.getvalue() == (line if told else "")


@pytest.mark.parametrize(("flags", "heard"), [([], False), (["-v"], True), (["-q"], False)])
def test_setup_julia_shows_what_julia_says_where_more_is_wanted(
    flags: list[str], heard: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def set_up(*, hear: Callable[[str], None], **_: object) -> JuliaVersions:
        hear("  1 dependency successfully precompiled in 9 seconds")
        return JuliaVersions("1.10.8", "0.1.0", "0.16.9", "0.9.37", None)

    monkeypatch.setattr(setup, "set_up", set_up)
    code, out, err = call(["setup-julia", "--no-gpu", *flags], capsys, monkeypatch)
    assert (code, err) == (0, "")
    assert ("successfully precompiled" in out) is heard
    assert "Flux is ready" in out


def test_the_help_of_verbose_tells_whose_output_it_shows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for command, said in (("setup-julia", "all that Julia says"), ("launch", "Ray's own log"), ("train", "where an")):
        assert f"Print {said}" in " ".join(call([command, "--help"], capsys, monkeypatch)[1].split())
