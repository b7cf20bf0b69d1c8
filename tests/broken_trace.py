"""Stands in for `trainables.verify.trace` and breaks the side called "flux": verify must notice
and name what is broken.

The environment says what: TUNEOFF_BREAK is a name below; TUNEOFF_BREAK_SIDE is flux, or pytorch where there is no Julia
(then PyTorch is compared with a broken PyTorch).
"""

from __future__ import annotations

import os
import sys
from typing import Any

from trainables.contract import StartTrace
from trainables.frameworks import Framework, framework
from trainables.verify import trace

# Julia code before the start, and of a function of the tracer after it.
IN_JULIA = {
    "nothing": ("nothing", "identity"),
    "kernel": ("nothing", "tracer -> reverse!(tracer.model.layers.conv2.weight; dims=(1, 2))"),
    "init": ("nothing", "tracer -> (tracer.model.layers.fc1.bias .= 0)"),
    "flips": ("FluxTrainer.eval(:(reversed(array, ::Val{:kernel}) = copy(array)))", "identity"),
    "decay": (
        "FluxTrainer.eval(:(optimisation_rule(; optimizer, learning_rate, momentum, weight_decay) ="
        " OptimiserChain(Momentum(learning_rate, momentum), WeightDecay(weight_decay))))",
        "identity",
    ),
    # Flux's own max-pooling in place of the exact one
    "pooling": ('FluxTrainer.eval(:(MODELS["lenet"] = T -> lenet(T; pool=Flux.MaxPool)))', "identity"),
}


def break_julia(what: str, start: StartTrace, **keywords: Any) -> Any:
    from trainables.flux import backend as flux_backend

    flux_backend._flux_trainer(1, "cpu")
    import juliacall

    before, after = IN_JULIA[what]
    juliacall.Main.seval(before)
    built: Any = start(**keywords)
    juliacall.Main.seval(after)(built._tracer)
    return built


def break_pytorch(what: str, start: StartTrace, **keywords: Any) -> Any:
    import torch

    built: Any = start(**keywords)
    model = built._model
    with torch.no_grad():
        if what == "kernel":
            model.conv2.weight.copy_(model.conv2.weight.flip(2, 3))
        elif what == "init":
            model.fc1.bias.zero_()
        elif what == "decay":
            settings = built._optimizer.param_groups[0]
            built._optimizer = DecayLast(model.parameters(), settings["lr"], settings["momentum"], 5e-4)
    return built


def DecayLast(parameters: Any, learning_rate: float, momentum: float, weight_decay: float) -> Any:  # noqa: N802
    """SGD whose decay is taken after the momentum."""
    import torch

    class Optimizer(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            super().step()
            with torch.no_grad():
                for parameter in self.param_groups[0]["params"]:
                    parameter.mul_(1 - weight_decay)

    return Optimizer(parameters, lr=learning_rate, momentum=momentum)


def main() -> None:
    what, side = os.environ["TUNEOFF_BREAK"], os.environ["TUNEOFF_BREAK_SIDE"]

    def broken(each: Framework) -> StartTrace:
        if sys.argv[2] != "flux":
            return original(each)
        break_it = break_julia if side == "flux" else break_pytorch
        start = original(framework(side))
        return lambda **keywords: break_it(what, start, **keywords)

    original = Framework.start_trace
    Framework.start_trace = broken  # type: ignore[method-assign]
    trace.main()


if __name__ == "__main__":
    main()
