"""Samples per second of FluxTrainer over a hand-written Flux loop; nothing where there is no Julia."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from trainables.flux import runtime as julia_runtime

SCRIPT = Path(__file__).with_name("plain_flux.jl")
Row = dict[str, object]


def rows() -> Iterator[Row]:
    """One row per batch size."""
    if julia_runtime.missing() is not None:
        return
    runtime = julia_runtime.find_runtime()
    code = f'push!(LOAD_PATH, raw"{julia_runtime.PACKAGE}"); include(raw"{SCRIPT}")'  # for Flux and MLUtils by name
    command = [runtime.executable, f"--project={runtime.project}", "-e", code]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    for line in answer.stdout.splitlines():
        found = json.loads(line)
        yield {
            "what": "samples/s, FluxTrainer over a plain Flux loop with Flux's own MaxPool",
            "setting": f"LeNet, batch {found['batch_size']}, one thread",
            "mine": f"{found['mine']:,.0f}/s",
            "other": f"{found['other']:,.0f}/s",
            "ratio": found["ratio"],
            "good": found["ratio"] >= 1.0,
            "want": ">= 1",
        }
