from __future__ import annotations

import pytest

from study.cli.flags import in_flags
from tests.study.cli.test_commands import call


def test_keys_become_the_options_that_stand_for_them() -> None:
    flags = {"training.momentum": "--momentum", "seed": "--seed", "space.all.num_workers": "--num-workers"}
    assert in_flags("training.momentum is -1: too low", flags) == "--momentum is -1: too low"
    assert in_flags("seed is 5; --set seed=0", flags) == "--seed is 5; --seed 0"
    assert in_flags("2 workers; --set space.all.num_workers=0.", flags) == "2 workers; --num-workers 0."
    for other in ("search.seed is 1", "seeds are 2", "training.momentum2 is 3"):
        assert in_flags(other, flags) == other


SWEEP = ["sweep", "digits-lenet", "--frameworks", "simulated"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--over", "num_workers=0", "--learning-rate", "-1"], "--learning-rate is -1; it must lie between 1e-12 and"),
        (["--over", "num_workers=0", "--learning-rate", "inf"], "--learning-rate is inf; it takes a finite"),
        (["--over", "num_workers=0", "--batch-size", "5000"], "--batch-size is 5000, more than the 1079 training"),
        (["--over", "num_workers=0", "--batch-size", "4294967296"], "--batch-size is 4294967296; it must lie between"),
        (["--over", "num_workers=0", "--repeats", "0"], "--repeats is 0; it must be 1 or more"),
        (["--over", "batch_size=5000"], "--over batch_size has 5000, more than the 1079 training samples"),
        (
            ["--over", "batchsize=32"],
            "unknown --over 'batchsize'; did you mean 'batch_size'? valid: ",
        ),
        (["--over", "momntum=0.1"], "unknown --over 'momntum'; did you mean 'momentum'?"),
        (["--over", "batch_size=1.5"], "--over batch_size has 1.5; it takes whole numbers"),
        (["--over", "num_workers=4294967296"], "--over num_workers has 4294967296; it must lie between 0 and 1024"),
        (["--over", "learning_rate=inf"], "--over learning_rate is inf; it takes a finite number"),
        (["--over", "learning_rate=nan"], "--over learning_rate is nan; it takes a finite number"),
        (["--over", "learning_rate="], "--over learning_rate=: write name=value,value"),
        (["--over", "num_workers=0", "--set", "seed=-1"], "seed is -1; it must be 0 or more"),
    ],
)
def test_a_sweep_names_what_was_typed(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = call([*SWEEP, *arguments], capsys, monkeypatch)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert "sweep." not in err
