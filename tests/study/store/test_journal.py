"""The journal after every kind of interruption, without Ray: what a driver leaves behind is made by hand."""

from __future__ import annotations

import errno
import os
import threading
import time
from math import log
from pathlib import Path

import optuna
import pytest
from optuna.storages.journal import JournalFileOpenLock, JournalFileSymlinkLock
from optuna.trial import TrialState

from study.plan.files import freeze, load_plan
from study.plan.plan import Plan
from study.plan.samplers import make_sampler
from study.store.folder import StudyFolder, create
from study.store.journal import (
    Search,
    enqueue_again,
    enqueue_first_points,
    open_searches,
    open_storage,
    origin,
    reconcile,
    search_distributions,
    trial_id,
)
from study.store.patience import Patience, StorageGone


@pytest.fixture
def plan() -> Plan:
    return load_plan("quickstart", settings=["search.startup_trials=3"], frameworks=["simulated"])


@pytest.fixture
def folder(tmp_path: Path, plan: Plan) -> StudyFolder:
    return create(tmp_path / "study", plan)


def reopen(plan: Plan, folder: StudyFolder) -> Search:
    """As a new driver does, from the file alone."""
    searches = open_searches(plan, open_storage(folder, say=print), concurrent=False)
    enqueue_first_points(plan, searches, {})
    return searches["simulated"]


def drawn(search: Search, plan: Plan, count: int, *, tell: bool = True) -> list[dict[str, float]]:
    points = []
    for _ in range(count):
        trial = search.study.ask(search_distributions(plan, "simulated"))
        points.append(trial.params)
        if tell:
            search.study.tell(trial, trial.params["learning_rate"] + trial.params["batch_size"])
    return points


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp"])
@pytest.mark.parametrize("after", [2, 5])
def test_a_resumed_search_draws_what_the_uninterrupted_would(tmp_path: Path, sampler: str, after: int) -> None:
    plan = load_plan(
        "quickstart", settings=[f"search.sampler={sampler}", "search.startup_trials=3"], frameworks=["simulated"]
    )
    whole = drawn(reopen(plan, create(tmp_path / "whole", plan)), plan, 8)
    broken = create(tmp_path / "broken", plan)
    before = drawn(reopen(plan, broken), plan, after)
    lost = drawn(reopen(plan, broken), plan, 1, tell=False)  # running when the driver was killed
    search = reopen(plan, broken)
    assert len(reconcile({"simulated": search}, {})) == 1
    rest = drawn(reopen(plan, broken), plan, 8 - after)
    assert before + rest == whole
    assert rest[0] == lost[0]
    assert len({tuple(point.values()) for point in whole}) == 8


def test_an_interrupted_trial_is_replaced_once(plan: Plan, folder: StudyFolder) -> None:
    search = reopen(plan, folder)
    drawn(search, plan, 1)
    lost = search.study.ask(search_distributions(plan, "simulated"))
    search = reopen(plan, folder)
    assert len(reconcile({"simulated": search}, {})) == 1
    assert len(reconcile({"simulated": search}, {})) == 0  # a second look changes nothing
    assert [trial.number for trial in search.finished()] == [0]
    again = search.study.ask(search_distributions(plan, "simulated"))
    assert again.params == lost.params
    assert origin(search.study.trials[again.number]) == lost.number
    assert search.place(again.number + 1) == 2


def test_killed_between_enqueuing_and_failing(plan: Plan, folder: StudyFolder) -> None:
    search = reopen(plan, folder)
    lost = search.study.ask(search_distributions(plan, "simulated"))
    search.study.enqueue_trial(lost.params, user_attrs={"origin": lost.number, "predecessor": lost.number})
    search = reopen(plan, folder)
    assert len(reconcile({"simulated": search}, {})) == 0
    states = [trial.state for trial in search.study.trials]
    assert states == [TrialState.FAIL, TrialState.WAITING]


def test_an_interruption_of_the_replacement_keeps_the_origin(plan: Plan, folder: StudyFolder) -> None:
    search = reopen(plan, folder)
    lost = search.study.ask(search_distributions(plan, "simulated"))
    for _ in range(3):
        search = reopen(plan, folder)
        assert len(reconcile({"simulated": search}, {})) == 1
        again = search.study.ask(search_distributions(plan, "simulated"))
        assert again.params == lost.params
        assert origin(search.study.trials[again.number]) == lost.number
    assert len(search.trials()) == 1
    assert search.place(again.number + 1) == 1


def test_a_trial_that_finished_untold_is_told(plan: Plan, folder: StudyFolder) -> None:
    search = reopen(plan, folder)
    trial = search.study.ask(search_distributions(plan, "simulated"))
    record = {"outcome": "reached", "objective": 1.5}
    assert len(reconcile({"simulated": search}, {trial_id("simulated", trial.number): record})) == 0
    assert [(each.state, each.value) for each in search.study.trials] == [(TrialState.COMPLETE, 1.5)]


def test_a_trial_that_failed_untold_is_not_tried_for_ever(plan: Plan, folder: StudyFolder) -> None:
    search = reopen(plan, folder)
    trial = search.study.ask(search_distributions(plan, "simulated"))
    record = {"outcome": "failed", "objective": None}
    assert len(reconcile({"simulated": search}, {trial_id("simulated", trial.number): record})) == 0
    assert len(search.finished()) == 1


def test_a_failed_trial_runs_again_in_its_own_place(plan: Plan, folder: StudyFolder) -> None:
    search = reopen(plan, folder)
    first, failed, last = drawn(search, plan, 1)[0], search.study.ask(search_distributions(plan, "simulated")), None
    search.study.tell(failed, state=TrialState.FAIL)
    last = drawn(search, plan, 1)[0]
    name = trial_id("simulated", failed.number)
    assert enqueue_again({"simulated": search}, {name}) == 1
    assert enqueue_again({"simulated": reopen(plan, folder)}, {name}) == 0  # it waits already
    search = reopen(plan, folder)
    assert len(search.finished()) == 2
    again = search.study.ask(search_distributions(plan, "simulated"))
    assert again.params == failed.params not in (first, last)
    assert origin(search.study.trials[again.number]) == failed.number
    search = reopen(plan, folder)
    assert len(reconcile({"simulated": search}, {})) == 1  # interrupted meanwhile: it goes on
    again = search.study.ask(search_distributions(plan, "simulated"))
    search.study.tell(again, 1.0)
    assert [origin(trial) for trial in search.finished()] == [0, 2, 1]
    assert search.place(again.number + 1) == 3


def test_a_trial_killed_before_it_had_parameters_is_dropped(plan: Plan, folder: StudyFolder) -> None:
    search = reopen(plan, folder)
    search.study.ask()
    assert len(reconcile({"simulated": search}, {})) == 0
    assert [trial.state for trial in search.study.trials] == [TrialState.FAIL]
    assert search.trials() == search.finished() == []  # it does not count


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp"])
def test_a_trial_killed_between_two_parameters_is_drawn_again(tmp_path: Path, sampler: str) -> None:
    plan = load_plan(
        "quickstart", settings=[f"search.sampler={sampler}", "search.startup_trials=3"], frameworks=["simulated"]
    )
    whole = drawn(reopen(plan, create(tmp_path / "whole", plan)), plan, 8)
    broken = create(tmp_path / "broken", plan)
    before = drawn(reopen(plan, broken), plan, 5)
    space = search_distributions(plan, "simulated")
    name, distribution = next(iter(space.items()))
    lost = reopen(plan, broken).study.ask()
    lost._suggest(name, distribution)
    search = reopen(plan, broken)
    assert len(reconcile({"simulated": search}, {})) == 0
    assert before + drawn(reopen(plan, broken), plan, 3) == whole


def test_a_killed_initial_point_is_tried_again(tmp_path: Path) -> None:
    point = "{learning_rate=0.1,batch_size=64,num_workers=0}"
    plan = load_plan("quickstart", settings=[f"search.initial_points=[{point}]"], frameworks=["simulated"])
    folder = create(tmp_path / "study", plan)
    reopen(plan, folder).study.ask()  # killed before it had read its parameters
    search = reopen(plan, folder)
    assert len(reconcile({"simulated": search}, {})) == 1
    assert drawn(reopen(plan, folder), plan, 1) == [{"learning_rate": 0.1, "batch_size": 64, "num_workers": 0}]
    assert reopen(plan, folder).place(2) == 1


def test_a_lock_left_by_a_killed_writer_is_not_waited_for(plan: Plan, folder: StudyFolder) -> None:
    drawn(reopen(plan, folder), plan, 1)
    folder.path.joinpath("optuna.journal.lock").symlink_to(folder.journal)
    began = time.monotonic()
    drawn(reopen(plan, folder), plan, 1)
    assert time.monotonic() - began < 10.0  # Optuna would wait for 30 s


def test_a_journal_that_has_gone_away_is_not_started_anew(plan: Plan, folder: StudyFolder) -> None:
    search = reopen(plan, folder)
    search.study._storage._backend._patience = Patience(print, limit_s=0.0, retry_s=0.01)
    folder.journal.rename(folder.path / "elsewhere")
    with pytest.raises(StorageGone):
        search.study.ask()
    assert not folder.journal.exists()


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_storage_without_symbolic_links(
    plan: Plan, folder: StudyFolder, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As FAT, some SMB and some FUSE are; they have no modes either."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    for name in ("symlink", "chmod"):
        monkeypatch.setattr(os, name, refuse)
    search = reopen(plan, folder)
    search.study._storage._backend._patience = Patience(print, limit_s=0.0)
    points = drawn(search, plan, 2)
    assert [trial.params for trial in reopen(plan, folder).trials()] == points
    freeze(plan, folder.plan)
    assert sorted(path.name for path in folder.path.iterdir()) == ["optuna.journal", "plan.toml", "workload"]


def test_the_two_locks_keep_each_other_out(plan: Plan, folder: StudyFolder) -> None:
    """A dashboard that writes a note takes Optuna's own lock."""
    reopen(plan, folder)
    ours, theirs = JournalFileOpenLock(str(folder.journal)), JournalFileSymlinkLock(str(folder.journal))
    for first, second in ((ours, theirs), (theirs, ours)):
        first.acquire()
        waiting = threading.Thread(target=second.acquire, daemon=True)
        waiting.start()
        waiting.join(timeout=0.2)
        assert waiting.is_alive()
        first.release()
        waiting.join(timeout=10)
        second.release()


def test_initial_points_come_first_and_once(tmp_path: Path) -> None:
    point = "{learning_rate=0.1,batch_size=64,num_workers=0}"
    plan = load_plan("quickstart", settings=[f"search.initial_points=[{point}]"], frameworks=["simulated"])
    folder = create(tmp_path / "study", plan)
    points = [drawn(reopen(plan, folder), plan, 1)[0] for _ in range(3)]
    assert points[0] == {"learning_rate": 0.1, "batch_size": 64, "num_workers": 0}
    assert points[1] != points[0] != points[2]


RANGES = ["search.sampler=cmaes", "search.startup_trials=4", "space.all.batch_size={low=16, high=128, log=true}"]


def towards_the_middle(search: Search, plan: Plan, count: int, *, tell: bool = True) -> list[dict[str, float]]:
    points = []
    for _ in range(count):
        trial = search.study.ask(search_distributions(plan, "simulated"))
        points.append(trial.params)
        if tell:
            search.study.tell(trial, abs(log(trial.params["learning_rate"] / 0.02)) + trial.params["batch_size"] / 64)
    return points


def test_cma_es_goes_on_as_it_would_have(tmp_path: Path) -> None:
    pytest.importorskip("cmaes")
    plan = load_plan("quickstart", settings=RANGES, frameworks=["simulated"])
    whole = towards_the_middle(reopen(plan, create(tmp_path / "whole", plan)), plan, 24)
    assert len({tuple(each.values()) for each in whole}) > 20
    folder = create(tmp_path / "broken", plan)
    points = []
    for count in (3, 4, 1, 5, 2):  # interrupted at the start, within generations, and where one ends
        points += towards_the_middle(reopen(plan, folder), plan, count)
        search = reopen(plan, folder)
        lost = towards_the_middle(search, plan, 1, tell=False)
        assert len(reconcile({"simulated": reopen(plan, folder)}, {})) == 1
        assert towards_the_middle(reopen(plan, folder), plan, 1) == lost
        points += lost
    points += towards_the_middle(reopen(plan, folder), plan, 24 - len(points))
    assert points == whole


def test_cma_es_adapts() -> None:
    pytest.importorskip("cmaes")
    sampler = make_sampler("cmaes", seed=0, startup_trials=4, concurrent=False, place=lambda number: number)
    study, values = optuna.create_study(sampler=sampler), []
    for _ in range(80):
        trial = study.ask()
        values.append(trial.suggest_float("x", 0, 1) ** 2 + abs(trial.suggest_float("y", 0, 1) - 0.7))
        study.tell(trial, values[-1])
    assert sum(values[60:]) < sum(values[:20]) / 3


def test_cma_es_leaves_choices_to_tpe(tmp_path: Path) -> None:
    pytest.importorskip("cmaes")
    plan = load_plan("quickstart", settings=RANGES[:2], frameworks=["simulated"])
    search = reopen(plan, create(tmp_path / "study", plan))
    towards_the_middle(search, plan, 14)
    kept = [each.system_attrs.get("cma:generation") for each in search.study.trials]
    assert kept[:4] == [None] * 4
    assert all(each is not None for each in kept[4:])
    assert plan.drawn_apart == ("batch_size",)
