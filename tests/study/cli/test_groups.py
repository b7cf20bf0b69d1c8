from __future__ import annotations

from inspect import Parameter, signature
from typing import Annotated

import pytest
import typer

from study.cli.commands import app
from study.cli.groups import Begun, BegunSweep, Changes, Running, grouped
from trainables.common.errors import UserError


def flags(command: str) -> set[str]:
    found = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    return {flag for each in found.params for flag in each.opts if flag.startswith("--")}


def test_what_a_launch_can_be_told_a_sweep_can_be_told() -> None:
    assert flags("launch") - flags("sweep") == {"--warm-start"}  # a sweep searches nothing
    assert flags("confirm") - flags("resume") == {"--disturbed"}
    assert flags("plan") - flags("launch") == set()


def test_a_command_is_given_its_groups() -> None:
    given: list[tuple[object, ...]] = []

    @grouped
    def command(plan: Annotated[str, "argument"], *, begun: BegunSweep, running: Running) -> None:
        given.append((plan, begun, running))

    names = ["plan", "name", "out_dir", "address", "exclude_node", "allow_mixed", "data_dir"]
    own = signature(command).parameters
    assert list(own) == names
    assert own["plan"].default is Parameter.empty
    values = {name: own[name].default for name in names[1:]} | {"plan": "p", "name": "n", "allow_mixed": True}
    command(**values)
    assert given == [("p", BegunSweep(name="n"), Running(allow_mixed=True))]


def test_a_group_of_a_sweep_keeps_the_order_of_a_launch() -> None:
    assert list(signature(BegunSweep).parameters) == list(signature(Begun).parameters)


def test_sharing_a_gpu_is_one_more_setting() -> None:
    assert Changes().of_plan() == {"settings": [], "frameworks": None}
    told = Changes(frameworks="flux, pytorch", settings=["a=1"], allow_shared_gpu=True)
    assert told.of_plan() == {
        "settings": ["a=1", "slice.allow_shared_gpu=true"],
        "frameworks": ["flux", "pytorch"],
    }
    with pytest.raises(UserError, match="--frameworks names none"):
        Changes(frameworks=" , ").of_plan()
