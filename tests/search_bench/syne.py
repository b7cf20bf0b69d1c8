"""Syne Tune on the virtual clock: its schedulers decide in an environment of their own, made by ``make syne-tune``."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from search_spaces import Choices, Searched
from search_spaces.names import FLOATS
from study.plan.plan import Plan
from study.replay.clock import Decision, Strategy, Trial
from study.replay.recording import Recording
from study.replay.search import Dealer
from tests.search_bench.peers import Build, most_evaluations

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-syne" / "bin" / "python"
WORKER = Path(__file__).with_name("syne_worker.py")


class NoSyneTune(Exception):
    """Its environment is not there."""


def available() -> None:
    """Refuse to go on where Syne Tune is not there; `NoSyneTune` says what to do."""
    if not PYTHON.exists():
        raise NoSyneTune(f"no {PYTHON.relative_to(ROOT)}; `make syne-tune` makes it")


class Worker:
    """The process that has Syne Tune; one for all searches."""

    def __init__(self) -> None:
        available()
        self._process = subprocess.Popen(
            [PYTHON, WORKER],
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, do: str, **more: Any) -> Any:
        """An answer to a line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"Syne Tune's process ended with {self._process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        """End it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


_worker: Worker | None = None


def worker() -> Worker:
    """The one process, started when it is first needed."""
    global _worker
    if _worker is None:
        _worker = Worker()
    return _worker


class SyneTune(Strategy):
    """One of its schedulers, which both draw configurations and stop trials."""

    def __init__(self, name: str, plan: Plan, framework: str, recording: Recording, trials: int) -> None:
        self._dealer = Dealer(plan, framework, recording)
        self._trials = trials
        self._space = plan.space[framework]
        self._ask = worker().ask
        space = {knob: _as_data(knob, values) for knob, values in self._space.items()}
        most = most_evaluations(plan, recording)
        self._ask("start", name=name, space=space, most=most, seed=plan.seed)

    def next(self) -> Trial | None:
        if self._dealer.dealt >= self._trials:
            return None
        return self._dealer.deal(self._ask("suggest", trial=self._dealer.dealt, names=list(self._space)))

    def heard(self, trial: Trial) -> Decision:
        decision = self._ask("result", trial=trial.number, result=_told(trial))
        return "go on" if decision == "CONTINUE" else "stop"

    def ended(self, trial: Trial) -> None:
        trial.value = trial.running_value
        # Of a trial that ends by itself Syne Tune hears the last result like any other, and then that it is complete.
        if trial.outcome != "stopped" and self.heard(trial) == "go on":
            self._ask("complete", trial=trial.number, result=_told(trial))


def _told(trial: Trial) -> dict[str, Any]:
    return {"objective": trial.running_value, "evaluation": len(trial.points)}


def _as_data(name: str, values: Searched) -> dict[str, Any]:
    if isinstance(values, Choices):
        return {"choices": list(values.choices)}
    whole = values.is_whole and name not in FLOATS
    return {"low": values.low, "high": values.high, "log": values.log, "whole": whole}


def syne(name: str) -> Build:
    """One of Syne Tune's baselines, by its name there."""

    def build(plan: Plan, framework: str, recording: Recording, slots: int, trials: int) -> Strategy:
        return SyneTune(name, plan, framework, recording, trials)

    return build
