"""Recorded tables: real learning curves by samples, what a sample costs, and under which terms they were recorded.

A table is a folder: ``about.toml``, ``curves.parquet`` (what a configuration's accuracy was after so many samples,
which no machine's speed changes) and ``costs.parquet`` (what a sample, an evaluation and a start cost, measured alone).
How what was not recorded is made up: a drawn configuration is the nearest recorded one (`Table.nearest`), a training's
seed picks one of those recorded there or a step beside (`Table.training`), and its seconds are its samples times what
one costs. What a configuration is worth is smoothed over its neighbours (`Table.evidence`): of one or two seeds each,
the best is the luckiest.
"""

from __future__ import annotations

import tomllib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, inf, log
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from study.plan.plan import Plan
from study.replay.columns import COUNT, NAME, SECONDS, Column, read
from study.replay.plans import replayed
from study.replay.recording import pick
from study.replay.shelf import ABOUT
from study.replay.training import Costs, Terms, Training, under
from trainables.common.errors import UserError
from trainables.workloads.prepared import facts
from trainables.workloads.workload import find

CURVES, COSTS = "curves.parquet", "costs.parquet"
BANDWIDTH = 0.2  # of the kernel, in logarithms of the learning rate: some two steps of a grid of 34
PROCESS_S = 2.4  # of a process until it has imported PyTorch, where a table does not say: 2.4 s of CPU on an AMD EPYC
_CURVES = {
    "framework": NAME,
    "batch_size": COUNT,
    "learning_rate": Column(above=True),
    "seed": Column(whole=True),
    "evaluation": COUNT,
    "samples": COUNT,
    "accuracy": Column(),
}
_COSTS = {
    "framework": NAME,
    "batch_size": COUNT,
    "num_workers": Column(whole=True),
    "seconds_per_sample": Column(above=True),
    "evaluation_s": SECONDS,
    "startup_s": SECONDS,
    "warm_s": SECONDS,
    "process_s": Column(optional=True),
}


class Setting(NamedTuple):
    """A configuration of a table."""

    batch_size: int
    learning_rate: float
    num_workers: int


@dataclass(frozen=True)
class Curve:
    """One recorded training: samples and scores at its evaluations."""

    samples: tuple[int, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Cost:
    """What a sample of one batch size costs with so many loader workers, and the rest of a training."""

    sample_s: float
    other: Costs


@dataclass(frozen=True)
class Table:
    """A recorded table.

    Parameters
    ----------
    curves
        By framework, batch size and learning rate, one for each seed.
    costs
        By framework, batch size and loader workers.
    """

    said: str
    plan: Plan
    training_samples: int
    curves: Mapping[str, Mapping[int, Mapping[float, Sequence[Curve]]]]
    costs: Mapping[str, Mapping[int, Mapping[int, Cost]]]
    _made: dict[Any, Training] = field(default_factory=dict, repr=False, compare=False)

    def nearest(self, framework: str, point: Mapping[str, Any]) -> Setting:
        """The nearest batch size, of that the nearest learning rate, both by logarithm, and the nearest workers."""
        rates = self.curves[framework]
        size = min(rates, key=lambda each: abs(log(each / point["batch_size"])))
        rate = min(rates[size], key=lambda each: abs(log(each / point["learning_rate"])))
        workers = min(self.costs[framework][size], key=lambda each: abs(each - point["num_workers"]))
        return Setting(size, rate, workers)

    def configurations(self, framework: str) -> list[Setting]:
        """Every learning rate of every batch size, with each number of loader workers whose costs are known."""
        return [
            Setting(size, rate, workers)
            for size, rates in self.curves[framework].items()
            for rate in rates
            for workers in self.costs[framework][size]
        ]

    def shown(self, configuration: Hashable) -> dict[str, Any]:
        """By hyperparameters' names."""
        assert isinstance(configuration, Setting)
        return configuration._asdict()

    def training(self, framework: str, configuration: Hashable, seed: int, terms: Terms) -> Training:
        """The one that a training's seed picks, of those recorded at its learning rate and at the next on either side.

        These are a step of the grid away, which changes little, and are other seeds, which change much: so a
        configuration has half a dozen seeds where two of each were recorded, and a race learns what a race would.
        """
        assert isinstance(configuration, Setting)
        rates = sorted(self.curves[framework][configuration.batch_size])
        place = rates.index(configuration.learning_rate)
        near = rates[max(0, place - 1) : place + 2]
        found = [each for rate in near for each in self._trainings(framework, configuration, rate, terms)]
        return found[pick(seed, len(found))]

    def trainings(self, framework: str, configuration: Hashable, terms: Terms) -> list[Training]:
        """One for each recorded seed."""
        assert isinstance(configuration, Setting)
        return self._trainings(framework, configuration, configuration.learning_rate, terms)

    def evidence(self, framework: str, configuration: Hashable, terms: Terms) -> list[tuple[float, Training]]:
        """Those at all learning rates of its batch size, the less the further away: a normal kernel of `BANDWIDTH`."""
        assert isinstance(configuration, Setting)
        apart = {
            rate: log(rate / configuration.learning_rate) / BANDWIDTH
            for rate in self.curves[framework][configuration.batch_size]
        }
        return [
            (exp(-0.5 * steps**2), training)
            for rate, steps in apart.items()
            if abs(steps) < 3
            for training in self._trainings(framework, configuration, rate, terms)
        ]

    def _trainings(self, framework: str, setting: Setting, rate: float, terms: Terms) -> list[Training]:
        """Those recorded at a learning rate, at a setting's costs."""
        seeds = range(len(self.curves[framework][setting.batch_size][rate]))
        return [self._training(framework, setting._replace(learning_rate=rate), seed, terms) for seed in seeds]

    def _training(self, framework: str, setting: Setting, place: int, terms: Terms) -> Training:
        key = framework, setting, place, terms
        if key not in self._made:
            curve = self.curves[framework][setting.batch_size][setting.learning_rate][place]
            cost = self.costs[framework][setting.batch_size][setting.num_workers]
            cadence = self.plan.training.evaluate_every_samples
            self._made[key] = under(
                terms,
                cost.other,
                seconds=[samples * cost.sample_s for samples in curve.samples],
                scores=curve.scores,
                ticks=[samples // cadence for samples in curve.samples],
            )
        return self._made[key]


def read_table(folder: Path, settings: Sequence[str] = ()) -> Table:
    """A table from its folder.

    Parameters
    ----------
    settings
        As of `study.replay.plans.replayed`.

    Raises
    ------
    UserError
        Naming the file that is missing or damaged.
    """
    about = _about(folder / ABOUT)
    curves: dict[str, dict[int, dict[float, dict[int, Curve]]]] = {}
    for framework, size, rate, seed, rows in _grouped(read(folder / CURVES, _CURVES)):
        seeds = curves.setdefault(framework, {}).setdefault(size, {}).setdefault(rate, {})
        seeds[seed] = Curve(tuple(map(int, rows["samples"])), tuple(map(float, rows["accuracy"])))
    costs: dict[str, dict[int, dict[int, Cost]]] = {}
    process_s = about["costs"].get("process_s", PROCESS_S)
    for row in read(folder / COSTS, _COSTS).to_pylist():
        begin_s = row["startup_s"] + row["warm_s"]
        other = Costs((row.get("process_s") or process_s) + begin_s, begin_s, row["evaluation_s"])
        workers = costs.setdefault(row["framework"], {}).setdefault(row["batch_size"], {})
        workers[row["num_workers"]] = Cost(row["seconds_per_sample"], other)
    for framework, sizes in curves.items():
        if missing := sorted(set(sizes) - set(costs.get(framework, {}))):
            raise UserError(f"{folder / COSTS} lacks batch size {missing[0]} of {framework}, which {CURVES} has")
    most = max(each for sizes in costs.values() for some in sizes.values() for each in some)
    plan = replayed(_said_of_plan(about, folder, list(curves), most), settings, str(folder / ABOUT))
    if plan.training.metric != "accuracy":
        raise UserError(f"{folder} is of accuracies, and the target of {plan.workload} is a {plan.training.metric}")
    flat = {
        framework: {size: {rate: tuple(each.values()) for rate, each in rates.items()} for size, rates in sizes.items()}
        for framework, sizes in curves.items()
    }
    return Table(_said(about, flat), plan, facts(find(plan.workload)).training_samples, flat, costs)


def _about(path: Path) -> dict[str, Any]:
    """What a table says of itself; what is said of its plan is checked with that."""
    try:
        about = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}") from None
    for section in ("costs", "space"):
        if not isinstance(about.setdefault(section, {}), dict):
            raise UserError(f"{path}: {section} is {about[section]!r}; it must be a table, as in [{section}]")
    process_s = about["costs"].get("process_s", PROCESS_S)
    if not isinstance(process_s, int | float) or not 0 <= process_s < inf:
        raise UserError(f"{path}: costs.process_s is {process_s!r}; it takes seconds, 0 or more")
    if not isinstance(cpus := about.setdefault("cpus", 1), int):
        raise UserError(f"{path}: cpus is {cpus!r}; it takes a whole number")
    return about


def _grouped(table: pa.Table) -> Any:
    """The rows of each training, whose framework, batch size, learning rate and seed are the same."""
    size, rate, seed, evaluation, samples, accuracy = (
        table.column(name).to_numpy()
        for name in ("batch_size", "learning_rate", "seed", "evaluation", "samples", "accuracy")
    )
    framework = np.asarray(table.column("framework").to_pylist(), dtype=str)
    order = np.lexsort((evaluation, seed, rate, size, framework))
    keys = [(str(framework[row]), int(size[row]), float(rate[row]), int(seed[row])) for row in order]
    begins = [place for place in range(len(keys)) if place == 0 or keys[place] != keys[place - 1]]
    for begin, end in zip(begins, [*begins[1:], len(keys)], strict=True):
        rows = order[begin:end]
        yield *keys[begin], {"samples": samples[rows], "accuracy": accuracy[rows]}


def _said_of_plan(about: Mapping[str, Any], folder: Path, frameworks: list[str], workers: int) -> dict[str, Any]:
    """What a table says of a study of its workload: the terms of its recording."""
    path = folder / ABOUT
    if missing := [key for key in ("workload", "target", "epochs", "evaluate_every_samples") if key not in about]:
        raise UserError(f"{path} says no {missing[0]}")
    training = {
        key: about[key]
        for key in ("target", "holds", "epochs", "limit_s", "evaluate_every_samples")
        if about.get(key) is not None
    }
    values: dict[str, Any] = {
        "workload": about["workload"],
        "frameworks": frameworks,
        "slice": {"cpus": max(1, workers, about["cpus"])},
        "training": training,
    }
    if space := about["space"]:
        values["space"] = space if "all" in space else {"all": space}
    return values


def _said(about: Mapping[str, Any], curves: Mapping[str, Mapping[int, Mapping[float, Sequence[Curve]]]]) -> str:
    recorded = [seeds for sizes in curves.values() for rates in sizes.values() for seeds in rates.values()]
    name = about["costs"].get("machine")
    machine = f", in seconds of {name}" if name else ""
    return f"{about['workload']}: {len(recorded)} configurations, {sum(map(len, recorded))} trainings{machine}"
