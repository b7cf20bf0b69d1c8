from __future__ import annotations

import json
import math
import os
import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables import checkpoint
from trainables.cap import NO_CAP, Cap
from trainables.common import gpu, process
from trainables.contract import Execution, Hyperparameters
from trainables.simulated.backend import SimulatedRun
from trainables.spec import TrainingSpec
from trainables.training import Evaluation, Training, run_to_end

BASE = TrainingSpec(
    framework="simulated",
    workload="digits-lenet",
    hyperparameters=Hyperparameters(0.1, 32, 0),
    seed=0,
    target=0.95,
    evaluate_every_samples=539,
    limit_s=100.0,
    epochs=60,
    device="cpu",
    threads=1,
)


LEDGER_SPEC = replace(
    BASE, hyperparameters=Hyperparameters(0.1, 32, num_workers=2), target=1.0, epochs=6, limit_s=1e6
)  # starting its loader workers takes time


def run(spec: TrainingSpec, folder: Path | None = None, cap: Cap = NO_CAP) -> Training:
    training = Training(spec, folder=folder, cap=cap)
    while not training.finished:
        training.advance()
    training.close()
    return training


def knobs(spec: TrainingSpec, **changes: float) -> TrainingSpec:
    return replace(spec, hyperparameters=replace(spec.hyperparameters, **changes))


def without_times(result: dict[str, object]) -> dict[str, object]:
    """What must not depend on the machine; the simulated clock's times are exact, start-up is real."""
    real = {
        "startup_s",
        "wall_s",
        "cold_tta_s",
        "pid",
        "host",
        "segments",
        "fresh_process",
        "began_at",
        "segment_wall_s",
        "train_cpu_s",
        "train_wall_s",
        "startup_runtime_s",
        "startup_packages_s",
        "startup_data_s",
        "startup_seam_s",
        "load_start",
        "load_end",
        "train_delayed_s",
        "train_stolen_s",
        "cpu_mhz_start",
        "cpu_mhz_end",
    }
    return {key: value for key, value in result.items() if key not in real}


@given(batch_size=st.integers(1, 1500), cadence=st.integers(50, 3000))
@settings(max_examples=40, deadline=None)
def test_evaluations_come_at_the_same_samples_for_every_batch_size(batch_size: int, cadence: int) -> None:
    spec = replace(knobs(BASE, batch_size=batch_size), evaluate_every_samples=cadence, target=1.0, epochs=3)
    samples = [evaluation.samples for evaluation in run(spec).evaluations]
    due = 0
    for seen in samples[:-1]:
        assert due + cadence <= seen < due + cadence + batch_size  # the first batch border at or after the due sample
        due = seen // cadence * cadence
    assert samples[-1] == 3 * 1079  # ends with the last epoch, and with an evaluation


def test_stops_at_the_first_crossing(spec: TrainingSpec) -> None:
    training = run(spec)
    accuracies = [evaluation.validation_accuracy for evaluation in training.evaluations]
    assert accuracies[-1] >= spec.target > max(accuracies[:-1])
    result, last = training.result(), training.evaluations[-1]
    assert result["outcome"] == "reached"
    assert result["warm_tta_s"] == result["objective"] == last.train_s
    assert result["samples_to_target"] == last.samples


def test_warm_time_leaves_out_evaluation_and_start(spec: TrainingSpec) -> None:
    often, seldom = run(replace(spec, evaluate_every_samples=100)), run(replace(spec, evaluate_every_samples=1000))
    per_sample = [each.result()["train_s"] / each.result()["samples"] for each in (often, seldom)]
    assert per_sample[0] == pytest.approx(per_sample[1], rel=0.05)
    assert often.result()["eval_s"] > 2 * seldom.result()["eval_s"]


def test_the_ledger_accounts_for_the_wall_time(spec: TrainingSpec) -> None:
    result = run(replace(spec, framework="pytorch", target=1.0, epochs=4)).result()
    accounts = sum(result[key] for key in ("startup_s", "compile_s", "train_s", "eval_s", "checkpoint_s"))
    assert accounts == pytest.approx(result["wall_s"], rel=0.05)  # setting the weights is on no account
    assert result["data_s"] < result["train_s"]


@pytest.mark.parametrize("framework", ["pytorch", "simulated"])
def test_the_start_up_is_told_by_its_parts(spec: TrainingSpec, framework: str) -> None:
    result = run(replace(spec, framework=framework, epochs=1)).result()
    parts = [result[f"startup_{part}_s"] for part in ("runtime", "packages", "data", "seam")]
    assert all(part >= 0.0 for part in parts)
    assert sum(parts) <= result["startup_s"]


def test_fewer_loader_workers_than_asked_for_are_told_once(spec: TrainingSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimulatedRun, "loader_workers", lambda _: 1)
    training = Training(replace(knobs(spec, num_workers=3), target=1.0, epochs=2))
    training.advance()
    assert training.notices == ["loader workers: 3 were asked for, and 1 can run with 1 CPU"]
    while not training.finished:
        training.advance()
    assert len(training.notices) == 1
    assert training.result()["loader_workers"] == 1
    assert run(replace(knobs(spec, num_workers=1), epochs=1)).notices == []


def test_fewer_loader_workers_are_told_before_a_batch_is_trained(
    spec: TrainingSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(SimulatedRun, "loader_workers", lambda _: 1)
    monkeypatch.setattr(SimulatedRun, "train", fail)
    said: list[str] = []
    training = Training(replace(knobs(spec, num_workers=3), epochs=1), tell=said.append)
    with pytest.raises(RuntimeError, match="out of memory"):
        training.advance()
    assert said == training.notices == ["loader workers: 3 were asked for, and 1 can run with 1 CPU"]


def test_cold_time_only_from_a_fresh_process(spec: TrainingSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_claimed", False)
    first, second = run(spec).result(), run(spec).result()
    assert first["fresh_process"]
    assert first["cold_tta_s"] == pytest.approx(
        first["startup_s"] + first["compile_s"] + first["train_s"] + first["eval_s"]
    )
    assert not second["fresh_process"]
    assert second["cold_tta_s"] is None


def test_out_of_time_is_worse_than_any_hit(spec: TrainingSpec) -> None:
    result = run(replace(spec, limit_s=0.02)).result()
    assert result["outcome"] == "out_of_time"
    assert not result["reached"]
    assert result["objective"] > 0.02
    assert result["train_s"] >= 0.02


def test_out_of_epochs(spec: TrainingSpec) -> None:
    result = run(replace(spec, target=0.999, epochs=1)).result()
    assert (result["outcome"], result["epochs"], result["samples"]) == ("out_of_epochs", 1, 1079)


def test_a_crossing_after_the_limit_does_not_count(spec: TrainingSpec) -> None:
    reached = run(spec).result()["warm_tta_s"]
    result = run(replace(spec, limit_s=reached - 1e-6)).result()
    assert result["outcome"] == "out_of_time"
    assert result["best_validation_accuracy"] >= spec.target


def test_a_training_stops_itself_at_its_cap(spec: TrainingSpec, tmp_path: Path) -> None:
    free = run(spec)
    took_s = free.result()["warm_tta_s"]
    capped = run(spec, tmp_path, cap=Cap(seconds=took_s / 2))
    result = capped.result()
    assert (result["outcome"], result["capped_by"], result["cap_s"]) == ("capped", "time", took_s / 2)
    assert not result["reached"]
    assert took_s / 2 < result["train_s"] < took_s
    assert result["objective"] > spec.limit_s
    assert run(spec, tmp_path).result() == result  # from its checkpoint alone, whatever cap there is now
    generous = run(spec, cap=Cap(seconds=took_s * 2)).result()
    assert (generous["outcome"], generous["capped_by"], generous["warm_tta_s"]) == ("reached", None, took_s)


def test_a_cap_that_was_found_while_it_was_interrupted_starts_nothing(spec: TrainingSpec, tmp_path: Path) -> None:
    begun = Training(spec, folder=tmp_path)
    begun.advance()
    begun.close()
    capped = Training(spec, folder=tmp_path, cap=Cap(seconds=begun.result()["train_s"] / 2))
    result = capped.result()
    assert capped.finished
    assert (result["outcome"], result["capped_by"], result["evaluations"], result["segments"]) == (
        "capped",
        "time",
        1,
        1,
    )
    assert capped.advance() == begun.evaluations[0]
    assert not Training(spec, folder=tmp_path, cap=Cap(seconds=1e6)).finished


def test_a_crossing_after_the_cap_does_not_count(spec: TrainingSpec) -> None:
    result = run(spec, cap=Cap(seconds=run(spec).result()["warm_tta_s"] - 1e-6)).result()
    assert (result["outcome"], result["first_warm_s"]) == ("capped", None)
    assert result["best_validation_accuracy"] >= spec.target


def test_a_cap_acts_between_two_evaluations(spec: TrainingSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.training.CALL_S", 1e-3)
    far = replace(spec, evaluate_every_samples=10**6, target=1.0)
    training = run(far, cap=Cap(seconds=0.05))
    assert len(training.evaluations) == 1
    assert 0.05 < training.result()["train_s"] < 0.06


def test_a_training_that_lags_behind_is_capped_by_the_curve(spec: TrainingSpec) -> None:
    quick, slow = run(spec), knobs(spec, learning_rate=0.01)
    points = tuple((each.train_s, each.validation_accuracy or 0.0) for each in quick.evaluations)
    cap = Cap(seconds=quick.evaluations[-1].train_s, best=points, margin=0.05)
    assert run(spec, cap=cap).result()["outcome"] == "reached"
    result = run(slow, cap=cap).result()
    assert (result["outcome"], result["capped_by"]) == ("capped", "curve")
    assert result["train_s"] < quick.evaluations[-1].train_s / 2


def test_what_was_capped_early_is_not_the_worse_for_that(spec: TrainingSpec) -> None:
    """It is ranked by what it lacked of what could be had by then."""
    slow = knobs(spec, learning_rate=0.01)
    lags = run(slow, cap=Cap(seconds=9.0, best=((0.0, 0.4),), margin=0.01)).result()
    late = run(slow, cap=Cap(seconds=lags["train_s"] * 1.5)).result()
    assert (lags["capped_by"], late["capped_by"]) == ("curve", "time")
    assert lags["best_validation_accuracy"] < late["best_validation_accuracy"]
    assert spec.limit_s < lags["objective"] < late["objective"]


def test_a_cold_cap_counts_everything(spec: TrainingSpec) -> None:
    result = run(replace(spec, objective="cold"), cap=Cap(seconds=0.5)).result()
    assert (result["outcome"], result["train_s"] < 0.5) == ("capped", True)


def test_a_study_of_before_continues_a_checkpoint_that_knows_no_caps(spec: TrainingSpec, tmp_path: Path) -> None:
    training = Training(spec, folder=tmp_path)
    training.advance()
    found = checkpoint.read(tmp_path)
    assert found is not None
    state = {key: value for key, value in found.state.items() if key not in ("cap_s", "capped_by", "aim")}
    path = next(tmp_path.glob("state-*.json"))
    checkpoint.save(tmp_path, 1, state, save_model=training._run.save if training._run else None)
    assert path.exists()
    assert run(spec, tmp_path).result()["outcome"] == "reached"


def test_nan_is_censored_and_finite(spec: TrainingSpec) -> None:
    training = run(knobs(spec, learning_rate=2.0))
    result = training.result()
    assert result["outcome"] == "diverged"
    assert result["objective"] > spec.limit_s
    json.dumps(result, allow_nan=False)
    json.dumps([vars(each) for each in training.evaluations], allow_nan=False)


def test_goes_on_past_the_target_when_asked(spec: TrainingSpec) -> None:
    result = run(replace(spec, stop_at_target=False, epochs=10)).result()
    assert result["outcome"] == "reached"
    assert result["samples"] == 10 * 1079 > result["samples_to_target"]


def test_a_limit_acts_between_two_evaluations(spec: TrainingSpec) -> None:
    """No call into a framework lasts for long, so a limit need not wait for a far evaluation."""
    spec = replace(spec, target=1.0, evaluate_every_samples=10**7, epochs=10**5, limit_s=5.0)
    result = run(spec).result()
    assert result["outcome"] == "out_of_time"
    assert result["train_s"] < 5.0 + 2.5


@pytest.mark.parametrize("framework", ["simulated", "pytorch"])
@pytest.mark.parametrize("stop_after", [1, 2, 4])
def test_resuming_gives_the_uninterrupted_result(
    pytorch_spec: TrainingSpec, tmp_path: Path, framework: str, stop_after: int
) -> None:
    spec = replace(pytorch_spec, framework=framework)
    whole = run(spec)
    first = Training(spec, folder=tmp_path)
    for _ in range(stop_after):
        first.advance()
    first.close()  # as if killed: nothing else is written
    second = run(spec, tmp_path)
    assert len(second.evaluations) == len(whole.evaluations)
    for mine, uninterrupted in zip(second.evaluations, whole.evaluations, strict=True):
        assert mine.samples == uninterrupted.samples
        assert mine.validation_accuracy == uninterrupted.validation_accuracy
        assert mine.train_loss == pytest.approx(uninterrupted.train_loss, rel=1e-9)  # summed in other portions
    result = second.result()
    assert result["segments"] == 2
    assert result["average_training_loss"] == pytest.approx(whole.result()["average_training_loss"], rel=1e-12)
    if framework == "simulated":
        same = without_times(result) | {"checkpoint_s": 0, "compile_s": 0}
        assert same == pytest.approx(without_times(whole.result()) | {"checkpoint_s": 0, "compile_s": 0})


def test_a_finished_training_is_not_run_again(spec: TrainingSpec, tmp_path: Path) -> None:
    done = run(spec, tmp_path)
    again = Training(spec, folder=tmp_path)
    assert again.finished
    assert again.result() == done.result()
    assert again.advance() == done.evaluations[-1]
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["model-000002", "state-000002.json", "state-000003.json"]  # the last needs no model


def test_another_trainings_checkpoint_is_refused(spec: TrainingSpec, tmp_path: Path) -> None:
    run(spec, tmp_path)
    with pytest.raises(RuntimeError, match=r"seed: 0 then, 1 now"):
        Training(replace(spec, seed=1), folder=tmp_path)


@pytest.mark.parametrize("victim", ["state-000003.json", "model-000003"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(spec: TrainingSpec, tmp_path: Path, victim: str) -> None:
    spec = replace(spec, target=1.0, epochs=3)
    whole = run(spec)
    first = Training(spec, folder=tmp_path)
    for _ in range(3):
        first.advance()
    (tmp_path / victim).write_text("not what it was")
    second = Training(spec, folder=tmp_path)
    assert victim in second.notices[0]
    assert "goes on from evaluation 2" in second.notices[0]
    assert len(second.evaluations) == 2
    result = run_to_end(second)
    assert [each.validation_accuracy for each in second.evaluations] == [
        each.validation_accuracy for each in whole.evaluations
    ]
    assert result["train_s"] == pytest.approx(whole.result()["train_s"])


def test_without_a_whole_checkpoint_the_training_begins_anew_and_says_so(spec: TrainingSpec, tmp_path: Path) -> None:
    spec = replace(spec, target=1.0, epochs=3)
    first = Training(spec, folder=tmp_path)
    for _ in range(3):
        first.advance()
    for path in tmp_path.glob("state-*"):
        path.write_text("")
    second = Training(spec, folder=tmp_path)
    assert "begins anew" in second.notices[0]
    result = run_to_end(second)
    assert result["evaluations"] == len(run(spec).evaluations)
    assert result["segments"] == 1


def test_a_checkpoint_that_cannot_be_written_is_told_and_done_without(spec: TrainingSpec, tmp_path: Path) -> None:
    folder = tmp_path / "away" / "trial"  # nothing may be made where storage has gone away
    training = Training(spec, folder=folder)
    result = run_to_end(training)
    assert result["outcome"] == "reached"
    assert len(training.notices) == result["evaluations"]
    assert "no checkpoint of evaluation 1: " in training.notices[0]
    assert not (tmp_path / "away").exists()


@settings(deadline=None, max_examples=40)
@given(cuts=st.lists(st.integers(1, 9), max_size=5))
def test_the_ledger_adds_up_over_any_interruptions(cuts: list[int]) -> None:
    """Whatever is killed wherever: every account holds the work that counts once, and each start-up that was paid."""
    whole = run(LEDGER_SPEC).result()
    with TemporaryDirectory() as folder:
        evaluations = 0
        for cut in cuts:
            training = Training(LEDGER_SPEC, folder=Path(folder))
            assert len(training.evaluations) == evaluations
            for _ in range(cut):
                if not training.finished:
                    training.advance()
            evaluations = len(training.evaluations)
        result = run(LEDGER_SPEC, Path(folder)).result()
    segments = result["segments"]
    assert 1 <= segments <= len(cuts) + 1
    for account in ("train_s", "data_s", "eval_s"):
        assert result[account] == pytest.approx(whole[account])
    assert result["compile_s"] == pytest.approx(segments * whole["compile_s"])
    assert result["samples"] == whole["samples"]
    assert result["evaluations"] == whole["evaluations"]
    accounts = ("startup_s", "compile_s", "train_s", "eval_s", "checkpoint_s")
    assert result["wall_s"] == pytest.approx(sum(result[account] for account in accounts), abs=1e-3)


@pytest.mark.parametrize("asked", [True, False])
def test_the_test_split_is_touched_only_when_asked(
    spec: TrainingSpec, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    touched = []
    evaluate = SimulatedRun.evaluate
    monkeypatch.setattr(SimulatedRun, "evaluate", lambda self, split: (touched.append(split), evaluate(self, split))[1])
    result = run(replace(spec, test_score=asked)).result()
    assert ("test" in touched) is asked
    assert (result["test_accuracy"] is not None) is asked


def test_training_accuracy_is_outside_every_clock(spec: TrainingSpec) -> None:
    plain = run(replace(spec, target=1.0, epochs=4)).result()
    measured = run(replace(spec, target=1.0, epochs=4, training_score=True)).result()
    assert measured["best_training_accuracy"] is not None
    for key in ("train_s", "data_s", "eval_s"):
        assert measured[key] == pytest.approx(plain[key])


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the evaluations of which checkpoints were written, each in a fiftieth of a second."""
    numbers: list[int] = []
    save = checkpoint.save

    def slow(folder: Path, number: int, *rest: object, **named: object) -> None:
        time.sleep(0.02)
        numbers.append(number)
        save(folder, number, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint, "save", slow)
    return numbers


def test_checkpoints_take_a_small_share_of_the_time(
    pytorch_spec: TrainingSpec, tmp_path: Path, saved: list[int]
) -> None:
    result = run(pytorch_spec, tmp_path).result()
    last = result["evaluations"]
    assert (saved[0], saved[-1]) == (1, last)
    assert len(saved) < last
    between_s = result["checkpoint_s"] * (len(saved) - 2) / len(saved)
    assert between_s <= 0.02 * result["wall_s"] + 0.05


def test_what_was_evaluated_is_saved_when_a_training_is_stopped_between_two_evaluations(
    pytorch_spec: TrainingSpec, tmp_path: Path, saved: list[int]
) -> None:
    first = Training(pytorch_spec, folder=tmp_path)
    for _ in range(2):
        first.advance()
    assert saved == [1]
    first.close()
    assert saved == [1, 2]
    second = Training(pytorch_spec, folder=tmp_path)
    assert second.evaluations == first.evaluations
    second.close()
    assert saved == [1, 2]


def test_a_training_that_fails_midway_is_not_saved_when_it_is_closed(
    pytorch_spec: TrainingSpec, tmp_path: Path, saved: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(pytorch_spec, folder=tmp_path)
    for _ in range(2):
        training.advance()

    def fail(*_: object) -> NoReturn:
        raise RuntimeError("midway")

    monkeypatch.setattr(Training, "_train_to_next_evaluation", fail)
    with pytest.raises(RuntimeError, match="midway"):
        training.advance()
    training.close()
    assert saved == [1]


def test_a_spec_survives_json(spec: TrainingSpec) -> None:
    assert TrainingSpec.from_dict(json.loads(json.dumps(spec.as_dict()))) == spec


def test_evaluations_are_typed(spec: TrainingSpec) -> None:
    assert all(isinstance(each, Evaluation) for each in run(spec).evaluations)


@pytest.fixture
def counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the CPU time finds a second more, and at the load one more; there is one at every evaluation."""
    cpu_s, load = count(0.0, 1.0), count(1.0)
    monkeypatch.setattr("trainables.training.LOOK_S", 0.0)
    monkeypatch.setattr("trainables.training.cpu_time_s", lambda: next(cpu_s))
    monkeypatch.setattr("trainables.training.load_average", lambda: next(load))


@pytest.mark.usefixtures("counters")
@pytest.mark.parametrize("framework", ["simulated", "pytorch"])
def test_cpu_time_and_load_are_summed_over_segments(pytorch_spec: TrainingSpec, tmp_path: Path, framework: str) -> None:
    spec = replace(pytorch_spec, framework=framework)
    first = Training(spec, folder=tmp_path)
    for _ in range(2):
        first.advance()
    before = first.result()
    first.close()
    result = run(spec, tmp_path).result()
    assert before["train_cpu_s"] == 2.0
    assert result["train_cpu_s"] == result["evaluations"] == 6
    assert result["train_wall_s"] > before["train_wall_s"] > 0.0
    assert result["load_start"] == 1.0  # of the first segment
    assert result["load_end"] == 8.0  # two beginnings and six evaluations
    assert result["host_cpus"] == os.cpu_count()


@pytest.mark.parametrize(("seconds", "looks"), [(0.0, 6), (math.inf, 1)])
def test_a_machine_is_looked_at_at_the_first_evaluation_and_then_every_so_often(
    pytorch_spec: TrainingSpec, monkeypatch: pytest.MonkeyPatch, seconds: float, looks: int
) -> None:
    """However close the evaluations lie."""
    load = count(0.0)
    monkeypatch.setattr("trainables.training.load_average", lambda: next(load))
    monkeypatch.setattr("trainables.training.LOOK_S", seconds)
    result = run(replace(pytorch_spec, framework="simulated")).result()
    assert result["evaluations"] == 6
    assert (result["load_start"], result["load_end"]) == (0.0, looks)


def test_cpu_time_of_a_real_training_is_about_its_wall_time_and_in_no_account(
    pytorch_spec: TrainingSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow() -> float:
        time.sleep(0.05)
        return time.process_time()

    monkeypatch.setattr("trainables.training.cpu_time_s", slow)
    result = run(pytorch_spec).result()
    accounts = ("startup_s", "compile_s", "train_s", "eval_s", "checkpoint_s")
    looked_s = 2 * 0.05 * result["evaluations"]
    assert sum(result[account] for account in accounts) <= result["wall_s"] - looked_s
    assert 0.0 < result["train_cpu_s"] < result["train_wall_s"] * (os.cpu_count() or 1) * 1.5


def test_a_checkpoint_of_a_version_that_did_not_count_goes_on(spec: TrainingSpec, tmp_path: Path) -> None:
    first = Training(spec, folder=tmp_path)
    first.advance()
    for segment in first._state.segments:
        for name in ("load_start", "load_end", "train_cpu_s", "train_wall_s", "host_cpus"):
            del segment[name]
    found = checkpoint.read_state(tmp_path)
    assert found is not None
    checkpoint.save(tmp_path, 2, {**found, "segments": first._state.segments}, save_model=first._run.save)  # type: ignore[union-attr]
    result = run(spec, tmp_path).result()
    assert (result["segments"], result["outcome"]) == (2, "reached")
    assert (result["train_cpu_s"], result["train_wall_s"], result["load_start"]) == (None, None, None)
    assert result["host_cpus"] == os.cpu_count()


class Seen(gpu.Gpu):
    """A GPU that gets slower at every look, and notes what the clocks say then."""

    def __init__(self, training: Training) -> None:
        self.clocks: list[float] = []
        self._training = training

    def look(self) -> dict[str, object]:
        self.clocks.append(self._training._ledger.total_s)
        clock = 2000 - 100 * len(self.clocks)
        return {
            **dict.fromkeys(("gpu_memory_used_bytes", "gpu_utilisation_start", "gpu_utilisation_end", "gpu_throttled")),
            **dict.fromkeys(("gpu_clock_start_mhz", "gpu_clock_end_mhz", "gpu_clock_mhz"), clock),
            **{"gpu": "H100", "gpu_uuid": "GPU-1", "gpu_shared": len(self.clocks) == 2},
        }


def test_the_gpu_is_looked_at_after_the_warm_up_and_each_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainables.training.LOOK_S", 0.0)
    spec = replace(BASE, device="cuda")
    training = Training(spec, folder=tmp_path / "trial")
    seen = Seen(training)
    monkeypatch.setattr(gpu, "find", lambda: seen)
    training.advance()
    training.advance()
    training.close()
    assert len(seen.clocks) == 3
    resumed = run(spec, tmp_path / "trial")
    result = resumed.result()
    evaluations = len(resumed.evaluations)
    assert len(seen.clocks) == evaluations + 2  # a second start
    assert (result["gpu"], result["gpu_uuid"], result["gpu_shared"]) == ("H100", "GPU-1", True)
    assert (result["gpu_clock_start_mhz"], result["gpu_clock_mhz"]) == (1900, 2000 - 100 * len(seen.clocks))


def test_looking_at_the_gpu_is_in_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.training.LOOK_S", 0.0)
    plain = run(BASE).result()
    training = Training(replace(BASE, device="cuda"))
    seen = Seen(training)

    def slow() -> dict[str, object]:
        training._run._pass(1000.0)  # type: ignore[union-attr]
        return Seen.look(seen)

    seen.look = slow  # type: ignore[method-assign]
    monkeypatch.setattr(gpu, "find", lambda: seen)
    while not training.finished:
        training.advance()
    result = training.result()
    assert len(seen.clocks) > 2
    for clock in ("compile_s", "train_s", "data_s", "eval_s", "warm_tta_s"):
        assert result[clock] == pytest.approx(plain[clock]), clock


def test_no_gpu_is_looked_for_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang() -> None:
        raise AssertionError("NVML was asked")

    monkeypatch.setattr(gpu, "find", hang)
    assert "gpu" not in run(BASE).result()


def test_a_checkpoint_from_before_there_were_options_is_continued(tmp_path: Path) -> None:
    training = Training(BASE, folder=tmp_path / "trial")
    training.advance()
    training.close()
    found = checkpoint.read(tmp_path / "trial")
    assert found is not None
    assert found.model is not None
    state, model = found.state, found.model.read_bytes()
    del state["spec"]["execution"]
    for segment in state["segments"]:
        del segment["gpu"]
    checkpoint.save(tmp_path / "trial", 1, state, save_model=lambda path: path.write_bytes(model) and None)
    assert run(BASE, tmp_path / "trial").result()["segments"] == 2
    with pytest.raises(RuntimeError, match="execution: "):
        Training(replace(BASE, execution=Execution("bf16")), folder=tmp_path / "trial")


@pytest.fixture
def scripted(spec: TrainingSpec, monkeypatch: pytest.MonkeyPatch) -> TrainingSpec:
    """A training whose evaluations have these accuracies: it crosses the target twice before it holds."""
    accuracies = [0.90, 0.96, 0.94, 0.95, 0.949, 0.96, 0.951, 0.90, 0.90]

    def accuracy(run: SimulatedRun) -> float:
        return accuracies[min(run._samples // 539, len(accuracies)) - 1]

    monkeypatch.setattr(SimulatedRun, "_accuracy", accuracy)
    return replace(knobs(spec, batch_size=7), holds=2)


def test_a_crossing_counts_when_it_has_held(scripted: TrainingSpec) -> None:
    training = run(scripted)
    result, evaluations = training.result(), training.evaluations
    assert (result["outcome"], len(evaluations)) == ("reached", 7)
    assert result["warm_tta_s"] == result["objective"] == evaluations[6].train_s
    assert result["samples_to_target"] == evaluations[6].samples
    assert (result["first_warm_s"], result["first_samples"]) == (evaluations[1].train_s, evaluations[1].samples)


@pytest.mark.parametrize(("holds", "reached_at"), [(1, 2), (2, 7), (3, None)])
def test_so_many_evaluations_in_a_row_as_the_rule_says(
    scripted: TrainingSpec, holds: int, reached_at: int | None
) -> None:
    training = run(replace(scripted, holds=holds, epochs=5))
    result = training.result()
    assert result["first_samples"] == training.evaluations[1].samples
    if reached_at is None:
        assert (result["outcome"], result["reached"]) == ("out_of_epochs", False)
        assert result["objective"] >= scripted.limit_s
    else:
        assert len(training.evaluations) == reached_at


def test_a_crossing_that_has_not_held_by_the_last_evaluation_is_none(scripted: TrainingSpec) -> None:
    result = run(replace(scripted, epochs=1)).result()  # the second meets the target, and a sample later the third
    assert (result["outcome"], result["warm_tta_s"]) == ("out_of_epochs", None)
    assert result["evaluations"] == 3
    assert result["first_samples"] == 1078
    assert result["objective"] == scripted.limit_s


def test_a_crossing_that_holds_after_the_limit_does_not_count(scripted: TrainingSpec) -> None:
    held_s = run(scripted).result()["warm_tta_s"]
    result = run(replace(scripted, limit_s=held_s - 1e-6)).result()
    assert (result["outcome"], result["reached"]) == ("out_of_time", False)
    assert result["first_warm_s"] is not None


@pytest.mark.parametrize("cut", [1, 2, 3, 6])
def test_an_interruption_breaks_no_row_of_evaluations(scripted: TrainingSpec, tmp_path: Path, cut: int) -> None:
    whole = run(scripted).result()
    first = Training(scripted, folder=tmp_path)
    for _ in range(cut):
        first.advance()
    first.close()
    result = run(scripted, tmp_path).result()
    for key in ("warm_tta_s", "samples_to_target", "first_warm_s", "first_samples", "evaluations"):
        assert result[key] == pytest.approx(whole[key])


def test_a_sweep_notes_both_crossings_and_goes_on(scripted: TrainingSpec) -> None:
    result = run(replace(scripted, stop_at_target=False, epochs=5)).result()
    assert result["outcome"] == "reached"
    assert result["samples"] == 5 * 1079 > result["samples_to_target"] > result["first_samples"]


def test_a_checkpoint_of_before_there_was_a_rule_is_continued(spec: TrainingSpec, tmp_path: Path) -> None:
    first = Training(spec, folder=tmp_path)
    first.advance()
    path = tmp_path / "state-000001.json"
    content = json.loads(path.read_text())
    for key in [key for key in content["state"] if key.startswith("first_")]:
        del content["state"][key]
    del content["state"]["spec"]["holds"]
    content.pop("crc32")
    text = json.dumps(content, sort_keys=True)
    path.write_text(json.dumps({"crc32": checkpoint._crc32_of(text), **content}))
    second = Training(spec, folder=tmp_path)
    assert (second.notices, len(second.evaluations)) == ([], 1)
    assert run_to_end(second)["outcome"] == "reached"
