from __future__ import annotations

import pytest

from study.plan.files import load_plan, sweep_plan
from study.plan.loading import loadings
from trainables.contract import Loading
from trainables.workloads.workload import Made

MADE = Made(arrays="", training_samples=50000, shape=(3, 4), outputs=2)


def test_of_a_search_the_most_at_once() -> None:
    plan = load_plan("mnist-lenet", settings=["slice.cpus=3"], frameworks=["pytorch"])
    assert loadings(plan, "pytorch", made=MADE, fitting=4) == [Loading(2048, 3, 4, (3, 4))]
    one = load_plan("mnist-lenet", settings=["slice.cpus=3", "slice.max_concurrent=1"], frameworks=["pytorch"])
    assert loadings(one, "pytorch", made=MADE, fitting=4) == [Loading(2048, 3, 1, (3, 4))]


def test_a_batch_is_no_larger_than_the_split() -> None:
    plan = load_plan("quickstart", settings=["space.all.batch_size={low=8, high=1079}"], frameworks=["pytorch"])
    few = MADE.model_copy(update={"training_samples": 1000})
    assert loadings(plan, "pytorch", made=few, fitting=1) == [Loading(1000, 1, 1, (3, 4))]


@pytest.mark.parametrize("setting", ["0", "{choices=[0]}", "{low=0, high=0}"])
def test_nothing_where_all_load_in_line(setting: str) -> None:
    plan = load_plan("quickstart", settings=[f"space.all.num_workers={setting}"], frameworks=["pytorch"])
    assert loadings(plan, "pytorch", made=MADE, fitting=2) == []


def test_of_a_sweep_every_point_with_workers_one_at_a_time() -> None:
    over = {"num_workers": [0, 2], "batch_size": [32, 8196]}
    values = {"over": over, "repeats": 1, "learning_rate": 0.02, "batch_size": 128, "num_workers": 1}
    plan = sweep_plan("mnist-lenet", values, frameworks=["pytorch"])
    assert loadings(plan, "pytorch", made=MADE, fitting=8) == [
        Loading(32, 1, 1, (3, 4)),
        Loading(128, 2, 1, (3, 4)),
        Loading(8196, 1, 1, (3, 4)),
    ]
