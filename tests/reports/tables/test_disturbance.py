from __future__ import annotations

from typing import Any

import pytest

from reports.sentences import plain, rows
from reports.tables.disturbance import disturbances, disturbed_ids, disturbed_runs, disturbed_sentences, uneven
from tests.reports.conftest import study, trial

QUIET = {
    "train_wall_s": 10.0,
    "train_cpu_s": 9.9,
    "train_delayed_s": 0.1,
    "train_stolen_s": 0.0,
    "load_start": 1.0,
    "load_end": 1.0,
    "host_cpus": 2,
    "cpu_mhz_start": 3000.0,
    "cpu_mhz_end": 3000.0,
    "train_s": 10.0,
    "samples": 1000,
    "num_workers": 0,
}


def confirmed(*changes: dict[str, Any], framework: str = "pytorch") -> list[dict[str, Any]]:
    """A search's trial and runs that confirm it, on a quiet machine but for what is said of each."""
    runs = [trial(framework, "confirm", number, 2.0, **{**QUIET, **each}) for number, each in enumerate(changes)]
    return [trial(framework, "search", 0, 2.0, **QUIET), *runs]


def disturbed(rows: list[dict[str, Any]]) -> list[str]:
    return disturbances(study(rows).trials)["trial_id"].tolist()


@pytest.mark.parametrize(
    "changes",
    [
        {"train_delayed_s": 0.9},
        {"train_stolen_s": 0.9},
        {"train_delayed_s": None, "train_stolen_s": None, "load_start": None, "load_end": None},
        {"train_s": 13.0, "samples": 1000},  # slower, but it had its CPU: the clock, or what it had to do
        {"train_cpu_s": 8.0},  # less of a CPU, and yet as fast
        {"train_s": 13.0, "samples": 1300},  # it needed more samples
        {"train_delayed_s": 5.0, "train_wall_s": 0.3},  # too short to tell
    ],
)
def test_nobody_is_disturbed(changes: dict[str, Any]) -> None:
    assert disturbed(confirmed(changes, {}, {}, {})) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"train_delayed_s": 1.1},
        {"train_stolen_s": 1.1},
        {"train_cpu_s": 4.0},
        {"load_start": 9.0, "load_end": 9.0},
        {"train_s": 13.0, "train_cpu_s": 8.0},
    ],
)
def test_a_disturbed_run_is_known_by_itself_or_by_its_siblings(changes: dict[str, Any]) -> None:
    assert disturbed(confirmed({}, {}, changes, {})) == ["confirm-pytorch-00002"]


def test_a_run_of_the_race_that_was_disturbed_is_run_again_too() -> None:
    raced = {"confirms": 0, "rank": 1, **QUIET}
    found = [trial("pytorch", "race", number, 2.0, seed=number, **raced) for number in range(4)]
    found[2] |= {"train_cpu_s": 1.0}
    assert disturbed_ids([trial("pytorch", "search", 0, 2.0, **QUIET), *found]) == [found[2]["trial_id"]]


def test_waiting_for_its_own_loader_workers_is_no_disturbance() -> None:
    workers = {"num_workers": 1, "train_delayed_s": 4.0}
    found = confirmed(workers, {**workers, "train_delayed_s": 5.2}, workers, workers)
    found[0] |= {"num_workers": 1}
    assert disturbed(found) == ["confirm-pytorch-00001"]


SLICE = {**QUIET, "cpus": 1, "num_workers": 1, "train_cpu_s": 9.5}


def search(*changes: dict[str, Any]) -> list[str]:
    """Which trials of a search were disturbed."""
    return disturbed([trial("pytorch", "search", n, 2.0, **SLICE | each) for n, each in enumerate(changes)])


def test_a_small_batch_waits_longer_for_its_loader_on_a_quiet_machine_and_is_no_disturbance() -> None:
    batches = [(128, 1.6), (64, 1.9), (64, 2.8), (32, 4.2), (16, 4.4)]
    assert search(*({"batch_size": batch, "train_delayed_s": waited} for batch, waited in batches)) == []
    two_cpus = {"cpus": 2, "num_workers": 2, "train_cpu_s": 15.0}
    assert search(*(two_cpus | {"batch_size": batch, "train_delayed_s": waited} for batch, waited in batches)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"train_wall_s": 23.0, "train_cpu_s": 8.4, "train_delayed_s": 14.0},  # where it takes 8.6 s alone
        {"batch_size": 16, "train_cpu_s": 7.0, "train_delayed_s": 6.2},  # more than its worker can take from it
        {"train_cpu_s": 7.0, "train_delayed_s": 4.0},  # and its siblings 1.7
    ],
)
def test_a_trial_of_the_search_with_a_loader_that_was_disturbed(changes: dict[str, Any]) -> None:
    own = {"train_delayed_s": 1.7}
    assert search(own, own, changes) == ["search-pytorch-00002"]


def test_records_that_say_nothing_of_the_machine_warn_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    runs = study([trial(name, phase, 0, 2.0) for name in ("pytorch", "flux") for phase in ("search", "confirm")])
    assert uneven(runs.trials).empty
    assert not recwarn.list


def test_what_is_said_first() -> None:
    found = [*confirmed({"train_cpu_s": 1.0}, {}, {"reruns": 2}), *confirmed({}, {}, framework="flux")]
    said = [plain(each) for each in disturbed_sentences(rows("disturbed_runs", disturbed_runs(study(found).trials)))]
    assert said == [
        "Caution: a busy machine disturbed 1 of 3 PyTorch runs of the race and the confirmation, whose times are too "
        "long; `tuneoff confirm --disturbed DIR` runs those again.",
        "1 of 3 PyTorch runs of the race and the confirmation were run again, for a busy machine had disturbed them.",
    ]
    assert disturbed_sentences(rows("disturbed_runs", disturbed_runs(study(confirmed({}, {})).trials))) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"cpu_mhz_start": 3100.0}, []),
        ({"load_start": 1.9}, []),
        ({"cpu_mhz_start": None, "cpu_mhz_end": None, "load_start": None}, []),
        (
            {"cpu_mhz_start": 2000.0, "cpu_mhz_end": 2200.0},
            [
                "Flux's and PyTorch's runs ran at other CPU clocks (2100 and 3000 MHz, the medians): a "
                "part of the ratio is that."
            ],
        ),
        (
            {"load_start": 5.0},
            ["Flux's and PyTorch's runs began at other load averages (5.0 and 1.0 on 2 CPUs, the medians)."],
        ),
    ],
)
def test_frameworks_that_did_not_find_the_machine_alike(changes: dict[str, Any], said: list[str]) -> None:
    found = [*confirmed({}, {}, {}), *confirmed(changes, changes, changes, framework="flux")]
    assert uneven(study(found).trials)["caution"].tolist() == said
