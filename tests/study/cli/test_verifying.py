"""Which frameworks ``tuneoff verify`` compares, and what it says of them."""

from __future__ import annotations

import pytest

from reports.tables.equality import equality_said
from study.cli.verifying import said, sides
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


def test_a_certificate_says_that_dropout_was_switched_off() -> None:
    comparison = {"steps": 50, "failure": None, "worst": [], "frameworks": ["pytorch", "flux"]}
    certificate = {
        "workload": DIGITS,
        "equal": True,
        "at": "2026-01-02T03:04:05+00:00",
        "frameworks": ["pytorch", "flux"],
        "comparisons": [comparison],
        "dropout": "switched off",
    }
    same = "PyTorch and Flux compute the same digits-lenet, up to rounding, over 50 steps"
    assert said(certificate) == f"{same}, dropout switched off."
    assert "over 50 steps, dropout switched off." in equality_said(certificate, DIGITS)
    del certificate["dropout"]  # of an older version
    assert said(certificate) == f"{same}."
