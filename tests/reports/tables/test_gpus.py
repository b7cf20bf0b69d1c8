from __future__ import annotations

from typing import Any

import pytest

from reports.records import complete
from reports.schema import TRIALS
from reports.tables.gpus import on_troubled_gpus
from reports.tables.weakness import disturbed, weaknesses
from tests.reports.conftest import study, trial


def on_gpu(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    usual = {"device": "cuda", "gpus": 1, "gpu": "NVIDIA H100", "host": "node7", "gpu_clock_mhz": 1980}
    return [
        trial("pytorch", "search", number, 2.0, **{**usual, "gpu_shared": False, **each})
        for number, each in enumerate(changes)
    ]


def told(rows: list[dict[str, Any]]) -> list[str]:
    return list(on_troubled_gpus(study(rows).trials)["caution"])


@pytest.mark.parametrize(
    "rows",
    [
        on_gpu({}, {}),
        on_gpu({"gpus": 2}),
        on_gpu({"gpu": None, "gpu_shared": None, "gpu_clock_mhz": None}),  # where there is no NVML
        [trial("pytorch", "search", 0, 2.0)],
    ],
)
def test_nothing_to_warn_of(rows: list[dict[str, Any]]) -> None:
    assert told(rows) == []


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            on_gpu({"gpus": 0.5}, {"gpus": 0.5, "gpu_shared": True}),
            "PyTorch: 2 of 2 trials had a share of a GPU (slice.gpus = 0.5): their times depend on what their "
            "neighbours on it did.",
        ),
        (
            on_gpu({}, {"gpu_shared": True}, {}),
            "PyTorch: 1 of 3 trials shared their GPU with another process (as search-pytorch-00001 on NVIDIA H100 of "
            "node7), and their times may be too long.",
        ),
        (
            on_gpu({"gpu_throttled": "power cap"}, {"gpu_throttled": "power cap, power brake", "gpu_clock_mhz": 1005}),
            "PyTorch: 2 of 2 trials ran on a GPU that held its clock down (power cap, power brake, down to 1005 MHz; "
            "as search-pytorch-00000 on NVIDIA H100 of node7).",
        ),
        (
            on_gpu({"gpu_throttled": "power cap", "gpu_clock_mhz": None, "gpu": None, "host": None}),
            "PyTorch: 1 of 1 trials ran on a GPU that held its clock down (power cap; as search-pytorch-00000).",
        ),
    ],
)
def test_a_caution(rows: list[dict[str, Any]], words: str) -> None:
    assert told(rows) == [words]
    assert list(disturbed(study(rows).trials)["caution"]) == [words]
    assert words in weaknesses(study(rows).trials)


def test_old_records_have_none_of_it() -> None:
    trials = study(on_gpu({"gpu_shared": True})).trials
    older = trials.drop(columns=[name for name in trials if name.startswith("gpu_") or name == "gpu"])
    older["gpus"] = older["gpus"].astype("int64")
    assert on_troubled_gpus(complete(older, TRIALS)).empty
