"""Which Julia is found, and what is said where it does not do; the Julia here is a shell script."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from trainables.common.errors import UserError
from trainables.flux import runtime as julia_runtime
from trainables.flux import setup as julia_setup
from trainables.flux.environment import EXE, PROJECT
from trainables.flux.runtime import PACKAGE, JuliaRuntime, check_runtime, find_runtime, juliacall_version

GOOD = ["1.10.8", "0.1.0", "0.16.9", str(juliacall_version()), "missing"]


@pytest.fixture
def julia(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., JuliaRuntime]:
    """Make an executable that answers the probe with these lines, and point juliacall's variables at it."""

    def make(lines: list[str], *, exit_code: int = 0) -> JuliaRuntime:
        executable, project = tmp_path / "julia", tmp_path / "project"
        project.mkdir(exist_ok=True)
        executable.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines) + f"exit {exit_code}\n")
        executable.chmod(0o755)
        monkeypatch.setenv(EXE, str(executable))
        monkeypatch.setenv(PROJECT, str(project))
        julia_runtime.forget_probes()
        return find_runtime()

    return make


def test_a_good_one_tells_its_versions(julia: Callable[..., JuliaRuntime]) -> None:
    found = check_runtime(julia(GOOD))
    assert (found.julia, found.flux, found.flux_trainer, found.cuda) == ("1.10.8", "0.16.9", "0.1.0", None)
    assert julia_runtime.missing() is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({0: "1.9.4"}, "is Julia 1.9.4; Flux needs 1.10 or newer: set PYTHON_JULIACALL_EXE to a Julia"),
        ({1: "missing"}, "has no FluxTrainer; run `tuneoff setup-julia`"),
        ({2: "missing"}, "has no Flux; run `tuneoff setup-julia`"),
        ({3: "missing"}, "has no PythonCall; run `tuneoff setup-julia`"),
        ({3: "0.9.20"}, "is 0.9.20; they must be the same: run `tuneoff setup-julia`"),
    ],
)
def test_what_does_not_do_is_said_with_what_to_do(
    julia: Callable[..., JuliaRuntime], changed: dict[int, str], message: str
) -> None:
    runtime = julia([changed.get(number, line) for number, line in enumerate(GOOD)])
    with pytest.raises(UserError, match=message):
        check_runtime(runtime)
    assert message.split(";")[0] in str(julia_runtime.missing())


def test_something_else_than_julia_is_refused(julia: Callable[..., JuliaRuntime]) -> None:
    with pytest.raises(UserError, match=r"failed with exit code 1 \(hello\); set PYTHON_JULIACALL_EXE to a Julia"):
        check_runtime(julia(["hello"], exit_code=1))
    with pytest.raises(UserError, match="/nowhere/julia is not there; set"):
        check_runtime(JuliaRuntime("/nowhere/julia", julia(GOOD).project))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "it says nothing"),
        (["hello", "it is", "no", "julia"], r"julia"),
        (["\x07\x1b[31m"] * 5, r"\[31m"),
        (["1.10.8", "0.1.0", "nonsense", "0.9.20", "missing"], "missing"),
    ],
    ids=["nothing", "words", "control characters", "no version"],
)
def test_nonsense_is_refused(julia: Callable[..., JuliaRuntime], lines: list[str], said: str) -> None:
    with pytest.raises(UserError, match=rf"does not answer as a Julia does \({said}\)") as refused:
        check_runtime(julia(lines))
    assert str(refused.value).isprintable()


def test_one_that_hangs_costs_its_time_once_and_leaves_no_child(
    julia: Callable[..., JuliaRuntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(julia_runtime, "_AWAKE_S", 0.3)
    runtime = julia(GOOD)
    Path(runtime.executable).write_text('#!/bin/sh\necho once >> "$0.calls"\nsleep 60 & wait\n')
    began = psutil.Process().children(recursive=True)
    for _ in range(3):
        assert str(julia_runtime.missing()).startswith(f"Flux cannot run: {runtime.executable} gave no answer in 0.3 s")
    assert Path(f"{runtime.executable}.calls").read_text() == "once\n"
    assert set(psutil.Process().children(recursive=True)) <= set(began)


def test_a_project_that_is_no_folder_is_refused(julia: Callable[..., JuliaRuntime]) -> None:
    runtime = julia(GOOD)
    with pytest.raises(UserError, match="which is not a folder"):
        check_runtime(JuliaRuntime(runtime.executable, runtime.project + "-not"))


def test_one_variable_without_the_other_is_refused(
    julia: Callable[..., JuliaRuntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    julia(GOOD)
    monkeypatch.delenv(PROJECT)
    with pytest.raises(UserError, match=f"{EXE} is set and {PROJECT} is not"):
        find_runtime()


@pytest.fixture
def unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No variables, and a juliapkg project that was never set up."""
    from juliapkg.state import STATE

    for name in (EXE, PROJECT):
        monkeypatch.delenv(name, raising=False)
    project = tmp_path / "julia_env"
    for key, value in {
        "project": str(project),
        "prefix": str(project / "pyjuliapkg"),
        "deps": str(project / "pyjuliapkg" / "juliapkg.json"),
        "meta": str(project / "pyjuliapkg" / "meta.json"),
        "install": str(project / "pyjuliapkg" / "install"),
        "resolved": False,
    }.items():
        monkeypatch.setitem(STATE, key, value)
    return project


def test_nothing_set_up_says_how_to(unset: Path) -> None:
    with pytest.raises(UserError, match="Julia is not set up here; run `tuneoff setup-julia`"):
        find_runtime()


def test_one_that_juliapkg_installed_may_hang_too(unset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from juliapkg import deps

    unset.mkdir()
    executable = unset / "julia"
    executable.write_text("#!/bin/sh\nsleep 60\n")
    executable.chmod(0o755)
    monkeypatch.setattr(deps, "load_meta", lambda: {"executable": str(executable)})
    monkeypatch.setattr(julia_runtime, "_AWAKE_S", 0.3)
    with pytest.raises(UserError, match=r"julia gave no answer in 0\.3 s; run `tuneoff setup-julia` again"):
        find_runtime()


def test_nobody_waits_for_another_set_up(unset: Path) -> None:
    unset.mkdir()
    with FileLock(unset / "lock.pid"), pytest.raises(UserError, match="being set up here by another process"):
        find_runtime()


def test_a_damaged_memory_of_juliapkg_is_one_line(unset: Path) -> None:
    (unset / "pyjuliapkg").mkdir(parents=True)
    (unset / "pyjuliapkg" / "meta.json").write_text("{")
    with pytest.raises(UserError, match="cannot use the folder of the Julia project"):
        find_runtime()


@pytest.fixture
def note() -> Iterator[Path]:
    """The file in which a failed set-up is written down, gone afterwards."""
    yield julia_runtime.failure_note()
    julia_runtime.failure_note().unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("last_line", "cause"),
    [
        ("urllib.error.URLError: <urlopen error [Errno -2] Name or service not known>", "no network"),
        ("ERROR: RequestError: HTTP/1.1 403 Forbidden by policy", "the download was refused"),
        ("curl: (60) SSL certificate problem", "the network's certificates were not accepted"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("ERROR: RequestError: Connection refused", "the network did not answer"),
        ("ERROR: something else", "it failed"),
    ],
)
def test_why_a_set_up_failed_is_one_line_and_remembered(
    unset: Path, note: Path, monkeypatch: pytest.MonkeyPatch, last_line: str, cause: str
) -> None:
    script = f"echo at work; echo '{last_line}'; exit 1"
    monkeypatch.setattr(julia_setup, "python", lambda *_: ["/bin/sh", "-c", script])
    with pytest.raises(UserError) as failed:
        julia_setup.set_up(gpu=False, say=lambda _: None)
    message = str(failed.value)
    assert message.startswith(f"Julia could not be set up: {cause} (")
    assert last_line in message
    assert note.with_suffix(".log").read_text() == f"at work\n{last_line}\n"
    with pytest.raises(UserError, match="Julia is not set up here ") as later:
        find_runtime()
    assert f"(tried on {datetime.now(UTC).date()}: {message})" in str(later.value)


def test_a_set_up_that_takes_too_long_is_ended(unset: Path, note: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f"sleep 100 & echo $! > {unset.parent}/child; echo half of it; wait"
    monkeypatch.setattr(julia_setup, "python", lambda *_: ["/bin/sh", "-c", script])
    with pytest.raises(UserError, match=r"not set up within the time limit of 1 s .* `tuneoff setup-julia` goes on"):
        julia_setup.set_up(gpu=False, say=lambda _: None, limit_s=1.0)
    child = int((unset.parent / "child").read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_progress_is_told_also_where_the_helper_is_silent(
    unset: Path, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(julia_setup, "LINE_INTERVAL_S", 0.0)
    monkeypatch.setattr("trainables.common.helpers.SILENCE_S", 0.1)
    compiling = "printf 'Precompiling packages...\\r  1 s \\342\\234\\223 Zygote\\r'"
    waiting = "echo '   Flux Being precompiled by another process (pid: 77, pidfile: /x)'"
    script = f"echo '    Updating registry at x'; {compiling}; {waiting}; sleep 0.5; exit 1"
    monkeypatch.setattr(julia_setup, "python", lambda *_: ["/bin/sh", "-c", script])
    said: list[str] = []
    with pytest.raises(UserError):
        julia_setup.set_up(gpu=False, say=said.append, limit_s=60.0)
    texts = [line.partition(" s: ")[2] for line in said[1:]]
    waiting = "waiting for process 77, which compiles Flux, 1 done"
    assert texts[:4] == [
        "fetching the list of packages",
        "compiling packages",
        "compiling packages, 1 done",
        waiting,
    ]
    assert len(texts) > 4
    assert set(texts[4:]) == {waiting}


def test_who_wants_to_hear_julia_hears_every_line(unset: Path, note: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "echo '[juliapkg] Locating Julia'; echo; printf 'Precompiling\\r  done\\n'; exit 1"
    monkeypatch.setattr(julia_setup, "python", lambda *_: ["/bin/sh", "-c", script])
    heard: list[str] = []
    with pytest.raises(UserError):
        julia_setup.set_up(gpu=False, say=lambda _: None, hear=heard.append)
    assert heard == ["[juliapkg] Locating Julia", "Precompiling", "done"]


def test_setup_into_a_place_that_cannot_be_written_is_one_line(unset: Path, note: Path) -> None:
    unset.write_text("a file where the folder should be")
    with pytest.raises(UserError, match="cannot make the Julia project"):
        julia_setup.set_up(gpu=False, say=lambda _: None)


def test_setup_of_a_given_julia_reports_its_failure(julia: Callable[..., JuliaRuntime], note: Path) -> None:
    julia(GOOD, exit_code=1)
    with pytest.raises(UserError, match="Julia could not be set up: it failed"):
        julia_setup.set_up(gpu=False, say=lambda _: None)


def test_setup_of_a_given_julia_says_what_it_does_once(
    julia: Callable[..., JuliaRuntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = julia(GOOD)
    said: list[str] = []
    assert julia_setup.set_up(gpu=False, say=said.append).flux == "0.16.9"
    assert said[0].startswith("using ")
    assert said[-1] == "a first training step, in a process of its own"
    assert julia_setup.set_up(gpu=False, say=said.append).flux == "0.16.9"
    assert len(said) == 3  # nothing was to be done
    monkeypatch.setattr(julia_setup, "flux_trainer_digest", lambda: "changed")
    julia_setup.set_up(gpu=False, say=said.append)
    assert len(said) == 6
    assert (Path(runtime.project) / julia_setup.READY).exists()


FORGETFUL = """#!/bin/sh
case "$*" in
  *compilecache*) echo compiled >> {compiled}; exit;;
  *"run = start"*) exit;;
esac
{versions}
[ "$(wc -l < {compiled})" -ge {enough} ] || echo 'not compiled: FluxTrainer'
"""


@pytest.mark.parametrize(("enough", "compiled"), [(0, 0), (1, 1), (2, 1)])
def test_setup_makes_sure_that_all_is_compiled(
    julia: Callable[..., JuliaRuntime], tmp_path: Path, note: Path, enough: int, compiled: int
) -> None:
    """Pkg ends without an error, and without an image, where another process was at it."""
    runtime, log = julia(GOOD), tmp_path / "compiled"
    log.touch()
    versions = "\n".join(f"echo {line}" for line in GOOD)
    Path(runtime.executable).write_text(
        FORGETFUL.replace("{compiled}", str(log)).replace("{versions}", versions).replace("{enough}", str(enough))
    )
    said: list[str] = []
    if enough <= compiled:
        assert julia_setup.set_up(gpu=False, say=said.append).flux == "0.16.9"
        assert check_runtime(runtime).lacking == ()
    else:
        with pytest.raises(UserError, match=r"^FluxTrainer was compiled twice, .* run `tuneoff setup-julia` when they"):
            julia_setup.set_up(gpu=False, say=said.append)
        assert not (Path(runtime.project) / julia_setup.READY).exists()
    assert len(log.read_text().splitlines()) == compiled
    again = "FluxTrainer is not compiled, which another process may have prevented; compiling it again"
    assert said.count(again) == compiled


def test_flux_trainer_of_another_checkout_is_refused(julia: Callable[..., JuliaRuntime], tmp_path: Path) -> None:
    other = tmp_path / "other checkout"
    shutil.copytree(julia_runtime.PACKAGE, other)
    check_runtime(julia([*GOOD, str(other)]))  # the same, somewhere else
    changed = other / "src" / "run.jl"
    changed.write_text(changed.read_text() + "# changed\n")
    with pytest.raises(UserError, match=r"has the FluxTrainer of .*other checkout, not that of"):
        check_runtime(julia([*GOOD, str(other)]))


def test_setup_of_a_project_that_another_checkout_uses_says_whose_runs(
    julia: Callable[..., JuliaRuntime], tmp_path: Path
) -> None:
    other = tmp_path / "other checkout"
    shutil.copytree(PACKAGE, other)
    said: list[str] = []
    runtime = julia([*GOOD, str(other)])
    found = julia_setup.set_up(gpu=False, say=said.append, again=True)
    assert said[1] == (
        f"{runtime.project} has the FluxTrainer of {other}; from now on that of {PACKAGE} runs there, for all"
    )
    assert found.source == str(other)  # this Julia always says so


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("    Updating registry at `~/.julia/registries/General.toml`", "fetching the list of packages"),
        ("[juliapkg] Installing Julia 1.12.1 to /x", "downloading Julia"),
        ("   Resolving package versions...", "choosing versions"),
        ("   Installed Zygote \N{HORIZONTAL ELLIPSIS} v0.7.12", "downloading packages, Zygote is there"),
        ("  2 dependencies successfully precompiled in 3 seconds", "compiling packages"),
        ("  No Changes to `/x/Manifest.toml`", None),
    ],
)
def test_progress_is_told_in_our_words(line: str, told: str | None) -> None:
    assert julia_setup.doing(line) == told


def test_what_a_trial_would_miss_is_said_before(
    julia: Callable[..., JuliaRuntime], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the probe says of a depot that is not the one, and of packages that were never compiled."""
    monkeypatch.delenv("JULIA_DEPOT_PATH", raising=False)
    for said, told in (
        (
            "not in the depot: Adapt and 73 more",
            "needs Adapt and 73 more, not there in Julia's depot; run `tuneoff setup",
        ),
        ("not compiled: FluxTrainer", "is not compiled in Julia's depot; run `tuneoff setup-julia`"),
    ):
        with pytest.raises(UserError, match=told):
            check_runtime(julia([*GOOD, str(PACKAGE), said]))
    monkeypatch.setenv("JULIA_DEPOT_PATH", str(tmp_path / "depot"))
    with pytest.raises(
        UserError, match=r"JULIA_DEPOT_PATH is /.*/depot\); set it to the depot with which that was set"
    ):
        check_runtime(julia([*GOOD, str(PACKAGE), "not in the depot: Adapt"]))


def test_remedies_fit_where_the_julia_came_from(julia: Callable[..., JuliaRuntime], tmp_path: Path) -> None:
    project = julia(GOOD).project
    with pytest.raises(UserError, match=r"is not there; run `tuneoff setup-julia`$"):
        check_runtime(JuliaRuntime("/nowhere/julia", project, given=False))
    with pytest.raises(UserError, match=r"^the Julia project is .*, which is not a folder; run `tuneoff setup-julia`$"):
        check_runtime(JuliaRuntime("/nowhere/julia", f"{project}-not", given=False))


def test_an_executable_is_found_on_the_path(
    julia: Callable[..., JuliaRuntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    executable = julia(GOOD).executable
    monkeypatch.setenv("PATH", str(Path(executable).parent), prepend=os.pathsep)
    monkeypatch.setenv(EXE, "julia")
    assert find_runtime().executable == executable


def test_launch_with_flux_by_name_and_no_julia_exits_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EXE, str(tmp_path / "no-julia"))
    monkeypatch.setenv(PROJECT, str(tmp_path))
    command = [sys.executable, "-m", "study", "launch", "quickstart", "--frameworks", "flux", "--out", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert answer.stderr.startswith("tuneoff: Flux cannot run: ")
    assert len(answer.stderr.splitlines()) == 1
    assert not (tmp_path / "quickstart").exists()
