"""Samples to target in both frameworks from the same bytes: ``python -m tests.bench.parity`` (needs Julia and MNIST).

Equal hyperparameters and seeds take the same number of samples in both, or the comparison of their times is not one of
speed. Rounding alone sends two trainings apart, so each framework is also compared with itself: PyTorch from weights
that are one rounding off, and Flux with its own, approximate max-pooling. Each arm trains in one process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from study.cli.groups import Training as Asked
from study.cli.single import NO_LIMIT_S, single_spec
from trainables.common.machine import cpus
from trainables.contract import Parameters
from trainables.training import Training, run_to_end
from trainables.workloads.weights import WeightsServer
from trainables.workloads.workload import Workload, find

WORKLOAD = "mnist-lenet"
CONFIGURATIONS = ((0.05, 64), (0.1, 256), (0.02, 32))  # learning rate, batch size
SEEDS = range(5)
ARMS = ("pytorch", "pytorch-rounded", "flux", "flux-nnlib-pooling")
REFERENCE = ARMS[0]


def train_all(arm: str) -> None:
    """Print one line of JSON per configuration and seed."""
    if arm == "pytorch-rounded":
        _start_one_rounding_off()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tuneoff-parity-")))
        workload = _pooling_as_nnlib(folder) if arm == "flux-nnlib-pooling" else find(WORKLOAD)
        server = stack.enter_context(WeightsServer(workload.models["python"]))
        _train_all(arm, workload, server, folder / "weights.npz")


def _train_all(arm: str, workload: Workload, server: WeightsServer, weights: Path) -> None:
    for learning_rate, batch_size in CONFIGURATIONS:
        for seed in SEEDS:
            server.draw(weights, options={}, seed=seed)
            asked = Asked(
                framework=arm.partition("-")[0],
                workload=WORKLOAD,
                learning_rate=learning_rate,
                batch_size=batch_size,
                optimizer="sgd",
                momentum=0.9,
                weight_decay=0.0,
                device="cpu",
                threads=1,
                seed=seed,
            )
            spec = single_spec(asked, workload)
            # No limit in time: what counts here are samples, and a busy machine must not censor them.
            spec = replace(spec, training_score=False, limit_s=NO_LIMIT_S)
            result = run_to_end(Training(spec, workload=workload, weights=weights))
            row = {"arm": arm, "learning_rate": learning_rate, "batch_size": batch_size, "seed": seed}
            print(json.dumps(row | {"samples_to_target": result["samples_to_target"]}), flush=True)


def _start_one_rounding_off() -> None:
    from trainables.pytorch.backend import PyTorchRun  # not where Julia runs

    original = PyTorchRun.reset

    def rounded(run: PyTorchRun, parameters: Parameters | None) -> None:
        original(run, parameters)
        drawn = run.parameters()
        run.load_parameters({name: np.nextafter(array, np.float32(np.inf)) for name, array in drawn.items()})

    PyTorchRun.reset = rounded  # type: ignore[method-assign]


def _pooling_as_nnlib(folder: Path) -> Workload:
    """The workload with Flux's own max-pooling in its model."""
    own = find(WORKLOAD).copy_to(folder / WORKLOAD)
    own.models["julia"].write_text("using Flux\nusing FluxTrainer: lenet\n\nbuild() = lenet(; pool=Flux.MaxPool)\n")
    return own


def _rows(arm: str) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "tests.bench.parity", arm]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]


def main() -> None:
    """Compare, and print a table with a row per configuration and seed, and each arm's ratio to PyTorch."""
    with ThreadPoolExecutor(max_workers=max(1, cpus().usable - 1)) as pool:  # one thread each: no contention
        rows = [row for found in pool.map(_rows, ARMS) for row in found]
    table = pd.DataFrame(rows).pivot_table(
        index=["learning_rate", "batch_size", "seed"], columns="arm", values="samples_to_target"
    )[list(ARMS)]
    print((table / 1000).to_string())
    print((table / 1000).groupby(level=[0, 1]).median().to_string())
    for arm in ARMS[1:]:  # paired by configuration and seed
        logs = np.log(table[arm] / table[REFERENCE]).dropna()
        low, high = stats.t.interval(0.95, len(logs) - 1, logs.mean(), stats.sem(logs))
        spread = np.exp(np.abs(logs).median())
        print(
            f"{arm} over {REFERENCE}: {np.exp(logs.mean()):.2f} [{np.exp(low):.2f}, {np.exp(high):.2f}] "
            f"({len(logs)} pairs; half of them within a factor of {spread:.2f})"
        )


if __name__ == "__main__":
    train_all(sys.argv[1]) if len(sys.argv) > 1 else main()
