"""A study's phases on a cluster that is not there: nodes of any speed that come and go, and Tune in simulated time.

Everything else is the product's own: phases, searchers, trainings, records, repair. Only Ray is left out.
"""

from __future__ import annotations

import heapq
import io
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from ray.tune.search import Searcher

from reports.records import complete
from reports.schema import TRIALS
from study.cluster.nodes import Node
from study.cluster.slices import NodeLost
from study.console import Screen, SteadyConsole
from study.driver import phases
from study.driver.phases import Driver
from study.driver.progress import Progress
from study.driver.searcher import HOST, IDENTITY, NODE
from study.driver.supplies import Supplies, Weights
from study.plan.files import load_plan
from study.plan.plan import Plan
from study.store.folder import StudyFolder, create
from study.store.records import Records
from trainables.cap import NO_CAP, Cap
from trainables.spec import TrainingSpec
from trainables.training import Training
from trainables.tune_trainable import CAP, FOLDER, HISTORY, NOTICES, OBJECTIVE, RESULT, SPEC
from trainables.workloads.workload import find

BOTH = ["simulated", "simulated2"]
TRUTH = 1.5  # of the second's time to the first's


@dataclass
class Cluster:
    """Machines by name, with how long each takes for what takes another a second."""

    machines: dict[str, float]
    monkeypatch: pytest.MonkeyPatch
    slots: int = 1
    before: Callable[[str, Cluster], None] = lambda name, cluster: None  # called with the id of each trial that begins
    during: Callable[[str, Cluster], None] = lambda name, cluster: None  # the same after its first evaluation
    now: float = 0.0
    ran: list[tuple[str, str]] = field(default_factory=list)  # trial ids and machines, in order

    def __post_init__(self) -> None:
        self.monkeypatch.setattr(phases, "fit", self.fit)
        self.monkeypatch.setattr(phases, "nodes_for", lambda wanted, allowed: self.nodes())

    def nodes(self) -> list[Node]:
        return [Node(f"id-of-{host}", host, self.slots) for host in sorted(self.machines)]

    def fit(self, plan: Plan, folder: StudyFolder, *, searcher: Searcher, trials: int, concurrent: int,
            recorder: Any, **options: Any) -> None:  # fmt: skip
        running: list[tuple[float, int, Any, Any]] = []
        dealt = 0
        while True:
            while len(running) < concurrent and dealt < trials:
                name = f"t{dealt}"
                config = searcher.suggest(name)
                if not isinstance(config, dict):
                    break
                dealt += 1
                trial = SimpleNamespace(trial_id=name, config=config, num_failures=0, last_result=None)
                took_s, result = self._train(trial, recorder)
                heapq.heappush(running, (self.now + took_s, dealt, trial, result))
            if not running:
                return
            self.now, _, trial, result = heapq.heappop(running)
            recorder.on_trial_result(0, [], trial, result)
            searcher.on_trial_complete(trial.trial_id, result)

    def _train(self, trial: Any, recorder: Any) -> tuple[float, dict[str, Any]]:
        host, name = trial.config[HOST], trial.config[IDENTITY]["trial_id"]
        assert trial.config[NODE] == f"id-of-{host}"
        self.before(name, self)
        if host not in self.machines:
            raise NodeLost(f"lost {host}")
        self.ran.append((name, host))
        recorder.on_trial_start(0, [], trial)
        self.monkeypatch.setattr(socket, "gethostname", lambda: host)
        self.monkeypatch.setenv("TUNEOFF_SIMULATED_MACHINE", str(self.machines[host]))
        cap = Cap.from_dict(trial.config[CAP]) if trial.config[CAP] else NO_CAP
        training = Training(TrainingSpec.from_dict(trial.config[SPEC]), folder=Path(trial.config[FOLDER]), cap=cap)
        while not training.finished:
            training.advance()
            self.during(name, self)
            if host not in self.machines:
                raise NodeLost(f"lost {host}")
        result = training.result()
        training.close()
        *history, last = map(asdict, training.evaluations)
        kept = {NOTICES: [], OBJECTIVE: training.objective(), HISTORY: history, RESULT: result, "done": True}
        return result["train_s"] + result["eval_s"], {**last, **kept}


@dataclass
class Study:
    """A study that is driven by `run`, once or again."""

    folder: StudyFolder
    plan: Plan
    cluster: Cluster

    def run(self, *names: str) -> str:
        """Run phases, as one driver; what it says."""
        said = io.StringIO()
        records = Records(self.folder, say=print)
        progress = Progress(Screen(SteadyConsole(file=said, width=1000)))
        self.folder.checkpoints("").mkdir(parents=True, exist_ok=True)
        lease: Any = SimpleNamespace(as_dict=lambda: {})
        slots: Any = SimpleNamespace(now=lambda: len(self.cluster.machines) * self.cluster.slots, several=True)
        interrupts: Any = SimpleNamespace()
        workload = find(self.plan.workload)
        supplies = Supplies(lease, workload, self.folder.data, Weights(self.folder.weights))
        driver = Driver(self.plan, self.folder, records, progress, interrupts, supplies, slots, 50.0)
        try:
            for name in names or phases.phases_of(self.plan):
                getattr(phases, name)(driver)
        finally:
            records.close()
        return said.getvalue()

    @property
    def trials(self) -> pd.DataFrame:
        return complete(pd.read_parquet(self.folder.trials), TRIALS).sort_values("began_at")

    @property
    def confirmed(self) -> pd.DataFrame:
        table = self.trials
        return table[table["phase"] == "confirm"]


def simulated(tmp_path: Path, cluster: Cluster, *settings: str, frameworks: list[str] | None = None) -> Study:
    wanted = [
        "search.sampler=random",
        "training.target=0.8",
        "search.trials=8",
        "race.configurations=0",
        "confirm.runs=6",
        *settings,
    ]
    plan = load_plan("quickstart", settings=wanted, frameworks=frameworks or BOTH)
    return Study(create(tmp_path / "study", plan), plan, cluster)
