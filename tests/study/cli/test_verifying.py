"""Which frameworks ``tuneoff verify`` compares."""

from __future__ import annotations

import pytest

from study.cli.verifying import sides
from trainables.common.errors import UserError
from trainables.workloads.workload import find

DIGITS = "digits-lenet"


def test_all_that_have_a_model_and_need_not_be_asked_for() -> None:
    assert sides(find(DIGITS)) == ["pytorch", "flux"]


def test_those_that_are_asked_for_the_reference_first() -> None:
    assert sides(find(DIGITS), ["pytorch", "pytorch-compile"]) == ["pytorch", "pytorch-compile"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["pytorch"], "--frameworks names pytorch alone: there is nothing to compare it with"),
        (["flux", "flux"], "--frameworks names flux alone: there is nothing to compare it with"),
        (["pytorch", "simulated"], "Simulated cannot be compared step by step"),
        (["pytorch", "jax"], "unknown framework 'jax'; valid: pytorch, flux, pytorch-compile, simulated, simulated2"),
    ],
)
def test_those_that_cannot_be_compared(asked: list[str], said: str) -> None:
    with pytest.raises(UserError) as refused:
        sides(find(DIGITS), asked)
    assert str(refused.value) == said
