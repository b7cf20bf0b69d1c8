"""Samples to target in both frameworks from the same bytes: ``python -m tests.bench.parity`` (needs Julia and MNIST).

Equal hyperparameters and seeds take the same number of samples in both, or the comparison of their times is not one of
speed. Each framework trains in one process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pandas as pd

from study.single import NO_LIMIT_S, single_spec
from trainables.training import Training, run_to_end

WORKLOAD = "mnist-lenet"
CONFIGURATIONS = ((0.05, 64), (0.1, 256), (0.02, 32))  # learning rate, batch size
SEEDS = range(5)


def train_all(framework: str) -> None:
    """Print one line of JSON per configuration and seed."""
    for learning_rate, batch_size in CONFIGURATIONS:
        for seed in SEEDS:
            spec = single_spec(
                framework=framework,
                workload_name=WORKLOAD,
                learning_rate=learning_rate,
                batch_size=batch_size,
                num_workers=0,
                optimizer="sgd",
                momentum=0.9,
                weight_decay=0.0,
                epochs=None,
                target=None,
                device="cpu",
                threads=1,
                seed=seed,
            )
            # No limit in time: what counts here are samples, and a busy machine must not censor them.
            result = run_to_end(Training(replace(spec, training_accuracy=False, limit_s=NO_LIMIT_S)))
            row = {"framework": framework, "learning_rate": learning_rate, "batch_size": batch_size, "seed": seed}
            print(json.dumps(row | {key: result[key] for key in ("samples_to_target", "warm_tta_s")}), flush=True)


def main() -> None:
    """Compare, and print a table with a row per configuration and seed."""
    rows = []
    for framework in ("pytorch", "flux"):
        command = [sys.executable, "-m", "tests.bench.parity", framework]
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows += [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]
    table = pd.DataFrame(rows).pivot_table(
        index=["learning_rate", "batch_size", "seed"], columns="framework", values=["samples_to_target", "warm_tta_s"]
    )
    print(table.to_string())
    print(table.groupby(level=[0, 1]).median().to_string())


if __name__ == "__main__":
    train_all(sys.argv[1]) if len(sys.argv) > 1 else main()
