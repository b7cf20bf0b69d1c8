"""Initial parameters of trials: drawn when they are dealt, removed when no trial needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from study.driver import supplies
from study.driver.supplies import Weights, weights_for
from study.plan.files import load_plan
from study.store.folder import StudyFolder
from tests.study.workloads import MODEL, written
from trainables.contract import Option
from trainables.spec import TrainingSpec
from trainables.workloads.weights import read_weights
from trainables.workloads.workload import find


class Server:
    """Draws nothing, and remembers what it was asked."""

    def __init__(self, model: Path | None = None) -> None:
        self.model = model
        self.drawn: list[tuple[dict[str, Option], int]] = []
        self.running = False

    def start(self) -> None:
        self.running = True

    def draw(self, path: Path, *, options: Mapping[str, Option], seed: int) -> None:
        if options.get("hidden") == 0:
            raise RuntimeError("model.py, line 5: no neurons")
        self.drawn.append((dict(options), seed))
        path.write_text(f"{options} {seed}")

    def close(self) -> None:
        self.running = False


def asked(spec: TrainingSpec, seed: int = 0, framework: str = "pytorch", **options: Option) -> TrainingSpec:
    knobs = replace(spec.hyperparameters, options=options)
    return replace(spec, framework=framework, seed=seed, hyperparameters=knobs)


def test_one_file_for_all_who_need_the_same(tmp_path: Path, spec: TrainingSpec) -> None:
    server = Server()
    weights = Weights(tmp_path / "weights", server)
    first = weights.draw("a", asked(spec, hidden=4, bias=True))
    assert first == weights.draw("b", asked(spec, framework="flux", bias=True, hidden=4))
    assert first not in (weights.draw("c", asked(spec, seed=1, hidden=4, bias=True)), None)
    assert len(server.drawn) == 2
    assert first is not None
    weights.forget("a")
    assert first.exists()
    assert weights.draw("b", asked(spec, hidden=4, bias=True)) == first  # dealt again, after its node was lost
    weights.forget("b")
    weights.forget("b")
    weights.forget("never dealt")
    assert [path.name for path in (tmp_path / "weights").iterdir()] != [first.name]
    assert not first.exists()
    weights.close()
    assert (server.running, (tmp_path / "weights").exists()) == (False, False)


def test_the_disk_holds_no_more_than_trials_run(tmp_path: Path, spec: TrainingSpec) -> None:
    weights = Weights(tmp_path / "weights", Server())
    for number in range(20):
        weights.draw(f"t{number}", asked(spec, seed=number))
        if number > 2:
            weights.forget(f"t{number - 3}")
        assert len(list((tmp_path / "weights").iterdir())) <= 4


def test_what_a_killed_driver_left_is_taken_away(tmp_path: Path) -> None:
    left = tmp_path / "weights" / "0123.npz"
    left.parent.mkdir()
    left.write_text("")
    Weights(left.parent, Server())
    assert list(left.parent.iterdir()) == []
    left.write_text("")
    Weights(left.parent)
    assert not left.parent.exists()


def test_what_the_model_raises_is_the_trials_alone(tmp_path: Path, spec: TrainingSpec) -> None:
    weights = Weights(tmp_path / "weights", Server())
    with pytest.raises(RuntimeError, match=r"^model.py, line 5: no neurons$"):
        weights.draw("a", asked(spec, hidden=0))
    weights.forget("a")
    assert weights.draw("b", asked(spec, hidden=1)) is not None


def test_nothing_is_drawn_where_nobody_wants_it(
    tmp_path: Path, spec: TrainingSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supplies, "WeightsServer", Server)
    folder = StudyFolder(tmp_path / "study")
    both, julia = written(tmp_path / "both"), written(tmp_path / "julia")
    for task in (both, julia):
        (task / "model.jl").write_text("build() = nothing\n")
    (julia / "model.py").unlink()
    drawn = weights_for(folder, find(str(both)), ["pytorch", "simulated"])
    assert drawn.draw("a", asked(spec)) is not None
    assert drawn.draw("b", asked(spec, framework="simulated")) is None
    assert weights_for(folder, find(str(both)), ["simulated"]).draw("a", asked(spec)) is None
    assert weights_for(folder, find(str(julia)), ["flux"]).draw("a", asked(spec, framework="flux")) is None


def test_pytorch_draws_what_its_constructor_would(tmp_path: Path) -> None:
    task = written(tmp_path / "t", model=MODEL.replace("import nn", "import nn\nprint('hello')"))
    plan = load_plan(str(task), frameworks=["pytorch"])
    spec = plan.spec("pytorch", {"learning_rate": 0.1, "batch_size": 8, "num_workers": 0, "hidden": 3}, seed=7)
    weights = weights_for(StudyFolder(tmp_path / "study"), find(str(task)), plan.frameworks)
    try:
        path = weights.draw("a", spec)
        assert path is not None
        found = read_weights(path)
    finally:
        weights.close()
    assert {name: array.shape for name, array in found.items()} == {
        "0.weight": (3, 4),
        "0.bias": (3,),
        "3.weight": (2, 3),
        "3.bias": (2,),
    }
