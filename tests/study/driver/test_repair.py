"""A study's files damaged in every way, and what the next driver makes of them; without Ray."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState

from study.driver.recorder import trial_row
from study.driver.repair import (
    charge_losses,
    mend_evaluations,
    mended_searches,
    record_what_ended,
    retry_failures,
)
from study.plan.files import as_toml, load_plan, thaw
from study.plan.plan import Plan, parse
from study.plan.seeds import search_seed
from study.store.folder import StudyFolder, create
from study.store.frozen import digest_in
from study.store.journal import (
    Search,
    enqueue_again,
    open_searches,
    open_storage,
    origin,
    reconcile,
    search_distributions,
    trial_id,
)
from study.store.manifest import PLAN, changed, plan_of, refuse_edited
from study.store.parquet import parquet_differences
from study.store.records import Records
from trainables import checkpoint
from trainables.common.errors import UserError
from trainables.training import Training, run_to_end

FINISHED, STARTED = 3, 2


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_plan("quickstart", settings=["search.trials=6", "search.sampler=random"], frameworks=["simulated"])


@pytest.fixture
def study(tmp_path: Path, plan: Plan) -> StudyFolder:
    """What a driver leaves that was killed: three trials finished and recorded, two begun."""
    folder = create(tmp_path / "study", plan)
    folder.checkpoints("").mkdir(parents=True)
    records = Records(folder, say=print)
    search = mended_searches(plan, folder, records, concurrent=False, say=print)["simulated"]
    for number in range(FINISHED + STARTED):
        trial = search.study.ask(search_distributions(plan, "simulated"))
        spec = plan.spec("simulated", trial.params, seed=search_seed(plan, search.place(number)))
        name = trial_id("simulated", number)
        identity = {"study": "study", "phase": "search", "framework": "simulated", "trial_id": name, "number": number}
        records.add_start(name, spec.as_dict()["hyperparameters"])
        training = Training(spec, folder=folder.checkpoints(name))
        if number < FINISHED:
            result = run_to_end(training)
            records.add_evaluations({**vars(each), **identity} for each in training.evaluations)
            records.add_trial(
                trial_row(
                    identity, plan, spec, result, workload_digest=digest_in(folder.copies), held_s=1.0, lost_s=0.0
                )
            )
            search.study.tell(trial, result["objective"])
        else:
            training.advance()
    return folder


def resumed(plan: Plan, folder: StudyFolder, say: Callable[[str], None] = print) -> tuple[Records, list[object]]:
    """Everything that a driver mends before it goes on; the records and the states of the search's trials."""
    records = Records(folder, say=say)
    mend_evaluations(folder, records)
    searches = mended_searches(plan, folder, records, concurrent=False, say=say)
    record_what_ended(plan, folder, records, searches["simulated"])
    reconcile(searches, records.trials)
    trials = searches["simulated"].trials()
    return records, [(origin(trial), trial.state) for trial in trials]


EXPECTED = [(number, TrialState.COMPLETE) for number in range(FINISHED)] + [
    (number, TrialState.WAITING) for number in range(FINISHED, FINISHED + STARTED)
]


def check(plan: Plan, folder: StudyFolder, before: Records, said: list[str]) -> None:
    records, states = resumed(plan, folder, said.append)
    assert sorted(states) == EXPECTED
    assert records.trials.keys() == before.trials.keys()
    for name, row in records.trials.items():
        kept = before.trials[name]
        volatile = {"ended_at", "slice_s", "began_at"}
        assert {key: row[key] for key in row.keys() - volatile} == {key: kept[key] for key in kept.keys() - volatile}
    assert records.evaluations_by_trial() == before.evaluations_by_trial()
    search = open_searches(plan, open_storage(folder, say=print), concurrent=False)["simulated"]
    for trial in search.trials():
        assert (
            trial.params.keys() == search_distributions(plan, "simulated").keys() or trial.state == TrialState.WAITING
        )
        row = records.trials.get(trial_id("simulated", origin(trial)))
        if row is not None:
            assert trial.value == row["objective"]
            assert all(row[name] == value for name, value in trial.params.items())
    assert search.place(len(search.study.trials)) == FINISHED + STARTED  # the next trial draws what it would have


def test_nothing_to_mend(plan: Plan, study: StudyFolder) -> None:
    said: list[str] = []
    check(plan, study, Records(study, say=print), said)
    assert said == []


def test_a_journal_cut_anywhere(plan: Plan, study: StudyFolder) -> None:
    """Power loss: as a file system may leave it, the records whole or not."""
    whole, log = study.journal.read_bytes(), study.log.read_bytes()
    before = Records(study, say=print)
    step = max(1, len(whole) // 60)
    for cut in [*range(0, len(whole), step), len(whole) - 1]:
        study.journal.write_bytes(whole[:cut])
        study.log.write_bytes(log)
        check(plan, study, before, [])


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_journal_damaged_inside_is_made_anew_and_told(plan: Plan, study: StudyFolder, where: float) -> None:
    content = bytearray(study.journal.read_bytes())
    place = int(where * len(content))
    content[place : place + 40] = b"\x00" * 40
    study.journal.write_bytes(content)
    said: list[str] = []
    check(plan, study, Records(study, say=print), said)
    assert "optuna.journal was damaged" in said[0]
    aside = next(study.path.glob("optuna.journal.damaged-*"))
    assert aside.read_bytes() == bytes(content)
    said.clear()
    check(plan, study, Records(study, say=print), said)  # once
    assert said == []


def test_a_changed_digit_in_the_journal_is_seen(plan: Plan, study: StudyFolder) -> None:
    """Also of a trial that nothing but the journal knows yet."""
    search = open_searches(plan, open_storage(study, say=print), concurrent=False)["simulated"]
    drawn = search.study.ask(search_distributions(plan, "simulated")).params
    text = study.journal.read_text()
    place = text.rindex('"param_value_internal":0.') + len('"param_value_internal":0.')
    study.journal.write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :])
    said: list[str] = []
    resumed(plan, study, said.append)
    assert "a line's checksum does not fit" in said[0]
    search = open_searches(plan, open_storage(study, say=print), concurrent=False)["simulated"]
    for _ in range(STARTED):
        search.study.ask(search_distributions(plan, "simulated"))  # those that had begun
    assert search.study.ask(search_distributions(plan, "simulated")).params == drawn


def test_lines_of_others_need_no_checksum(plan: Plan, study: StudyFolder) -> None:
    """As a note that somebody leaves with optuna-dashboard."""
    others = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(study.journal)))
    optuna.load_study(study_name="simulated", storage=others).set_user_attr("note", "looks good")
    said: list[str] = []
    check(plan, study, Records(study, say=print), said)
    assert said == []


def test_a_lost_journal(plan: Plan, study: StudyFolder) -> None:
    study.journal.unlink()
    check(plan, study, Records(study, say=print), [])


def test_records_cut_anywhere_are_filled_up_from_the_checkpoints(plan: Plan, study: StudyFolder) -> None:
    whole, journal = study.log.read_bytes(), study.journal.read_bytes()
    before = Records(study, say=print)
    for cut in range(0, len(whole), max(1, len(whole) // 60)):
        study.log.write_bytes(whole[:cut])
        study.journal.write_bytes(journal)
        check(plan, study, before, [])


def test_records_and_journal_both_lost(plan: Plan, study: StudyFolder) -> None:
    """The checkpoints alone: what finished goes on at once to its end, without training anything again."""
    study.log.unlink()
    study.journal.unlink()
    _, states = resumed(plan, study)
    assert [number for number, _ in states] == list(range(FINISHED + STARTED))
    for number in range(FINISHED):
        state = checkpoint.read_state(study.checkpoints(trial_id("simulated", number)))
        assert state is not None
        assert state["outcome"] is not None


@pytest.mark.parametrize(("scheduler", "outcome"), [("asha", "stopped"), ("cap", "capped")])
def test_a_trial_that_a_scheduler_stopped_unrecorded(
    plan: Plan, study: StudyFolder, scheduler: str, outcome: str
) -> None:
    plan = plan.model_copy(update={"search": plan.search.model_copy(update={"scheduler": scheduler})})
    for each in open_searches(plan, open_storage(study, say=print), concurrent=False).values():
        each.study.set_user_attr(PLAN, as_toml(plan))
    search = open_searches(plan, open_storage(study, say=print), concurrent=False)["simulated"]
    search.study.tell(FINISHED, 61.0)  # Optuna was told, then the driver died
    search.study.tell(FINISHED + 1, state=TrialState.FAIL)
    records, states = resumed(plan, study)
    stopped, failed = (records.trials[trial_id("simulated", FINISHED + each)] for each in (0, 1))
    assert (stopped["outcome"], stopped["evaluations"], stopped["objective"]) == (outcome, 1, 61.0)
    assert (failed["outcome"], failed["error"]) == ("failed", "the driver died with it")
    assert TrialState.WAITING not in [state for _, state in states]


def test_lost_work_is_charged_once(study: StudyFolder) -> None:
    records = Records(study, say=print)
    names = [trial_id("simulated", FINISHED + each) for each in (0, 1)]
    started = dict(records.unfinished)
    assert sorted(started) == names
    kept = {name: checkpoint.read_state(study.checkpoints(name))["segments"][0]["wall_s"] for name in names}  # type: ignore[index]
    charge_losses(study, records, seen_at=max(started.values()) + 100.0)
    for name in names:
        expected = max(started.values()) + 100.0 - started[name] - kept[name]
        assert records.lost_s(name) == pytest.approx(expected)
    charge_losses(study, records, seen_at=max(started.values()) + 1000.0)
    again = Records(study, say=print)
    assert again.unfinished == {}
    assert again.lost_s(names[0]) == records.lost_s(names[0]) < 200.0


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_plan_is_written_again_from_the_journal(plan: Plan, study: StudyFolder, damage: str) -> None:
    if damage == "cut":
        study.plan.write_text(study.plan.read_text()[:100])
    else:
        study.plan.unlink()
    found, notice = plan_of(study)
    assert found == plan
    assert notice is not None
    assert "plan.toml" in notice
    assert thaw(study.plan) == plan
    assert plan_of(study) == (plan, None)


def test_a_damaged_plan_without_a_journal_is_named(study: StudyFolder) -> None:
    study.plan.write_text("workload = ")
    study.journal.unlink()
    with pytest.raises(UserError, match=r"plan\.toml is not TOML"):
        plan_of(study)
    assert study.plan.read_text() == "workload = "


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (("target = 0.94", "target = 0.9"), r"training\.target = 0.94 \(now 0.9\)"),
        (('workload = "digits-lenet"', 'workload = "mnist-lenet"'), r"workload = 'digits-lenet' \(now 'mnist-lenet'\)"),
        (("high = 0.1", "high = 0.6"), r"space\.simulated\.learning_rate\.high = 0.1 \(now 0.6\)"),
        (('objective = "warm"', 'objective = "cold"'), r"search\.objective"),
    ],
)
def test_an_edited_plan_is_refused_by_name(plan: Plan, study: StudyFolder, edit: tuple[str, str], named: str) -> None:
    text = study.plan.read_text()
    assert edit[0] in text
    study.plan.write_text(text.replace(*edit, 1))
    edited, _ = plan_of(study)
    with pytest.raises(UserError, match=named):
        mended_searches(edited, study, Records(study, say=print), concurrent=False, say=print)
    with pytest.raises(UserError, match=named):
        refuse_edited(edited, study)  # as commands do that have nothing to run
    mended_searches(plan, study, Records(study, say=print), concurrent=False, say=print)
    refuse_edited(plan, study)


def test_more_trials_may_be_asked_for(plan: Plan, study: StudyFolder) -> None:
    more = changed(plan, study, ["search.trials=9", "confirm.runs=7"])
    assert (more.search.trials, more.confirm.runs) == (9, 7)
    search = mended_searches(more, study, Records(study, say=print), concurrent=False, say=print)["simulated"]
    assert search.study.user_attrs[PLAN] == as_toml(more)


@pytest.mark.parametrize(
    ("key", "fewer"), [("search.trials", 1), ("search.trials", 4), ("confirm.runs", 0), ("confirm.runs", 4)]
)
def test_fewer_than_were_planned_are_refused(plan: Plan, study: StudyFolder, key: str, fewer: int) -> None:
    more = changed(plan, study, ["search.trials=9", "confirm.runs=7"])
    mended_searches(more, study, Records(study, say=print), concurrent=False, say=print)
    planned = {"search.trials": 9, "confirm.runs": 7}[key]
    with pytest.raises(UserError, match=f"{key} is {fewer}, but .* was planned with {planned}; give {planned} or more"):
        changed(more, study, [f"{key}={fewer}"])
    last = key.partition(".")[2]
    text = as_toml(more).replace(f"\n{last} = {planned}\n", f"\n{last} = {fewer}\n", 1)
    edited = parse(tomllib.loads(text), "")
    with pytest.raises(UserError, match=f"{key} is {fewer}, but .* was planned with {planned}"):
        refuse_edited(edited, study)
    with pytest.raises(UserError, match=f"{key} is {fewer}, but .* was planned with {planned}"):
        mended_searches(edited, study, Records(study, say=print), concurrent=False, say=print)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("training.target=0.5", r"has begun with training\.target = 0.94 \(now 0.5\)"),
        ("search.trials=2", "search.trials is 2, but .* was planned with [0-9]+; give [0-9]+ or more"),
        ("search.trails=9", "unknown key search.trails; did you mean 'trials'"),
    ],
)
def test_other_changes_are_refused(plan: Plan, study: StudyFolder, setting: str, named: str) -> None:
    with pytest.raises(UserError, match=named):
        changed(plan, study, [setting])


@pytest.fixture
def failed(plan: Plan, study: StudyFolder) -> StudyFolder:
    """The same study, of which the second trial failed in its midst, at a cost of 7 s."""
    records = Records(study, say=print)
    search = open_searches(plan, open_storage(study, say=print), concurrent=False)["simulated"]
    name = trial_id("simulated", FINISHED)
    spec = plan.spec("simulated", search.study.trials[FINISHED].params, seed=search_seed(plan, FINISHED))
    identity = {"study": "study", "phase": "search", "framework": "simulated", "trial_id": name, "number": FINISHED}
    training = Training(spec, folder=study.checkpoints(name))
    records.add_evaluations({**vars(each), **identity} for each in training.evaluations)
    result = {**training.result(), "outcome": "failed", "error": "RuntimeError: broken"}
    records.add_trial(
        trial_row(identity, plan, spec, result, workload_digest=digest_in(study.copies), held_s=0.0, lost_s=7.0)
    )
    search.study.tell(FINISHED, state=TrialState.FAIL)
    records.close()
    return study


def searched(plan: Plan, folder: StudyFolder) -> tuple[Records, Search]:
    """As the search phase begins."""
    records = Records(folder, say=print)
    charge_losses(folder, records, seen_at=0.0)
    searches = mended_searches(plan, folder, records, concurrent=False, say=pytest.fail)
    record_what_ended(plan, folder, records, searches["simulated"])
    reconcile(searches, records.trials)
    enqueue_again(searches, records.retried)
    return records, searches["simulated"]


def states(search: Search) -> dict[int, TrialState]:
    return {origin(trial): trial.state for trial in search.trials()}


def test_failed_trials_run_again_only_where_that_is_asked_for(plan: Plan, failed: StudyFolder) -> None:
    records, search = searched(plan, failed)
    assert states(search)[FINISHED] == TrialState.FAIL
    assert records.trials[trial_id("simulated", FINISHED)]["outcome"] == "failed"


@pytest.mark.parametrize("interrupted", ["never", "before the journal knows", "while it waits", "while it runs"])
def test_a_failed_trial_runs_again_and_its_cost_stays(plan: Plan, failed: StudyFolder, interrupted: str) -> None:
    name = trial_id("simulated", FINISHED)
    before = Records(failed, say=print)
    cost_s = before.trials[name]["slice_s"]
    assert cost_s > 7.0
    assert retry_failures(failed, before) == 1
    assert retry_failures(failed, before) == 0  # asked twice
    before.close()
    assert pd.read_parquet(failed.trials).set_index("trial_id")["slice_s"][name] == pytest.approx(cost_s)
    if interrupted != "before the journal knows":
        _, search = searched(plan, failed)
        if interrupted == "while it runs":
            search.study.ask(search_distributions(plan, "simulated"))
    records, search = searched(plan, failed)
    assert sorted(states(search)) == list(range(FINISHED + STARTED))
    assert states(search)[FINISHED] == TrialState.WAITING
    waiting = next(trial for trial in search.trials() if origin(trial) == FINISHED)
    assert search.drawn(waiting) == search.study.trials[FINISHED].params
    assert name not in records.trials
    spec = plan.spec("simulated", search.study.trials[FINISHED].params, seed=search_seed(plan, FINISHED))
    training = Training(spec, folder=failed.checkpoints(name))
    assert training.evaluations == []  # from its beginning, and without a word of damage
    assert training.notices == []
    identity = {"study": "study", "phase": "search", "framework": "simulated", "trial_id": name, "number": FINISHED}
    result = run_to_end(training)
    lost_s = records.lost_s(name)
    records.add_trial(
        trial_row(identity, plan, spec, result, workload_digest=digest_in(failed.copies), held_s=0.0, lost_s=lost_s)
    )
    records.close()
    row = pd.read_parquet(failed.trials).set_index("trial_id").loc[name]
    assert row["outcome"] != "failed"
    assert row["lost_s"] == pytest.approx(cost_s)
    assert row["slice_s"] == pytest.approx(cost_s + result["wall_s"])
    assert parquet_differences(failed) == []
    assert Records(failed, say=print).retried == set()


def test_a_journal_lost_while_a_failed_trial_was_to_run_again(plan: Plan, failed: StudyFolder) -> None:
    retry_failures(failed, Records(failed, say=print))
    failed.journal.unlink()
    said: list[str] = []
    records = Records(failed, say=print)
    search = mended_searches(plan, failed, records, concurrent=False, say=said.append)["simulated"]
    assert states(search)[FINISHED] == TrialState.WAITING


def test_a_damaged_checkpoint_folder_is_no_obstacle(plan: Plan, failed: StudyFolder) -> None:
    for path in failed.checkpoints(trial_id("simulated", FINISHED)).iterdir():
        path.unlink()
    failed.checkpoints(trial_id("simulated", FINISHED)).rmdir()
    assert retry_failures(failed, Records(failed, say=print)) == 1


@pytest.mark.parametrize("name", ["linear", "sqrt"])
def test_a_scaled_rate_in_a_journal_that_is_made_anew(tmp_path: Path, name: str) -> None:
    """Optuna has the base, the records the rate that ran; neither takes the other for damage."""
    settings = [f"search.learning_rate_scaling={name}", "search.sampler=random"]
    settings.append("search.initial_points=[{learning_rate=0.1,batch_size=128,num_workers=0}]")
    plan = load_plan("quickstart", settings=settings, frameworks=["simulated"])
    folder = create(tmp_path / "study", plan)
    folder.checkpoints("").mkdir(parents=True)
    records = Records(folder, say=print)
    search = mended_searches(plan, folder, records, concurrent=False, say=print)["simulated"]
    for number in range(6):
        drawn = search.study.ask(search_distributions(plan, "simulated"))
        spec = plan.spec("simulated", plan.scaling.actual(drawn.params), seed=number)
        identity = {"study": "study", "phase": "search", "framework": "simulated", "number": number}
        identity["trial_id"] = trial_id("simulated", number)
        records.add_start(str(identity["trial_id"]), spec.as_dict()["hyperparameters"])
        if number < 5:
            result = {"outcome": "reached", "reached": True, "objective": 1.0 + number}
            records.add_trial(trial_row(identity, plan, spec, result, workload_digest="", held_s=1.0, lost_s=0.0))
            search.study.tell(drawn, 1.0 + number)
    ran = {row["number"]: row["learning_rate"] for row in records.trials.values()}
    assert ran[1] == pytest.approx(0.1)  # after the workload's default
    bases = [trial.params["learning_rate"] for trial in search.finished()]
    assert all(0.005 <= each <= 0.1 for each in bases)
    assert any(base != pytest.approx(ran[number]) for number, base in enumerate(bases))
    said: list[str] = []
    for lost in (False, True, False):
        if lost:
            folder.journal.unlink()
        resumed(plan, folder, said.append)
    assert sum("was damaged" in each for each in said) == 1
    search = open_searches(plan, open_storage(folder, say=print), concurrent=False)["simulated"]
    assert [trial.params["learning_rate"] for trial in search.finished()] == pytest.approx(bases, rel=1e-12)
    assert len(search.study.trials) == 6  # nothing that was tried first waits again


def test_a_framework_whose_name_begins_with_anothers_is_another(tmp_path: Path) -> None:
    plan = load_plan("quickstart", settings=["search.trials=2"], frameworks=["pytorch", "pytorch-compile"])
    folder = create(tmp_path / "study", plan)
    folder.checkpoints("").mkdir(parents=True)
    records = Records(folder, say=print)
    for name in plan.frameworks:
        spec = plan.spec(name, {"learning_rate": 0.05, "batch_size": 64, "num_workers": 0}, seed=0)
        records.add_start(trial_id(name, 0), spec.as_dict()["hyperparameters"])
        folder.checkpoints(trial_id(name, 0)).mkdir()
    searches = mended_searches(plan, folder, records, concurrent=False, say=print)
    assert [len(each.study.trials) for each in searches.values()] == [1, 1]
