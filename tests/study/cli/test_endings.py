"""How a command ends: what it says, what it leaves behind, with which exit code. No Ray in this file."""

from __future__ import annotations

import errno
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

from study.cli import commands, running
from study.cluster.address import Place
from study.driver.phases import report
from study.driver.recorder import trial_row
from study.driver.repair import mended_searches
from study.plan.files import load_plan, thaw
from study.plan.plan import Plan
from study.store.folder import StudyFolder, clear, create
from study.store.lock import locked
from study.store.records import Records
from trainables.common.errors import UserError
from trainables.workloads.datasets import cache_folder

ERROR = "RuntimeError: the GPU is on fire"


def call(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["tuneoff", *arguments])
    with pytest.raises(SystemExit) as stopped:
        commands.main()
    out, err = capsys.readouterr()
    code = stopped.value.code
    return (code if isinstance(code, int) else 0), out, err


@pytest.fixture
def plan() -> Plan:
    settings = ["search.trials=3", "race.configurations=0", "confirm.runs=0", "search.sampler=random"]
    return load_plan("quickstart", settings=settings, frameworks=["simulated"])


def studied(path: Path, plan: Plan, *, failed: int) -> StudyFolder:
    """A finished study of three trials, the first of which failed."""
    folder = create(path, plan)
    records = Records(folder, say=print)
    for number in range(3):
        identity = {"study": folder.name, "phase": "search", "trial_id": f"search-simulated-{number:05d}"}
        point = {"learning_rate": 0.1, "batch_size": 32, "num_workers": 0}
        spec = plan.spec("simulated", point, seed=0)
        lost = number < failed
        result = {"outcome": "failed" if lost else "diverged", "error": ERROR if lost else None, "reached": False}
        result |= {"objective": None if lost else 99.0, "evaluations": 0}
        records.add_trial(
            trial_row(
                {**identity, "number": number},
                plan,
                spec,
                result,
                workload_digest="",
                held_s=2.0,
                lost_s=0.0,
                failures=1,
            )
        )
    records.close()
    return folder


def test_resume_and_status_tell_that_every_trial_failed(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = studied(tmp_path / "s", plan, failed=3)
    code, out, err = call(["resume", str(folder.path)], capsys, monkeypatch)
    assert code == 1
    assert "finished: nothing to run" in out
    assert err == (
        f"tuneoff: Simulated: no usable result, all 3 trials failed with: {ERROR}. Mend that, then `tuneoff resume "
        f"{folder.path} --retry-failed` runs them again\n"
    )
    assert folder.report.joinpath("index.html").exists()
    code, out, _ = call(["status", str(folder.path)], capsys, monkeypatch)
    assert code == 0
    assert "finished, without a usable result" in out
    assert f"all 3 trials failed with: {ERROR}; `tuneoff resume {folder.path} --retry-failed`" in " ".join(out.split())
    state = json.loads(call(["status", str(folder.path), "--json"], capsys, monkeypatch)[1])
    assert state["without_result"] == ["simulated"]
    assert (state["failures"]["count"], state["failures"]["error"]) == (3, ERROR)


def test_some_failures_are_told_and_end_nothing(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = studied(tmp_path / "s", plan, failed=1)
    code, out, err = call(["resume", str(folder.path)], capsys, monkeypatch)
    assert (code, err) == (0, "")
    assert f"1 of 3 trials failed with: {ERROR}. `tuneoff resume {folder.path} --retry-failed`" in out


def test_what_fails_before_the_first_trial_leaves_no_folder(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def machine(plan: Plan, folder: StudyFolder, *_: object, **__: object) -> NoReturn:
        folder.journal.touch()  # the search had begun, and no trial
        folder.checkpoints("").mkdir(parents=True)
        running.fail("Ray did not start", 1)

    def user(plan: Plan, folder: StudyFolder, *_: object, **__: object) -> NoReturn:
        raise UserError("no node can hold a slice")

    def trial(plan: Plan, folder: StudyFolder, *_: object, **__: object) -> NoReturn:
        Records(folder, say=print).add_start("search-simulated-00000", {})
        running.fail("the study stopped", 1)

    for end, raised, left in ((machine, SystemExit, False), (user, UserError, False), (trial, SystemExit, True)):
        monkeypatch.setattr(running, "drive", end)
        with pytest.raises(raised):
            running.start(plan, tmp_path / "s", Place(), None)
        assert (tmp_path / "s").exists() == left


def test_a_launch_takes_over_what_one_that_never_began_has_left(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As kill -9 leaves it while Ray starts; of another plan, too."""
    folder = create(tmp_path / "s", load_plan("quickstart", settings=["seed=7"], frameworks=["simulated"]))
    folder.checkpoints("").mkdir(parents=True)
    for path in (folder.lock, folder.owner, folder.journal, folder.provenance, folder.path / "Manifest.toml"):
        path.touch()
    drove: list[Plan] = []
    monkeypatch.setattr(running, "drive", lambda plan, folder, *_, **__: drove.append(thaw(folder.plan)))
    with locked(folder), pytest.raises(UserError, match="belongs to another plan"):
        running.start(plan, folder.path, Place(), None)  # another driver is about to begin
    running.start(plan, folder.path, Place(), None)
    assert drove == [plan]
    assert sorted(path.name for path in folder.path.iterdir()) == ["plan.toml", "workload"]


def test_a_plan_of_the_users_is_not_taken_for_a_study(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = create(tmp_path / "s", load_plan("quickstart", settings=["seed=7"], frameworks=["simulated"]))
    before = folder.plan.read_bytes()
    with pytest.raises(UserError, match="belongs to another plan"):
        running.start(plan, folder.path, Place(), None)
    assert folder.plan.read_bytes() == before
    (folder.path / "notes.txt").write_text("mine")
    clear(folder)
    assert [path.name for path in folder.path.iterdir()] == ["notes.txt"]


def read_only(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Refuse every new file below a folder."""
    make, start = tempfile.mkstemp, Path.write_text

    def refuse_temporary(*arguments: object, **options: object) -> tuple[int, str]:
        if str(options.get("dir") or "").startswith(str(folder)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(options["dir"]))
        return make(*arguments, **options)  # type: ignore[call-overload,no-any-return]

    def refuse_text(path: Path, *arguments: object, **options: object) -> int:
        if path.is_relative_to(folder):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return start(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(tempfile, "mkstemp", refuse_temporary)
    monkeypatch.setattr(Path, "write_text", refuse_text)


def test_a_folder_that_can_only_be_read(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = studied(tmp_path / "s", plan, failed=1)
    report(folder, say=print)
    read_only(monkeypatch, folder.path)
    assert call(["status", str(folder.path)], capsys, monkeypatch)[0] == 0
    code, out, _ = call(["report", str(folder.path), "--verify"], capsys, monkeypatch)
    assert (code, out) == (0, "Every number is what the records say.\n")
    code, _, err = call(["report", str(folder.path)], capsys, monkeypatch)
    assert (code, err.count("\n")) == (1, 1)
    assert f"cannot write the report ({folder.report}" in err
    assert "Read-only file system" in err
    folder.plan.write_bytes(b"damaged")
    code, _, err = call(["status", str(folder.path)], capsys, monkeypatch)
    assert (code, err.count("\n")) == (2, 1)


def test_any_other_file_that_cannot_be_used_is_a_line(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (str(studied(tmp_path / name, plan, failed=0).path) for name in "ab")
    code, _, err = call(["compare", one, two, "--out", "/proc/x"], capsys, monkeypatch)
    assert (code, err) == (1, "tuneoff: cannot use /proc/x (No such file or directory)\n")


@pytest.mark.parametrize(
    "edit", [("momentum = 0.9", "momentum = 0.8"), ("trials = 3", "trials = 1"), ("high = 0.1", "high = 1.0")]
)
def test_a_plan_that_was_edited_is_refused_in_a_finished_study_too(
    plan: Plan,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    edit: tuple[str, str],
) -> None:
    folder = studied(tmp_path / "s", plan, failed=0)
    said: list[str] = []
    mended_searches(plan, folder, Records(folder, say=said.append), concurrent=False, say=said.append)
    text = folder.plan.read_text()
    assert edit[0] in text
    folder.plan.write_text(text.replace(edit[0], edit[1], 1))
    for command in ("resume", "confirm", "report"):
        code, out, err = call([command, str(folder.path)], capsys, monkeypatch)
        assert (code, out, err.count("\n")) == (2, "", 1), command
        assert edit[1].rpartition(" ")[2] in err
    assert call(["status", str(folder.path)], capsys, monkeypatch)[0] == 0
    folder.plan.write_text(text)
    assert call(["resume", str(folder.path)], capsys, monkeypatch)[0] == 0


def test_studies_are_compared_as_sides(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (str(studied(tmp_path / name, plan, failed=0).path) for name in "ab")
    page = tmp_path / "page.html"
    code, out, err = call(["compare", one, two, "--by", "study", "--out", str(page)], capsys, monkeypatch)
    assert (code, err) == (0, "")
    assert "in a" in out or out.startswith("a ")
    assert "Best configuration of each side" in page.read_text()
    code, out, err = call(["compare", one, two, "--by", "machine", "--out", str(page)], capsys, monkeypatch)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "framework" in err
    assert "study" in err


def test_a_comparison_may_be_a_file(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (str(studied(tmp_path / name, plan, failed=0).path) for name in "ab")
    for page in (tmp_path / "page.html", tmp_path / "new" / "page.HTM", tmp_path / "page.html"):
        code, out, err = call(["compare", one, two, "--out", str(page)], capsys, monkeypatch)
        assert (code, err) == (0, "")
        note = "(the page alone; --out FOLDER keeps its tables and figures, too)"
        assert out.endswith(f"comparison: {page} {note}\n")
        assert page.read_text().startswith("<!")
        assert not any(each.suffix in (".csv", ".svg") for each in page.parent.iterdir())
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    for other in (notes, Path(one) / "plan.toml"):
        code, out, err = call(["compare", one, two, "--out", str(other)], capsys, monkeypatch)
        assert (code, out) == (2, "")
        said = "is a file, and no page; give a folder, or a file that ends in .html"
        assert err == f"tuneoff: --out {other} {said}\n"
    assert notes.read_text() == "mine"
    (tmp_path / "folder.html").mkdir()
    assert call(["compare", one, two, "--out", str(tmp_path / "folder.html")], capsys, monkeypatch)[0] == 0
    assert (tmp_path / "folder.html" / "index.html").exists()


def test_a_comparison_is_checked(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (str(studied(tmp_path / name, plan, failed=0).path) for name in "ab")
    page = tmp_path / "page"
    command = ["compare", one, two, "--out", str(page)]
    assert call([*command, "--verify"], capsys, monkeypatch)[0] == 2  # there is none yet
    assert call(command, capsys, monkeypatch)[0] == 0
    code, out, err = call([*command, "--verify"], capsys, monkeypatch)
    assert (code, out, err) == (0, "Every number is what the records say.\n", "")
    text = (page / "index.html").read_text()
    (page / "index.html").write_text(text.replace('<p class="verdict">', '<p class="verdict" hidden>', 1))
    code, out, _ = call([*command, "--verify"], capsys, monkeypatch)
    assert (code, out.splitlines()[-1]) == (1, "1 differ.")
    assert 'verdict" hidden' in out
    code, out, err = call(["report", str(page), "--verify"], capsys, monkeypatch)
    assert (code, out) == (2, "")
    assert err.startswith(f"tuneoff: {page} is a page over several studies; `tuneoff compare DIR DIR --out ")


def test_commands_that_are_printed_can_be_typed(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = studied(tmp_path / "a b", plan, failed=1)
    for command in ("resume", "status"):
        out = call([command, str(folder.path)], capsys, monkeypatch)[1]
        assert f"`tuneoff resume '{folder.path}' --retry-failed`" in " ".join(out.split())


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> NoReturn:
        raise RuntimeError("Could not determine home directory.")

    for name in ("TUNEOFF_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(UserError, match="no home folder; set TUNEOFF_CACHE"):
        cache_folder()


def test_a_path_that_ray_cannot_take(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = os.fsdecode(b"n\xff")
    monkeypatch.chdir(tmp_path)
    arguments = ["launch", "quickstart", "--frameworks", "simulated", "--name", name]
    code, _, err = call(arguments, capsys, monkeypatch)
    assert (code, err.count("\n")) == (2, 1)
    assert "choose another with --name or --out" in err
    assert list(tmp_path.rglob("plan.toml")) == []
    folder = studied(tmp_path / name, plan, failed=0)
    report(folder, say=print)
    assert "n\N{REPLACEMENT CHARACTER}" in (folder.report / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("width", ["60", "80", "120"])
def test_status_cuts_no_name(
    width: str, plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    folder = studied(tmp_path / "s", plan, failed=1)
    out = call(["status", str(folder.path)], capsys, monkeypatch)[1]
    line = "Simulated 3 of 3 trials, 0 reached, 1 failed; 6 slice-s; no best yet"
    assert line in " ".join(out.split())
    assert "\u2026" not in out


def test_a_page_of_compare_is_no_study_beside_others(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        studied(tmp_path / "results" / name, plan, failed=0)
    assert call(["compare", "results/a", "results/b"], capsys, monkeypatch)[0] == 0
    every = sorted(map(str, Path("results").iterdir()))
    code, out, err = call(["compare", *every], capsys, monkeypatch)
    assert (every, code) == (["results/a", "results/b", "results/comparison"], 0)
    assert err == ""
    assert "results/comparison is left out: it is no study but a page of `tuneoff compare`" in out
    assert "two studies" in call(["compare", "results/a", "results/comparison"], capsys, monkeypatch)[2]


def test_resume_says_why_a_search_that_stopped_has_no_more_trials(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = plan.search.model_copy(update={"trials": 30, "budget": "4s"})  # each of the three held its slice for 2 s
    folder = studied(tmp_path / "s", plan.model_copy(update={"search": search}), failed=0)
    (folder.report / "index.html").parent.mkdir()
    (folder.report / "index.html").touch()
    code, out, _ = call(["resume", str(folder.path), "--set", "search.budget=5s"], capsys, monkeypatch)
    assert code == 0
    assert "finished: nothing to run" in out
    said = "Simulated: stopped after 3 of 30 trials: they cost 6 of the 5 slice-s that search.budget = 5s allows"
    assert said in " ".join(out.split())
