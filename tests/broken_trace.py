"""Stands in for `trainables.verify.trace` and breaks the side called "flux": verify must notice and name what is wrong.

The environment says what: TUNEOFF_BREAK is a name below, or a path of a model that stands in for the workload's;
TUNEOFF_BREAK_SIDE is flux, or pytorch where there is no Julia (then PyTorch is compared with a broken PyTorch).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trainables.contract import Samples, StartTrace, Trace, TracedStep, TraceSetup
from trainables.frameworks import Framework, framework
from trainables.verify import trace

# Julia code that changes a function for good.
IN_JULIA = {
    "flips": "FluxTrainer.eval(:(reversed(array, layout) = layout == :matrix ? permutedims(array) : copy(array)))",
}


class Broken:
    """A trace whose parameters are not what they were set to, or that decays last; methods of `contract.Trace`."""

    def __init__(self, what: str, whole: Trace, setup: TraceSetup) -> None:
        self._what = what
        self._whole = whole
        self._decay = setup.hyperparameters.weight_decay

    def parameters(self) -> dict[str, Any]:
        return self._whole.parameters()

    def load_parameters(self, arrays: Mapping[str, Any]) -> None:
        wrong = dict(arrays)
        if self._what == "kernel":
            wrong["conv2.weight"] = np.ascontiguousarray(wrong["conv2.weight"][:, :, ::-1, ::-1])
        if self._what == "init":
            wrong["fc1.bias"] = np.zeros_like(wrong["fc1.bias"])
        self._whole.load_parameters(wrong)

    def inputs(self, samples: Samples) -> dict[str, Any]:
        return self._whole.inputs(samples)

    def step(self, samples: Samples, rate: float) -> TracedStep:
        stepped = self._whole.step(samples, rate)
        if self._what != "decay":
            return stepped
        decayed = {name: array * (1 - self._decay) for name, array in stepped.parameters.items()}
        self._whole.load_parameters(decayed)
        return stepped._replace(parameters=decayed)


def main() -> None:
    what, side = os.environ["TUNEOFF_BREAK"], os.environ["TUNEOFF_BREAK_SIDE"]

    def broken(each: Framework) -> StartTrace:
        if sys.argv[2] != "flux":
            return original(each)
        start = original(framework(side))

        def started(setup: TraceSetup) -> Trace:
            if "/" in what:
                return start(replace(setup, model=Path(what)))
            setup = replace(setup, model=setup.model.with_suffix(".jl" if side == "flux" else ".py"))
            whole = start(setup)
            if what in IN_JULIA:
                import juliacall

                juliacall.Main.seval(IN_JULIA[what])
            return Broken(what, whole, setup)

        return started

    original = Framework.start_trace
    Framework.start_trace = broken  # type: ignore[method-assign]
    trace.main()


if __name__ == "__main__":
    main()
