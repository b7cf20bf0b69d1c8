"""How many trials the searcher deals at once: what fits now, as nodes come and go."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from ray.tune.search import Searcher

from study.cluster.nodes import Node
from study.driver.searcher import DealingSearcher
from study.driver.supplies import Supplies, Weights
from study.plan.files import load_plan
from study.store.folder import create
from study.store.journal import open_searches, open_storage
from study.store.lock import locked
from tests.study.driver.simulation import Cluster, simulated
from trainables.workloads.workload import find


def test_no_more_are_dealt_than_fit_now(tmp_path: Path) -> None:
    plan = load_plan("quickstart", settings=["search.trials=5", "search.sampler=random"], frameworks=["simulated"])
    folder = create(tmp_path / "s", plan)
    slots = 1
    with locked(folder) as hold:
        searches = open_searches(plan, open_storage(folder, say=print), concurrent=True)
        searcher = DealingSearcher(
            plan,
            folder,
            Supplies(hold.lease, find(plan.workload), folder.data, Weights(folder.weights)),
            searches,
            left={"simulated": 5},
            dealt=Counter(),
            hosts={},
            slots=lambda: slots,
            nodes=lambda: [Node("id", "host", 3)],
        )
        assert searcher.suggest("a") is not None
        assert searcher.suggest("b") is None
        slots = 3  # a node has joined
        assert None not in (searcher.suggest("b"), searcher.suggest("c"))
        assert searcher.suggest("d") is None
        slots = 0  # every node is gone: one waits for the next
        assert searcher.suggest("d") is None
        for name in "abc":
            searcher.on_trial_complete(name, error=True)
        assert searcher.suggest("d") is not None
        assert searcher.suggest("e") is None
        searcher.on_trial_complete("d", error=True)
        assert searcher.suggest("e") is not None
        assert searcher.suggest("f") == Searcher.FINISHED


def test_what_runs_is_the_scaled_rate_and_what_optuna_has_is_its_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("search.learning_rate_scaling=linear", "search.reference_batch_size=32", "search.trials=4")
    study = simulated(
        tmp_path, Cluster({"one": 1.0}, monkeypatch), *settings, "confirm.runs=1", frameworks=["simulated"]
    )
    study.run()
    rows = study.trials
    search = rows[rows["phase"] == "search"].set_index("number")
    for trial in open_searches(study.plan, open_storage(study.folder, say=print), concurrent=False)[
        "simulated"
    ].trials():
        ran, base = search.loc[trial.number], trial.params
        assert 0.005 <= base["learning_rate"] <= 0.1
        assert ran["learning_rate"] == pytest.approx(base["learning_rate"] * base["batch_size"] / 32)
    default = search.loc[0]
    assert (default["learning_rate"], default["batch_size"]) == (pytest.approx(0.05), 64)  # the workload's, as it runs
    (confirmed,) = study.confirmed.to_dict("records")
    assert confirmed["learning_rate"] == search.loc[confirmed["confirms"], "learning_rate"]
